"""TaskService: checks what callers say and passes it to the hub."""

from collections.abc import AsyncIterator
from typing import Any, Final

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.task.v1 import task_service_pb2 as pb
from howler.task.v1.task_service_pb2_grpc import TaskServiceServicer

from server.errors import ServiceError
from server.pool.account import TaskId
from server.store.sqlite import Store, TaskCursor
from server.turn.hub import Hub
from server.turn.live import TurnId

_Context = grpc.aio.ServicerContext[Any, Any]
_MAX_ID_BYTES: Final = 128
_MAX_ANSWER_BYTES: Final = 8192  # in one frame of 32,768 bytes, twice in base64 and with its questions
_MAX_SECONDS: Final = 315_576_000_000  # what google.protobuf.Duration states
_PAGE, _MAX_PAGE = 100, 1000


class TaskService(TaskServiceServicer):
    """The door for services: one turn per Stream."""

    def __init__(self, hub: Hub, store: Store) -> None:
        self._hub = hub
        self._store = store

    async def Stream(self, request: pb.StreamRequest, context: _Context) -> AsyncIterator[pb.StreamResponse]:
        """Start a turn and tell it; leaving the RPC leaves the turn to `on_detach`."""
        check_start(request.start)
        watcher = self._hub.start(request.start)
        try:
            while batch := await watcher.next():
                yield pb.StreamResponse(events=batch)
        finally:  # however the caller leaves: cancel, deadline, lost connection
            watcher.close()

    async def GetTask(self, request: pb.GetTaskRequest, context: _Context) -> pb.GetTaskResponse:
        """Return one task."""
        task = await self._store.task(TaskId(request.task_id))
        if task is None:
            raise ServiceError(ErrorReason.ERROR_REASON_TASK_NOT_FOUND, "Howler holds no such task")
        return pb.GetTaskResponse(task=task)

    async def ListTasks(self, request: pb.ListTasksRequest, context: _Context) -> pb.ListTasksResponse:
        """Return a page of tasks."""
        size = min(request.page_size or _PAGE, _MAX_PAGE)
        if size < 0:
            raise _invalid("page_size must not be negative")
        after = _cursor(request.page_token)
        tasks = await self._store.tasks(request.state, request.principal, size + 1, after)
        page = tasks[:size]
        token = _token(TaskCursor.behind(page[-1])) if len(tasks) > size else ""
        return pb.ListTasksResponse(tasks=page, next_page_token=token)

    async def StopTask(self, request: pb.StopTaskRequest, context: _Context) -> pb.StopTaskResponse:
        """Stop a task and free its slot."""
        return pb.StopTaskResponse(task=await self._hub.stop_task(TaskId(request.task_id)))

    async def CancelTurn(self, request: pb.CancelTurnRequest, context: _Context) -> pb.CancelTurnResponse:
        """Interrupt a turn."""
        return pb.CancelTurnResponse(reason=await self._hub.cancel(TurnId(request.turn_id)))

    async def AnswerQuestion(
        self, request: pb.AnswerQuestionRequest, context: _Context
    ) -> pb.AnswerQuestionResponse:
        """Answer what the agent asks."""
        if (
            sum(len(value.encode()) for answer in request.answers for value in answer.values)
            > _MAX_ANSWER_BYTES
        ):
            raise _invalid(f"answers are longer than {_MAX_ANSWER_BYTES} bytes in all")
        self._hub.answer(
            TurnId(request.turn_id), request.question_id, list(request.answers), decline=request.decline
        )
        return pb.AnswerQuestionResponse()


def check_start(start: pb.StartTurn) -> None:
    """Raise INVALID_REQUEST, with the field's name, where a StartTurn cannot be meant."""
    match start.WhichOneof("input"):
        case None:
            raise _invalid("start: prompt or messages must be set")
        case "prompt" if not start.prompt.strip():
            raise _invalid("start.prompt is empty")
        case "messages":
            _check_messages(start.messages)
    for name in ("principal", "request_id"):
        if len(getattr(start, name).encode()) > _MAX_ID_BYTES:
            raise _invalid(f"start.{name} is longer than {_MAX_ID_BYTES} bytes")
    if start.task_id and start.instructions:
        raise _invalid("start.instructions: a task that exists has its instructions already")
    if start.HasField("deadline") and not 0 < _seconds(start.deadline) <= _MAX_SECONDS:
        raise _invalid("start.deadline must be more than nothing and less than 10,000 years")
    if start.on_detach.HasField("grace") and not 0 <= _seconds(start.on_detach.grace) <= _MAX_SECONDS:
        raise _invalid("start.on_detach.grace must not be negative and less than 10,000 years")
    _check_enums(start, "start")


def _check_messages(messages: pb.Conversation) -> None:
    if not messages.messages:
        raise _invalid("start.messages is empty")
    newest = messages.messages[-1]
    if newest.role == pb.Role.ROLE_ASSISTANT:
        raise _invalid("start.messages: the last message must be the user's or a tool's")
    if not newest.text.strip():
        raise _invalid("start.messages: the last message has no text")


def _check_enums(message: Message, path: str) -> None:
    """Refuse numbers that no value of the enum has; proto3 itself lets them through."""
    for field, value in message.ListFields():
        name = f"{path}.{field.name}"
        if field.message_type is not None:
            for inner in value if field.is_repeated else (value,):
                _check_enums(inner, name)
        elif field.enum_type is not None and value not in field.enum_type.values_by_number:
            raise _invalid(f"{name}: {value} is no {field.enum_type.name}")


def _token(cursor: TaskCursor) -> str:
    return f"{cursor.last_used_us}.{cursor.task_id}"


def _cursor(token: str) -> TaskCursor | None:
    if not token:
        return None
    used, _, task_id = token.partition(".")
    if not (used.isascii() and used.isdecimal() and len(used) < 19 and task_id):
        raise _invalid("page_token is none that ListTasks gave")
    return TaskCursor(int(used), task_id)


def _seconds(duration: Duration) -> float:
    return duration.seconds + duration.nanos / 1e9


def _invalid(message: str) -> ServiceError:
    return ServiceError(ErrorReason.ERROR_REASON_INVALID_REQUEST, message)
