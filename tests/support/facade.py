"""What tests of the facade need: events in short, and a facade on a real socket."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import uvicorn
from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.model.v1 import model_service_pb2 as models_pb2
from howler.task.v1 import task_event_pb2 as pb
from howler.task.v1.tool_call_pb2 import ToolCall, ToolCallState
from starlette.types import ASGIApp

from facade.app import create_app
from facade.backend import Backend
from facade.backend.relay import Patience
from facade.http import Connection
from facade.openai.start import Rules
from facade.routes.front import Front
from facade.sse import Pace, Padding
from tests.support.facade_peer import MODEL


def accepted(model: str = MODEL.id) -> pb.TaskEvent:
    """The turn is accepted."""
    told = pb.Accepted(turn_id="turn_1", task_id="task_1", model=models_pb2.Model(id=model))
    return pb.TaskEvent(accepted=told)


def started() -> pb.TaskEvent:
    """The agent begins."""
    return pb.TaskEvent(started=pb.Started())


def text(said: str) -> pb.TaskEvent:
    """More of the answer."""
    return pb.TaskEvent(text_delta=pb.TextDelta(text=said))


def thought(said: str) -> pb.TaskEvent:
    """More of a thought."""
    return pb.TaskEvent(thought_delta=pb.ThoughtDelta(text=said))


def tool(call_id: str, state: int, **fields: Any) -> pb.TaskEvent:
    """A change of a tool call; states are 1 pending, 2 running, 3 completed, 4 failed."""
    fields = {"title": "Bash", "kind": "execute"} | fields
    return pb.TaskEvent(tool_call=ToolCall(id=call_id, state=ToolCallState.ValueType(state), **fields))


def plan(*steps: tuple[str, int]) -> pb.TaskEvent:
    """The plan: its steps and how far each is (1 pending, 2 begun, 3 done)."""
    entries = [pb.PlanEntry(content=c, status=pb.PlanEntryStatus.ValueType(s)) for c, s in steps]
    return pb.TaskEvent(plan=pb.Plan(entries=entries))


def ended(reason: int = pb.EndReason.END_REASON_COMPLETED, **fields: Any) -> pb.TaskEvent:
    """The end, with a usage of 12 and 5 tokens."""
    tokens = pb.TokenUsage(
        input_tokens=12, output_tokens=5, total_tokens=17, source=pb.UsageSource.USAGE_SOURCE_EXACT
    )
    told = pb.Ended(reason=pb.EndReason.ValueType(reason), usage=pb.Usage(tokens=tokens), **fields)
    return pb.TaskEvent(time_unix_ms=1_795_000_042_000, ended=told)


def failed(error: int = ErrorReason.ERROR_REASON_AGENT_ERROR, message: str = "it broke") -> pb.TaskEvent:
    """The end, by a failure."""
    return ended(pb.EndReason.END_REASON_FAILED, error=error, message=message)


@contextlib.asynccontextmanager
async def serve_facade(
    target: str,
    *,
    pace: Pace | None = None,
    padding: Padding | None = None,
    rules: Rules | None = None,
    max_body_bytes: int = 10_000_000,
    patience: Patience | None = None,
    origins: tuple[str, ...] = (),
    responses_websocket: bool = True,
    socket_idle: float = 60.0,
) -> AsyncIterator[str]:
    """Serve the facade on loopback, connected to the target; gives its base URL without `/v1`.

    `padding` is that of whole answers on every path.
    """
    backend = Backend(target, patience)
    front = Front(
        backend,
        rules or Rules(),
        max_body_bytes,
        pace or Pace(),
        chat_padding=padding,
        response_padding=padding,
        origins=origins,
        responses_websocket=responses_websocket,
        socket_idle=socket_idle,
    )
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(backend.close)
        url = await stack.enter_async_context(served(create_app(front), max_body_bytes))
        stack.callback(backend.end_turns)
        yield url


@contextlib.asynccontextmanager
async def served(app: ASGIApp, max_message_bytes: int = 10_000_000) -> AsyncIterator[str]:
    """Serve an application on loopback; gives its URL."""
    config = uvicorn.Config(
        app,
        port=0,
        http=Connection,
        ws="websockets-sansio",
        ws_max_size=max_message_bytes,
        ws_per_message_deflate=False,
        lifespan="off",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    try:
        while not server.started:
            await asyncio.sleep(0.01)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        await serving
