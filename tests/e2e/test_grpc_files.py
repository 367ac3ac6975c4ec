"""What an agent made, fetched from its workspace (issue 5: ListFiles, ReadFile, Diff, by control socket)."""

import asyncio
from typing import Any

import grpc
import pytest
import pytest_asyncio
from howler.pool.v1.pool_service_pb2 import DisableAccountRequest, EnableAccountRequest, GetPoolRequest
from howler.task.v1.start_turn_pb2 import TaskRetention
from howler.task.v1.task_service_pb2 import StopTaskRequest
from howler.task.v1.workspace_pb2 import (
    DiffRequest,
    DiffResponse,
    FileKind,
    ListFilesRequest,
    ListFilesResponse,
    ReadFileRequest,
    ReadFileResponse,
)

from tests.support.howler import Howler, refusal_of, refused
from tests.support.watched import Watched

pytestmark = pytest.mark.asyncio(loop_scope="module")
KEEP = TaskRetention.TASK_RETENTION_KEEP


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def task_id(howler: Howler) -> str:
    """A task whose agent wrote notes/turn-1.md."""
    events = await howler.turn("/tools", retention=KEEP)
    return str(events[0].accepted.task_id)


async def listed(howler: Howler, task_id: str, **fields: Any) -> ListFilesResponse:
    told: ListFilesResponse = await howler.tasks.ListFiles(ListFilesRequest(task_id=task_id, **fields))
    return told


async def read(howler: Howler, task_id: str, path: str, **fields: Any) -> ReadFileResponse:
    told: ReadFileResponse = await howler.tasks.ReadFile(
        ReadFileRequest(task_id=task_id, path=path, **fields)
    )
    return told


async def diff(howler: Howler, task_id: str, **fields: Any) -> DiffResponse:
    told: DiffResponse = await howler.tasks.Diff(DiffRequest(task_id=task_id, **fields))
    return told


async def test_a_folder_is_listed(howler: Howler, task_id: str) -> None:
    root = await listed(howler, task_id)
    assert [(one.name, one.kind) for one in root.files] == [
        ("README.md", FileKind.FILE_KIND_FILE),
        ("docs", FileKind.FILE_KIND_FOLDER),
        ("notes", FileKind.FILE_KIND_FOLDER),
        ("src", FileKind.FILE_KIND_FOLDER),
    ]
    (note,) = (await listed(howler, task_id, path="notes")).files
    assert (note.path, note.size_bytes) == ("notes/turn-1.md", len("# Turn 1\n"))
    assert note.modify_time.seconds > 0
    everything = await listed(howler, task_id, include_hidden=True)
    assert ".gitignore" in [one.name for one in everything.files]
    assert [one.name for one in (await listed(howler, task_id, glob="*.md")).files] == ["README.md"]
    assert (await listed(howler, task_id, glob="*.none")) == ListFilesResponse()


async def test_a_file_is_read_whole_or_in_pieces(howler: Howler, task_id: str) -> None:
    whole = await read(howler, task_id, "notes/turn-1.md")
    assert whole == ReadFileResponse(content=b"# Turn 1\n", total_size_bytes=9)
    piece = await read(howler, task_id, "notes/turn-1.md", offset=2, length=4)
    assert piece == ReadFileResponse(content=b"Turn", offset=2, total_size_bytes=9, truncated=True)
    behind = await read(howler, task_id, "notes/turn-1.md", offset=100)
    assert (behind.content, behind.truncated) == (b"", False)


async def test_a_diff_tells_what_the_agent_changed(howler: Howler, task_id: str) -> None:
    told = await diff(howler, task_id)
    (change,) = told.changes
    assert (change.path, change.status, change.additions) == ("notes/turn-1.md", "??", 1)
    assert change.diff.endswith("+# Turn 1\n")
    assert told.branch
    assert told.commit_hash
    assert (await diff(howler, task_id, path="notes/turn-1.md")).changes == told.changes
    assert not (await diff(howler, task_id, path="README.md")).changes


@pytest.mark.parametrize(
    ("call", "fields", "reason"),
    [
        (listed, {"path": "nowhere"}, "FILE_NOT_FOUND"),
        (read, {"path": "nowhere"}, "FILE_NOT_FOUND"),
        (listed, {"path": "/etc"}, "INVALID_REQUEST"),
        (read, {"path": "../../etc/passwd"}, "INVALID_REQUEST"),
        (read, {"path": "a\0b"}, "INVALID_REQUEST"),
        (read, {"path": ""}, "INVALID_REQUEST"),
        (read, {"path": "x", "offset": -1}, "INVALID_REQUEST"),
        (read, {"path": "x", "length": -1}, "INVALID_REQUEST"),
        (listed, {"path": "x" * 5000}, "INVALID_REQUEST"),
        (listed, {"glob": "x" * 5000}, "INVALID_REQUEST"),
        (diff, {"path": "x/../.."}, "INVALID_REQUEST"),
        (diff, {"context_lines": -1}, "INVALID_REQUEST"),
    ],
)
async def test_what_is_refused(
    howler: Howler, task_id: str, call: Any, fields: dict[str, Any], reason: str
) -> None:
    assert await refused(call(howler, task_id, **fields)) == reason


