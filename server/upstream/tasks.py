"""Tasks, in the platform's words and in ours (upstream-protocol §5)."""

from dataclasses import dataclass, field
from typing import Any, Final

from server.acp.uplink import Enclosed
from server.pool.account import TaskId
from server.upstream.shapes import number, object_in, objects_in, text, wrong_shape

_RESOURCE: Final = {
    "core": 2,
    "memory": 8 << 30,
    "life": 10800,
}  # bytes, seconds: what the clients send (§5.1)


@dataclass(frozen=True, slots=True)
class NewTask:
    """What a task is made of. `content` is the prompt of its first turn, `model_id` the platform's id.

    `enclosed` are uploads of the account that the task is made as.
    """

    content: str = field(repr=False)
    model_id: str
    system_prompt: str = field(default="", repr=False)
    enclosed: tuple[Enclosed, ...] = ()


@dataclass(frozen=True, slots=True)
class Condition:
    """The step that a task's VM is at (§5.3). `progress` is in percent."""

    type: str
    message: str = field(repr=False)
    progress: int


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a task has used since it was made, in how many requests to its model; may lag (§5.3)."""

    input: int
    output: int
    total: int
    requests: int


@dataclass(frozen=True, slots=True)
class TaskInfo:
    """A task as the platform tells it: status pending, processing, finished or error.

    `created_at` and `last_active_at` are in unix seconds. `vm_status` is pending, online, offline,
    hibernated or empty; in a list it is not to be trusted (§5.5).
    """

    task_id: TaskId
    status: str
    content: str = field(repr=False)
    created_at: int
    model_id: str
    vm_status: str
    condition: Condition | None
    tokens: Tokens | None
    last_active_at: int = 0


@dataclass(frozen=True, slots=True)
class Chunk:
    """A stored message of a turn; `event` is what the stream calls type, `data` is its base64 or None."""

    event: str
    kind: str
    data: str | None = field(repr=False)
    timestamp_ns: int
    seq: int
    turn_seq: int


def create_body(task: NewTask, image_id: str, host_id: str) -> dict[str, Any]:
    """Return the body of a create as the platform's own clients send it (§5.1)."""
    body: dict[str, Any] = {
        "content": task.content,
        "cli_name": "opencode",
        "model_id": task.model_id,
        "image_id": image_id,
        "host_id": host_id,
        "task_type": "develop",
        "repo": {},
        "extra": {"skill_ids": []},
        "resource": _RESOURCE,
    }
    if task.system_prompt:
        body["system_prompt"] = task.system_prompt
    if task.enclosed:
        body["attachments"] = task.enclosed
    return body


def read_created(data: Any) -> TaskId | None:
    """Return the id of a task just made, or None where the reply tells none."""
    return TaskId(text(data, "id", "task_id", "ID")) or None if isinstance(data, dict) else None


def read_task(data: Any) -> TaskInfo:
    """Read a task. Raises UPSTREAM_PROTOCOL without id or status."""
    task = object_in(data, "task")
    task_id, status = text(task, "id", "task_id"), text(task, "status")
    if not task_id or not status:
        raise wrong_shape("id and status of a task")
    model, vm = task.get("model"), task.get("virtualmachine")
    return TaskInfo(
        task_id=TaskId(task_id),
        status=status,
        content=text(task, "content"),
        created_at=number(task, "created_at"),
        model_id=text(model, "id") if isinstance(model, dict) else text(task, "model_id"),
        vm_status=text(vm, "status") if isinstance(vm, dict) else "",
        condition=_condition(vm) if isinstance(vm, dict) else None,
        tokens=_tokens(task.get("stats")),
        last_active_at=number(task, "last_active_at"),
    )


def _condition(vm: dict[str, Any]) -> Condition | None:
    """Return the current step: the last of the list."""
    steps = vm.get("conditions")
    if not isinstance(steps, list) or not steps or not isinstance(steps[-1], dict):
        return None
    step = steps[-1]
    return Condition(
        type=text(step, "type"),
        message=text(step, "message", "reason"),
        progress=min(number(step, "progress"), 100),
    )


def _tokens(stats: Any) -> Tokens | None:
    if not isinstance(stats, dict):
        return None
    tokens = Tokens(
        input=number(stats, "input_tokens"),
        output=number(stats, "output_tokens"),
        total=number(stats, "total_tokens"),
        requests=number(stats, "llm_requests"),
    )
    return tokens if tokens.total or tokens.input or tokens.output else None


def read_chunks(data: Any) -> list[Chunk]:
    """Read stored messages and put them in order: by turn, then time, then seq (§5.7)."""
    chunks = [
        Chunk(
            event=text(row, "event", "type"),
            kind=text(row, "kind"),
            data=text(row, "data") or None,
            timestamp_ns=number(row, "timestamp"),
            seq=number(row, "seq"),
            turn_seq=number(row, "turn_seq"),
        )
        for row in objects_in(data, "chunks")
    ]
    return sorted(chunks, key=lambda chunk: (chunk.turn_seq, chunk.timestamp_ns, chunk.seq))
