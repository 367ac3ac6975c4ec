"""Tasks over REST (protocol §5), over real sockets."""

import asyncio
import hashlib

import pytest

from tests.support.sandbox import Caller, Sandbox, answer_of

TASKS = "/api/v1/users/tasks"
UNKNOWN = "7b0c2f6e-2f0a-4f0e-9d51-0d2b8c1f5a11"
NIL = "00000000-0000-0000-0000-000000000000"


async def test_create_answers_with_a_pending_task(caller: Caller) -> None:
    answer = await caller.call("POST", TASKS, await caller.order("hello"))
    task = answer.data
    assert "task_id" not in task
    assert task["status"] == "pending"
    assert task["virtualmachine"] is None
    assert task["completed_at"] == -62135596800
    assert task["content"] == "hello"
    assert task["log_store"] == "clickhouse"
    await caller.call("DELETE", f"{TASKS}/{task['id']}")


_BAD_REQUESTS: list[dict[str, object]] = [
    {"content": ""},
    {"content": 7},
    {"host_id": ""},
    {"image_id": NIL},
    {"image_id": "devbox"},
    {"model_id": ""},
    {"resource": None},
    {"resource": {"core": "2"}},
    {"git_identity_id": ""},
    {"extra": {"project_id": "x"}},
    {"attachments": [{"url": "", "filename": "a"}]},
    {"attachments": [{"url": "http://elsewhere.example/a", "filename": "a"}]},
    {"attachments": [{"url": "/api/v1/assets?key=temp%2Fsomeone_else.png", "filename": "a"}]},
]


@pytest.mark.parametrize("fields", _BAD_REQUESTS, ids=str)
async def test_what_does_not_validate_is_a_400(caller: Caller, fields: dict[str, object]) -> None:
    answer = await caller.call("POST", TASKS, await caller.order("x", **fields))
    assert (answer.status, answer.code) == (400, 400)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"resource": {"life": 10801}}, 10230),
        ({"host_id": UNKNOWN}, 10205),
        ({"model_id": "gpt"}, 10812),
        ({"model_id": UNKNOWN}, 500),
        ({"image_id": UNKNOWN}, 500),
        ({"git_identity_id": UNKNOWN}, 500),
        ({"extra": {"project_id": UNKNOWN}}, 500),
        # The order of the checks: what comes first is told.
        ({"resource": {"life": 10801}, "model_id": "gpt"}, 10230),
        ({"host_id": UNKNOWN, "model_id": "gpt"}, 10205),
        ({"model_id": "gpt", "image_id": UNKNOWN}, 10812),
    ],
)
async def test_business_errors_are_http_200(caller: Caller, fields: dict[str, object], code: int) -> None:
    answer = await caller.call("POST", TASKS, await caller.order("x", **fields))
    assert (answer.status, answer.code) == (200, code)


async def test_a_model_beyond_the_plan_is_10812(caller: Caller) -> None:
    models = (await caller.call("GET", "/api/v1/users/models")).data["models"]
    ultra = next(model["id"] for model in models if model["model"].startswith("monkeycode-ultra"))
    assert (await caller.call("POST", TASKS, await caller.order("x", model_id=ultra))).code == 10812


async def test_null_and_absent_fields_are_the_same(caller: Caller) -> None:
    task_id = await caller.create("hello", git_identity_id=None, extra=None, attachments=None)
    assert answer_of(await caller.follow(task_id)).startswith("You said: “hello”.")


@pytest.mark.parametrize("trap", ["cli_name", "interface_type"])
async def test_a_failed_create_leaves_a_task_that_holds_its_slot(other: Caller, trap: str) -> None:
    """§5.2: the row is committed before the agent's configuration is made."""
    models = (await other.call("GET", "/api/v1/users/models")).data["models"]
    legacy = next(model["id"] for model in models if model["interface_type"] == "")
    fields = {"cli_name": "vim"} if trap == "cli_name" else {"model_id": legacy}
    assert (await other.call("POST", TASKS, await other.order("stray", **fields))).code == 500
    pending = (await other.call("GET", f"{TASKS}?status=pending")).data["tasks"]
    assert [task["content"] for task in pending] == ["stray"]
    assert pending[0]["virtualmachine"] is None
    assert (await other.call("DELETE", f"{TASKS}/{pending[0]['id']}")).code == 0
    assert (await other.call("GET", f"{TASKS}?status=pending")).data["page_info"]["total_count"] == 0


