"""Files that go with a prompt, and prompts that go as a file (issue 5: files and attachments)."""

import hashlib
from pathlib import Path

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from howler.conversation.v1.conversation_service_pb2 import CreateRequest
from howler.conversation.v1.conversation_service_pb2_grpc import ConversationServiceStub
from howler.pool.v1.pool_service_pb2 import GetPoolRequest
from howler.task.v1.start_turn_pb2 import Attachment, Idempotency, TaskRetention

from tests.support.howler import Howler, reason_of, refused, text_of
from tests.support.watched import Watched, eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")
STOP, KEEP = TaskRetention.TASK_RETENTION_STOP, TaskRetention.TASK_RETENTION_KEEP
PNG, TEXT = b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "Grüße\n".encode()
PRESIGN = "POST /api/v1/uploader/presign"


def told(name: str, data: bytes) -> str:
    """Return what the sandbox's agent says of a file that it got."""
    return f"{name} ({len(data)} bytes, SHA-256 {hashlib.sha256(data).hexdigest()})"


async def test_files_reach_the_agent_of_a_new_task_and_of_one_that_exists(howler: Howler) -> None:
    """Two of one name stay two; one without an ending gets that of its type."""
    files = [
        Attachment(filename="shot.png", mime_type="image/png", data=PNG),
        Attachment(filename="shot.png", data=TEXT),
        Attachment(filename="notes", mime_type="text/plain", data=TEXT),
    ]
    names = f"Attached: {told('shot.png', PNG)}, {told('shot-2.png', TEXT)}, {told('notes.txt', TEXT)}."
    first = await howler.turn("look", attachments=files, retention=KEEP)
    assert names in text_of(first)
    task_id = first[0].accepted.task_id
    assert names in text_of(await howler.turn("again", task_id=task_id, attachments=files))
    assert "Attached" not in text_of(await howler.turn("and now?", task_id=task_id))


async def test_one_name_never_overwrites_another_turns_file(howler: Howler) -> None:
    """§5.9: the platform keys an upload by its user and name."""
    one = await howler.turn("look", attachments=[Attachment(filename="a.txt", data=b"one")], retention=KEEP)
    task_id = one[0].accepted.task_id
    two = await howler.turn("look", attachments=[Attachment(filename="a.txt", data=b"two")], task_id=task_id)
    assert told("a.txt", b"one") in text_of(one)
    assert told("a.txt", b"two") in text_of(two)
    task = await howler.sandbox.task(task_id)
    urls = [turn["attachments"][0]["url"] for turn in task["turns"]]
    assert urls[0] != urls[1]


async def test_another_account_uploads_anew(howler: Howler) -> None:
    """§5.9: an upload of one account is of no use to another."""
    path = "/api/v1/users/tasks"
    await howler.sandbox.faults(routes=[{"path": path, "method": "POST", "do": "code", "code": 10205}])
    before = len((await howler.sandbox.state())["request_log"])
    events = await howler.turn("look", attachments=[Attachment(filename="a.txt", data=b"x")], retention=STOP)
    assert told("a.txt", b"x") in text_of(events)
    log = (await howler.sandbox.state())["request_log"][before:]
    uploaders = [one["account"] for one in log if one["route"] == PRESIGN]
    assert len(uploaders) == len(set(uploaders)) == 2


async def test_a_text_that_no_frame_holds_goes_as_a_file(howler: Howler) -> None:
    """§6.4: 18,390 bytes at most; what is longer is read from the file, and the task goes on."""
    task_id = (await howler.turn("hello", retention=KEEP))[0].accepted.task_id
    long = "Ω" * 100_000
    answer = text_of(await howler.turn(long, task_id=task_id))
    assert "in the attached file long-input-" in answer
    assert f"(200000 bytes, SHA-256 {hashlib.sha256(long.encode()).hexdigest()})" in answer
    both = text_of(
        await howler.turn(long, task_id=task_id, attachments=[Attachment(filename="a.txt", data=b"x")])
    )
    assert told("a.txt", b"x") in both
    assert hashlib.sha256(long.encode()).hexdigest() in both
    full = [Attachment(filename="a.txt", data=b"x")] * 10
    assert await refused(howler.turn(long, task_id=task_id, attachments=full)) == "PROMPT_TOO_LARGE"
    assert "before that you said" in text_of(await howler.turn("and now?", task_id=task_id))


async def test_files_in_a_conversation(howler: Howler) -> None:
    """Of its first turn, and of one in which the agent that remembers is spoken to again."""
    created = await ConversationServiceStub(howler.channel).Create(CreateRequest())
    for data in (b"first", b"second"):
        events = await howler.turn(
            "look",
            attachments=[Attachment(filename="a.txt", data=data)],
            conversation_id=created.conversation.conversation_id,
        )
        assert told("a.txt", data) in text_of(events)
    assert "before that you said" in text_of(events)