async def test_only_tasks_that_howler_holds(howler: Howler) -> None:
    missing = ("TASK_NOT_FOUND", grpc.StatusCode.NOT_FOUND)
    for call in (listed(howler, "no"), read(howler, "no", "a"), diff(howler, "no")):
        assert await refusal_of(call) == missing
    events = await howler.turn("hello", retention=KEEP)
    stopped = events[0].accepted.task_id
    await howler.tasks.StopTask(StopTaskRequest(task_id=stopped))
    told = await refusal_of(listed(howler, stopped))
    assert told == ("TASK_ENDED", grpc.StatusCode.FAILED_PRECONDITION)


async def test_beside_a_turn_that_runs(howler: Howler) -> None:
    """It takes no slot and does not disturb the turn."""
    turn = Watched(howler, "/pace 30 20", retention=KEEP)
    await turn.until("text_delta")
    used = (await howler.pool.GetPool(GetPoolRequest())).slots_used
    names = await asyncio.gather(*(listed(howler, turn.task_id) for _ in range(10)))
    assert all(one.files for one in names)
    assert (await howler.pool.GetPool(GetPoolRequest())).slots_used == used
    assert (await turn.rest())[-1].ended.error == 0


async def test_a_vm_that_sleeps_is_woken(howler: Howler, task_id: str) -> None:
    await howler.sandbox.faults(machines={"hibernate": [task_id]})
    assert (await read(howler, task_id, "notes/turn-1.md")).content == b"# Turn 1\n"


async def test_much_is_told_in_messages_that_every_client_takes(howler: Howler) -> None:
    """gRPC's default limit is 4 MiB a message: what is larger is cut, and says so."""
    events = await howler.turn("/write 3 2000000", retention=KEEP)
    big = events[0].accepted.task_id
    piece = await read(howler, big, "made/00001.txt", length=1 << 30)
    assert (len(piece.content), piece.total_size_bytes, piece.truncated) == (2_000_000, 2_000_000, False)
    piece = await read(howler, big, "made/00001.txt")
    assert (len(piece.content), piece.truncated) == (1 << 20, True)
    told = await diff(howler, big)
    assert told.ByteSize() < 4 << 20
    assert [(bool(one.diff), one.truncated) for one in told.changes] == [
        (True, True),
        (False, True),
        (False, True),
    ]
    many = (await howler.turn("/write 200 10", retention=KEEP))[0].accepted.task_id
    told = await diff(howler, many)
    assert len(told.changes) == 200
    assert [one.truncated for one in told.changes] == [False] * 100 + [True] * 100
    assert len((await listed(howler, many, path="made")).files) == 200


async def test_a_call_that_is_never_answered_fails_once(howler: Howler, task_id: str) -> None:
    """A socket that is cut under a call (§8): the call fails, the next one has a socket of its own."""
    await howler.sandbox.faults(control={"sockets": 1, "cut_after_frames": 0, "cut": "rst"})
    reason, _ = await refusal_of(listed(howler, task_id))
    assert reason in ("UPSTREAM_LOST", "UPSTREAM_UNAVAILABLE")
    assert (await listed(howler, task_id)).files
    open_now = (await howler.sandbox.state())["sockets"]["open"]
    assert [one for one in open_now if one["channel"] == "control"] == []


async def test_a_call_that_is_answered_with_nothing(howler: Howler, task_id: str) -> None:
    """§8: `null`, without a request_id."""
    await howler.sandbox.faults(platform={"empty_calls": True})
    assert await refused(listed(howler, task_id)) == "UPSTREAM_UNAVAILABLE"
    await howler.sandbox.reset()
    assert (await listed(howler, task_id)).files


async def test_the_account_must_be_in_use(howler: Howler, task_id: str) -> None:
    """The pool's rules: no call is made as an account that an operator disabled."""
    account_id = (await howler.task(task_id)).account_id
    await howler.pool.DisableAccount(DisableAccountRequest(account_id=account_id))
    try:
        assert await refused(listed(howler, task_id)) == "NO_ACCOUNT"
    finally:
        await howler.pool.EnableAccount(EnableAccountRequest(account_id=account_id))


async def test_the_log_is_clean(howler: Howler) -> None:
    assert "Traceback" not in howler.server.errors
