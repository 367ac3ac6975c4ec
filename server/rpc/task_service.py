"""TaskService: checks what callers say and passes it to the hub."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from typing import Any, Protocol

import grpc
from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.task.v1 import task_service_pb2 as pb
from howler.task.v1 import workspace_pb2
from howler.task.v1.relay_pb2 import RelayRequest
from howler.task.v1.task_service_pb2_grpc import TaskServiceServicer

from server.errors import ServiceError
from server.pool.account import TaskId
from server.rpc import workspace
from server.rpc.checks import invalid
from server.rpc.paging import cursor_of, cut, page_size
from server.rpc.peers import OWNER
from server.rpc.reach import AnyWatcher, Reach
from server.rpc.relay import Relay
from server.rpc.start import check_start
from server.store.pages import Cursor, behind_task
from server.turn.hub import Hub
from server.turn.keys import may_repeat
from server.turn.live import TurnId
from server.turn.workspaces import Workspaces

_Context = grpc.aio.ServicerContext[Any, Any]


class Records(Protocol):
    """What is read of the store."""

    async def task(self, task_id: TaskId) -> pb.Task | None:
        """Return a task, active or ended."""

    async def tasks(
        self, state: pb.TaskState, principal: str, limit: int, after: Cursor | None = None
    ) -> list[pb.Task]:
        """Return a page of tasks, the one used last first."""


class TaskService(TaskServiceServicer):
    """The door for services: one turn per Stream."""

    def __init__(
        self, reach: Reach, store: Records, workspaces: Workspaces, replica: str, relay_gather: float
    ) -> None:
        """`replica` is this one's name; `relay_gather` how many seconds a Relay gathers after a write."""
        self._reach = reach
        self._hub = reach.hub
        self._replica = replica
        self._store = store
        self._workspaces = workspaces
        self._relay_gather = relay_gather

    async def Stream(self, request: pb.StreamRequest, context: _Context) -> AsyncIterator[bytes]:  # type: ignore[override]
        """Start a turn and tell it, in serialized answers; leaving the RPC leaves the turn to `on_detach`."""
        start = request.start
        check_start(start)
        ready = asyncio.Event()
        once = may_repeat(start)
        seen = await self._reach.start_once(start, ready.set) if once else self._hub.start(start, ready.set)
        async with aclosing(_told(seen.watcher, ready, seen.watcher.close)) as told:
            async for events in told:
                yield events

    async def Watch(self, request: pb.WatchRequest, context: _Context) -> AsyncIterator[bytes]:  # type: ignore[override]
        """Tell the events of a turn from behind a given one, in serialized answers."""
        ready = asyncio.Event()
        door = self._door(context)
        watcher = (await door.watch(request.watch, ready.set)).watcher
        leave = watcher.close if door is self._reach else watcher.lose
        async with aclosing(_told(watcher, ready, leave)) as told:
            async for events in told:
                yield events

    def Relay(  # type: ignore[override]
        self, requests: AsyncIterator[RelayRequest], context: _Context
    ) -> AsyncIterator[bytes]:
        """Run and watch many turns; the answers are serialized."""
        return Relay(self._reach, self._relay_gather).answers(requests)

    async def GetTurn(self, request: pb.GetTurnRequest, context: _Context) -> pb.GetTurnResponse:
        """Return what became of a turn."""
        return pb.GetTurnResponse(turn=await self._door(context).turn(request.turn_id))

    async def GetTask(self, request: pb.GetTaskRequest, context: _Context) -> pb.GetTaskResponse:
        """Return one task."""
        task = await self._store.task(TaskId(request.task_id))
        if task is None:
            raise ServiceError(ErrorReason.ERROR_REASON_TASK_NOT_FOUND, "Howler holds no such task")
        return pb.GetTaskResponse(task=task)

    async def ListTasks(self, request: pb.ListTasksRequest, context: _Context) -> pb.ListTasksResponse:
        """Return a page of tasks."""
        if request.state not in pb.TaskState.values():
            raise invalid("state is no TaskState")
        size, after = page_size(request.page_size), cursor_of(request.page_token, "ListTasks")
        tasks = await self._store.tasks(request.state, request.principal, size + 1, after)
        page, token = cut(tasks, size, behind_task)
        return pb.ListTasksResponse(tasks=page, next_page_token=token)

    async def StopTask(self, request: pb.StopTaskRequest, context: _Context) -> pb.StopTaskResponse:
        """Stop a task and free its slot."""
        return pb.StopTaskResponse(task=await self._door(context).stop_task(TaskId(request.task_id)))

    async def CancelTurn(self, request: pb.CancelTurnRequest, context: _Context) -> pb.CancelTurnResponse:
        """Interrupt a turn."""
        return pb.CancelTurnResponse(reason=await self._door(context).cancel(TurnId(request.turn_id)))

    async def AnswerQuestion(
        self, request: pb.AnswerQuestionRequest, context: _Context
    ) -> pb.AnswerQuestionResponse:
        """Answer what the agent asks."""
        turn_id, answers = TurnId(request.turn_id), list(request.answers)
        await self._door(context).answer(turn_id, request.question_id, answers, decline=request.decline)
        return pb.AnswerQuestionResponse()

    async def ListFiles(
        self, request: workspace_pb2.ListFilesRequest, context: _Context
    ) -> workspace_pb2.ListFilesResponse:
        """List a folder of a task's workspace."""
        return await workspace.list_files(self._workspaces, request)

    async def ReadFile(
        self, request: workspace_pb2.ReadFileRequest, context: _Context
    ) -> workspace_pb2.ReadFileResponse:
        """Return a piece of a file of a task's workspace."""
        return await workspace.read_file(self._workspaces, request)

    async def Diff(self, request: workspace_pb2.DiffRequest, context: _Context) -> workspace_pb2.DiffResponse:
        """Say what was changed in a task's workspace."""
        return await workspace.diff(self._workspaces, request)

    def _door(self, context: _Context) -> Hub | Reach:
        """Return who finds a turn: the hub alone where another replica forwarded the call.

        Raises BACKEND_UNAVAILABLE where that meant another one than this.
        """
        meant = dict(context.invocation_metadata() or ()).get(OWNER, "")
        if meant and meant != self._replica:
            raise ServiceError(
                ErrorReason.ERROR_REASON_BACKEND_UNAVAILABLE,
                "the address of the turn's owner is another server's",
            )
        return self._hub if meant else self._reach


async def _told(
    watcher: AnyWatcher, ready: asyncio.Event, leave: Callable[[], None]
) -> AsyncGenerator[bytes, None]:
    """Yield what the watcher reads as serialized answers, until the turn is over or the caller leaves."""
    try:
        while not watcher.done:
            ready.clear()
            piece = watcher.take()
            if piece.count:
                yield b"".join(piece.fields)
            else:
                await ready.wait()
    finally:  # however the caller leaves: cancel, deadline, lost connection
        leave()
