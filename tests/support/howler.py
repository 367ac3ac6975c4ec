"""All of Howler on free ports: sandbox, server and, where wanted, the facade."""

import asyncio
import json
import signal
from collections.abc import Awaitable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import grpc
import openai
from google.rpc.error_details_pb2 import ErrorInfo
from grpc_status import rpc_status
from howler.conversation.v1.conversation_service_pb2_grpc import ConversationServiceStub
from howler.model.v1.model_service_pb2_grpc import ModelServiceStub
from howler.pool.v1.pool_service_pb2_grpc import PoolServiceStub
from howler.task.v1.relay_pb2 import WatchTurn
from howler.task.v1.start_turn_pb2 import StartTurn
from howler.task.v1.task_event_pb2 import TaskEvent
from howler.task.v1.task_service_pb2 import GetTaskRequest, StreamRequest, Task, WatchRequest
from howler.task.v1.task_service_pb2_grpc import TaskServiceStub

from tests.support import grammar
from tests.support.process import ROOT, Program
from tests.support.sandbox import Sandbox

CHANNEL = (("grpc.max_receive_message_length", 16 << 20), ("grpc.max_send_message_length", 16 << 20))


class Howler:
    """A gateway in front of an upstream: the sandbox, or whatever `upstream` names.

    `env` are settings of server and facade.
    """

    def __init__(
        self,
        directory: Path,
        *,
        upstream: str = "",
        facade: bool = True,
        env: Mapping[str, str] | None = None,
        sandbox_env: Mapping[str, str] | None = None,
    ) -> None:
        self._directory = directory
        self._upstream = upstream
        self._with_facade = facade
        self._env = dict(env or {})
        self._sandbox_env = dict(sandbox_env or {})
        self._stack = AsyncExitStack()
        self.sandbox: Sandbox
        self.server: Program
        self.facade: Program
        self.channel: grpc.aio.Channel

    async def __aenter__(self) -> Self:
        enter = self._stack.enter_async_context
        try:
            if not self._upstream:
                self.sandbox = await enter(Sandbox(**self._sandbox_env))
                self._upstream = self.sandbox.url
                self._env.setdefault("HOWLER_ACCOUNTS_FILE", str(ROOT / "sandbox" / "accounts.json"))
            env = {
                "HOWLER_UPSTREAM_URL": self._upstream,
                "HOWLER_GRPC_ADDR": "127.0.0.1:0",
                "HOWLER_HTTP_ADDR": "127.0.0.1:0",
                "HOWLER_DATABASE_URL": f"sqlite:///{self._directory / 'howler.db'}",
                "HOWLER_SHUTDOWN_GRACE": "1",
                "HOWLER_DISCONNECT_GRACE": "0",
                **self._env,
            }
            self.server = await enter(Program("server", env=env, cwd=self._directory))
            if self._with_facade:
                env["HOWLER_GRPC_TARGET"] = self.server.address
                self.facade = await enter(Program("facade", env=env, cwd=self._directory))
            self.channel = await enter(grpc.aio.insecure_channel(self.server.address, options=CHANNEL))
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.__aexit__(kind, error, trace)

    async def kill_server(self) -> None:
        """Let the server end without a word, as a crash does."""
        self.server.signal(signal.SIGKILL)
        await self.server.ended()

    async def start_server(self) -> None:
        """Start the server that was killed anew, where it was."""
        await self.server.start_again(HOWLER_GRPC_ADDR=self.server.address)

    @property
    def tasks(self) -> Any:
        """The TaskService."""
        return TaskServiceStub(self.channel)

    @property
    def conversations(self) -> Any:
        """The ConversationService."""
        return ConversationServiceStub(self.channel)

    @property
    def models(self) -> Any:
        """The ModelService."""
        return ModelServiceStub(self.channel)

    @property
    def pool(self) -> Any:
        """The PoolService."""
        return PoolServiceStub(self.channel)

    def openai(self) -> openai.AsyncOpenAI:
        """The official client, pointed at the facade; it does not retry."""
        return openai.AsyncOpenAI(base_url=f"{self.facade.address}/v1", api_key="any", max_retries=0)

    async def task(self, task_id: str) -> Task:
        """Return a task as Howler has it."""
        task: Task = (await self.tasks.GetTask(GetTaskRequest(task_id=task_id))).task
        return task

    async def turn(self, prompt: str = "", **start: Any) -> list[TaskEvent]:
        """Run one turn over Stream and return its events, checked against the grammar."""
        if prompt:
            start["prompt"] = prompt
        events = []
        async for response in self.tasks.Stream(StreamRequest(start=StartTurn(**start))):
            assert response.events, "no message is empty"
            events.extend(response.events)
        grammar.check(events)
        return events


async def watched(howler: Howler, turn_id: str, after_seq: int = 0, **watch: Any) -> list[TaskEvent]:
    """Watch a turn to its end."""
    asked = WatchTurn(turn_id=turn_id, after_seq=after_seq, **watch)
    events: list[TaskEvent] = []
    async with asyncio.timeout(90):  # a test that waits for longer has failed
        async for response in howler.tasks.Watch(WatchRequest(watch=asked)):
            assert response.events, "no message is empty"
            events += response.events
    return events


def text_of(events: list[TaskEvent]) -> str:
    """Return the answer that the events tell."""
    return "".join(event.text_delta.text for event in events)


def reason_of(error: grpc.aio.AioRpcError) -> str:
    """Return the ErrorInfo reason of a failed RPC, checking its domain."""
    status = rpc_status.from_call(error)
    assert status is not None, error
    for detail in status.details:
        info = ErrorInfo()
        if detail.Unpack(info):
            assert info.domain == "howler"
            return str(info.reason)
    raise AssertionError(f"no ErrorInfo in {error}")


async def refused(call: Awaitable[object]) -> str:
    """Return the reason with which a call fails, as it must."""
    reason, _ = await refusal_of(call)
    return reason


async def refusal_of(call: Awaitable[object]) -> tuple[str, grpc.StatusCode]:
    """Return the reason and the code with which a call fails, as it must."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return reason_of(error), error.code()
    raise AssertionError("the call was not refused")


def accounts_file(directory: Path, accounts: list[dict[str, object]]) -> str:
    """Write an accounts file and return its path."""
    path = directory / "accounts.json"
    path.write_text(json.dumps(accounts))
    return str(path)