async def test_a_start_that_is_repeated_with_its_files_is_the_same(howler: Howler) -> None:
    """What a start asks includes its files, also where its turn is read back from the store."""
    start = {"idempotency": Idempotency(key="with-files"), "retention": STOP}
    turn = Watched(howler, "/pace 20 50", attachments=[Attachment(filename="a", data=b"x")], **start)
    await turn.until("text_delta")
    again = Watched(howler, "/pace 20 50", attachments=[Attachment(filename="a", data=b"x")], **start)
    await again.until("accepted")
    assert again.turn_id == turn.turn_id
    other = howler.turn("/pace 20 50", attachments=[Attachment(filename="a", data=b"y")], **start)
    assert await refused(other) == "IDEMPOTENCY_MISMATCH"
    assert len(await turn.rest()) == len(await again.rest())


@pytest.mark.parametrize(
    "files",
    [
        [Attachment(filename="a", data=b"")] * 11,
        [Attachment(filename="", data=b"x")],
        [Attachment(filename="..", data=b"x")],
        [Attachment(filename="/etc/passwd", data=b"x")],
        [Attachment(filename="..\\a", data=b"x")],
        [Attachment(filename="a\nb", data=b"x")],
        [Attachment(filename="x" * 256, data=b"x")],
        [Attachment(filename="a", mime_type="x" * 256)],
        [Attachment(filename="a", data=bytes((10 << 20) + 1))],
        [Attachment(filename="a", data=bytes(size)) for size in (8 << 20, (7 << 20) + 1)],
    ],
    ids=["eleven", "no name", "dots", "path", "backslash", "control", "long", "type", "10 MiB", "15 MiB"],
)
async def test_files_that_cannot_be_meant(howler: Howler, files: list[Attachment]) -> None:
    before = (await howler.sandbox.state())["requests"].get(PRESIGN, 0)
    assert await refused(howler.turn("look", attachments=files)) == "INVALID_REQUEST"
    assert (await howler.sandbox.state())["requests"].get(PRESIGN, 0) == before


async def test_ten_mebibytes_pass(howler: Howler) -> None:
    data = bytes(10 << 20)
    events = await howler.turn("look", attachments=[Attachment(filename="a.bin", data=data)], retention=STOP)
    assert told("a.bin", data) in text_of(events)


async def test_an_upload_that_hangs_ends_with_its_turn(howler: Howler) -> None:
    """The deadline holds before the commit point, too, and the slot is free again."""
    used = (await howler.pool.GetPool(GetPoolRequest())).slots_used
    await howler.sandbox.faults(routes=[{"path": "/__objects/*", "do": "hang", "times": 1}])
    files = [Attachment(filename="a.txt", data=b"x")]
    assert await refused(howler.turn("look", attachments=files, deadline=Duration(seconds=1))) == "TIME_LIMIT"

    async def freed() -> bool:
        return bool((await howler.pool.GetPool(GetPoolRequest())).slots_used <= used)

    await eventually(freed)


async def test_the_log_is_clean(howler: Howler) -> None:
    assert "Traceback" not in howler.server.errors


async def test_a_platform_without_storage(folder: Path) -> None:
    (folder / "bare").mkdir()
    async with Howler(
        folder / "bare", facade=False, sandbox_env={"HOWLER_SANDBOX_STORAGE": "false"}
    ) as howler:
        files = [Attachment(filename="a.txt", data=b"x")]
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await howler.turn("look", attachments=files)
        assert reason_of(raised.value) == "UNSUPPORTED_VALUE"
        assert "no storage for attachments" in str(raised.value.details())
        task_id = (await howler.turn("hello", retention=KEEP))[0].accepted.task_id
        assert await refused(howler.turn("look", task_id=task_id, attachments=files)) == "UNSUPPORTED_VALUE"
        assert await refused(howler.turn("x" * 20_000, task_id=task_id)) == "PROMPT_TOO_LARGE"
        assert text_of(await howler.turn("and now?", task_id=task_id))
        assert "20000 characters" in text_of(await howler.turn("x" * 20_000, retention=STOP))


async def test_an_older_dialect_has_no_attachments(folder: Path) -> None:
    """§10: neither form of prompt has a place for them."""
    (folder / "text").mkdir()
    async with Howler(
        folder / "text",
        facade=False,
        env={"HOWLER_UPSTREAM_DIALECT": "text"},
        sandbox_env={"HOWLER_SANDBOX_DIALECT": "text"},
    ) as howler:
        files = [Attachment(filename="a.txt", data=b"x")]
        assert await refused(howler.turn("look", attachments=files)) == "UNSUPPORTED_VALUE"
        task_id = (await howler.turn("hello", retention=KEEP))[0].accepted.task_id
        assert await refused(howler.turn("look", task_id=task_id, attachments=files)) == "UNSUPPORTED_VALUE"
        assert await refused(howler.turn("x" * 33_000, task_id=task_id)) == "PROMPT_TOO_LARGE"