async def test_the_boot_is_told_step_by_step() -> None:
    async with Sandbox(HOWLER_SANDBOX_BOOT_MS="1000") as sandbox, Caller(sandbox.url) as caller:
        task_id = await caller.create("hello")
        seen: list[tuple[str, int]] = []
        while (info := await caller.info(task_id))["status"] == "pending":
            conditions = info["virtualmachine"]["conditions"] or []
            assert info["virtualmachine"]["status"] == "pending"
            if conditions:
                step = (conditions[-1]["type"], conditions[-1]["progress"])
                if step not in seen:
                    seen.append(step)
            await asyncio.sleep(0.01)
        assert info["status"] == "processing"
        assert info["virtualmachine"]["status"] == "online"
        order = ["Scheduled", "ImagePulled", "ContainerCreated", "ContainerStarted", "Ready"]
        assert [one["type"] for one in info["virtualmachine"]["conditions"]] == order
        names = [name for name, _ in seen]
        assert names == sorted(names, key=order.index)
        assert any(progress == 50 for _, progress in seen)


async def test_a_failed_boot_is_an_error(caller: Caller) -> None:
    info = await caller.until(await caller.create("/bootfail"), "error")
    assert info["virtualmachine"]["status"] == "offline"
    assert info["virtualmachine"]["conditions"][-1]["type"] == "Failed"
    assert info["virtualmachine"]["conditions"][-1]["status"] == 3


async def test_a_turns_end_does_not_change_the_status(caller: Caller) -> None:
    task_id = await caller.create("hello")
    await caller.follow(task_id)
    info = await caller.info(task_id)
    assert info["status"] == "processing"
    assert info["extra"]["project_id"] == NIL
    assert "stats" not in info


async def test_slots_are_held_until_stop(shared_url: str) -> None:
    async with Caller(shared_url, 2) as caller:
        held = [await caller.create("hello") for _ in range(caller.account["slots"])]
        order = await caller.order("one too many")
        assert (await caller.call("POST", TASKS, order)).code == 10811
        assert (await caller.call("PUT", f"{TASKS}/stop", {"id": held[0]})).json == {
            "code": 0,
            "message": "success",
        }
        await caller.create("now it fits")
        assert (await caller.call("POST", TASKS, order)).code == 10811
        assert (await caller.call("DELETE", f"{TASKS}/{held[1]}")).code == 0
        await caller.create("now it fits too")


async def test_stop_finishes(caller: Caller) -> None:
    task_id = await caller.create("hello")
    await caller.until(task_id, "processing")
    assert (await caller.call("PUT", f"{TASKS}/stop", {"id": task_id})).code == 0
    info = await caller.info(task_id)
    assert info["status"] == "finished"
    assert info["completed_at"] > 0
    assert info["virtualmachine"]["status"] == "offline"


async def test_delete_leaves_the_task_readable_once(caller: Caller) -> None:
    task_id = await caller.create("hello")
    assert (await caller.call("DELETE", f"{TASKS}/{task_id}")).json == {"code": 0, "message": "success"}
    assert (await caller.info(task_id))["content"] == "hello"
    assert (await caller.call("DELETE", f"{TASKS}/{task_id}")).code == 10002
    assert (await caller.call("DELETE", f"{TASKS}/{UNKNOWN}")).code == 10002


async def test_foreign_and_unknown_tasks_are_code_500(caller: Caller, other: Caller) -> None:
    task_id = await caller.create("hello")
    for one in (task_id, UNKNOWN):
        assert (await other.call("GET", f"{TASKS}/{one}")).code == 500
        assert (await other.call("PUT", f"{TASKS}/stop", {"id": one})).code == 500
        assert (await other.call("PUT", f"{TASKS}/{one}", {"title": "mine"})).code == 500
        assert (await other.call("GET", f"{TASKS}/rounds?id={one}")).code == 500
    assert (await other.call("DELETE", f"{TASKS}/{task_id}")).code == 10002
    assert (await other.call("GET", f"{TASKS}/not-a-uuid")).status == 400


async def test_update_sets_the_title(caller: Caller) -> None:
    task_id = await caller.create("hello")
    assert (await caller.call("PUT", f"{TASKS}/{task_id}", {"title": "Greeting"})).code == 0
    assert (await caller.info(task_id))["title"] == "Greeting"


async def test_lists_are_paged_newest_first(shared_url: str) -> None:
    async with Caller(shared_url, 3) as caller:
        ids = [await caller.create(f"task {number}") for number in range(3)]
        page = (await caller.call("GET", f"{TASKS}?page=1&size=2")).data
        assert [task["id"] for task in page["tasks"]] == [ids[2], ids[1]]
        assert page["page_info"] == {"has_next_page": True, "total_count": 3}
        page = (await caller.call("GET", f"{TASKS}?page=2&size=2")).data
        assert [task["id"] for task in page["tasks"]] == [ids[0]]
        assert page["page_info"]["has_next_page"] is False
        await caller.call("PUT", f"{TASKS}/stop", {"id": ids[0]})
        active = (await caller.call("GET", f"{TASKS}?status=pending,processing")).data
        assert {task["id"] for task in active["tasks"]} == set(ids[1:])
        assert (await caller.call("GET", f"{TASKS}?page=x")).status == 400


async def test_uploads_are_owned(caller: Caller, other: Caller) -> None:
    presigned = (await caller.call("POST", "/api/v1/uploader/presign", {"filename": "shot.png"})).data
    upload, access = presigned["upload_url"], presigned["access_url"]
    assert access.startswith("/api/v1/assets?key=temp%2F")
    typed = await caller.call("PUT", upload, data=b"bytes", headers={"Content-Type": "image/png"})
    assert typed.status == 403
    untyped = await caller.call("PUT", upload, data=b"bytes", skip_auto_headers=["Content-Type"])
    assert untyped.status == 200
    assert (await caller.call("GET", access)).text == "bytes"
    assert (await caller.call("GET", access, headers={"Cookie": ""})).status == 401
    attachment = {"url": access, "filename": "shot.png"}
    task_id = await caller.create("look", attachments=[attachment])
    told = f"Attached: shot.png (5 bytes, SHA-256 {hashlib.sha256(b'bytes').hexdigest()})."
    assert told in answer_of(await caller.follow(task_id))
    assert told in answer_of(await caller.follow(task_id, "again", (attachment,)))
    nothing = {"url": access.replace(".png", ".gif"), "filename": "gone.gif"}
    assert "gone.gif (nothing there)" in answer_of(await caller.follow(task_id, "gone?", (nothing,)))
    refused = await other.call("POST", TASKS, await other.order("look", attachments=[attachment]))
    assert refused.status == 400
    too_many = await caller.order("look", attachments=[attachment] * 11)
    assert (await caller.call("POST", TASKS, too_many)).status == 400


async def test_the_same_name_overwrites(caller: Caller) -> None:
    """§5.9: an object is keyed by its user and its name."""
    access = []
    for content in (b"first", b"second"):
        presigned = (await caller.call("POST", "/api/v1/uploader/presign", {"filename": "a.txt"})).data
        access.append(presigned["access_url"])
        put = await caller.call(
            "PUT", presigned["upload_url"], data=content, skip_auto_headers=["Content-Type"]
        )
        assert put.status == 200
    assert access[0] == access[1]
    assert (await caller.call("GET", access[0])).text == "second"


async def test_a_platform_without_storage() -> None:
    """§5.9: the routes do not exist."""
    async with Sandbox(HOWLER_SANDBOX_STORAGE="false") as bare, Caller(bare.url) as caller:
        presign = await caller.call("POST", "/api/v1/uploader/presign", {"filename": "a.txt"})
        assert (presign.status, presign.text) == (404, '{"message":"Not Found"}')
        assert (await caller.call("GET", "/api/v1/assets?key=x")).status == 404


async def test_bodies_beyond_ten_megabytes_are_refused(caller: Caller) -> None:
    order = await caller.order("x" * (9 * 1024 * 1024))
    task_id = (await caller.call("POST", TASKS, order)).data["id"]
    assert "9437184 characters" in answer_of(await caller.follow(task_id))
    await caller.call("DELETE", f"{TASKS}/{task_id}")
    answer = await caller.call("POST", TASKS, await caller.order("x" * (10 * 1024 * 1024)))
    assert answer.status == 413
