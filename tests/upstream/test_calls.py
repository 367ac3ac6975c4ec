"""The platform's calls against upstreams that answer in every form (upstream-protocol §1-5, §10)."""

import logging

import pytest
from aiohttp import web
from howler.model.v1.model_service_pb2 import OwnerType

from server.errors import ServiceError, reason_name
from server.pool.account import AccountId, Session, TaskId
from server.upstream.headers import VERSION
from server.upstream.platform import NewTask, Platform
from tests.upstream.stand_in import (
    COOKIE,
    SESSION,
    USER,
    Handler,
    Recorder,
    answers,
    in_turn,
    platform,
    says,
    upstream,
)

MODEL = {
    "id": "m-1",
    "provider": "OpenAI",
    "model": "gpt-x",
    "owner": {"id": "u", "type": "public", "name": "MC"},
}
TASK = {
    "id": "t-1",
    "status": "processing",
    "content": "hi",
    "created_at": 1784088470,
    "model": {"id": "m-1"},
}


def models(*rows: object, **page: object) -> Handler:
    return says({"models": list(rows), "page": {"has_next_page": False, **page}})


async def test_each_call_carries_its_own_cookie_and_no_other() -> None:
    """P11, P12: one cookie per account, also after the platform tried to set one."""

    async def setting(_: web.Request) -> web.Response:
        reply = web.json_response({"code": 0, "message": "success", "data": {"models": []}})
        reply.set_cookie("monkeycode_ai_session", "stolen")
        reply.set_cookie("other", "1")
        return reply

    asked = Recorder(setting)
    async with platform(GET_users_models=asked) as made:
        await made.models(SESSION)
        await made.models(Session(AccountId("acc_2"), "second"))
    assert [request.headers["Cookie"] for request in asked.asked] == [
        f"monkeycode_ai_session={COOKIE}",
        "monkeycode_ai_session=second",
    ]
    assert {request.headers["User-Agent"] for request in asked.asked} == {f"howler/{VERSION}"}
    assert {request.headers["Accept"] for request in asked.asked} == {"application/json"}


async def test_basic_auth_is_sent_along() -> None:
    asked = Recorder(models(MODEL))
    async with upstream(GET_users_models=asked) as url, Platform(url, basic_auth="ann:pass") as made:
        await made.models(SESSION)
    assert asked.asked[0].headers["Authorization"] == "Basic YW5uOnBhc3M="


async def test_all_pages_are_read_and_repeated_models_dropped() -> None:
    """§3.1: public models stand on every page; the last one has a cursor too, so `has_next_page` decides."""
    asked = Recorder(
        in_turn(
            models(MODEL, {**MODEL, "id": "m-2"}, cursor="u.1", has_next_page=True),
            models(MODEL, {**MODEL, "id": "m-3"}, {**MODEL, "id": "m-4", "is_hidden": True}, cursor="u.2"),
        )
    )
    async with platform(GET_users_models=asked) as made:
        found = await made.models(SESSION)
    assert [model.upstream_id for model in found] == ["m-1", "m-2", "m-3"]
    assert [request.query.get("cursor") for request in asked.asked] == [None, "u.1"]


async def test_a_list_that_never_ends_is_left() -> None:
    asked = Recorder(models(MODEL, cursor="u.1", has_next_page=True))
    async with platform(GET_users_models=asked) as made:
        assert len(await made.models(SESSION)) == 1
    assert len(asked.asked) == 2


@pytest.mark.parametrize(
    "reply",
    [
        says({"models": [MODEL]}),
        says([MODEL]),
        answers('{"models":[{"id":"m-1","model":"gpt-x","provider":"OpenAI"}]}', kind="application/json"),
        answers('[{"id":"m-1","name":"gpt-x","provider":"OpenAI"}]', kind="text/plain"),
        answers('{"data":{"models":[{"id":"m-1","model":"gpt-x"},7]}}', kind="application/json"),
        answers(
            '{"code":"0","msg":"ok","data":{"models":[{"id":"m-1","model":"gpt-x"}]}}', kind="text/plain"
        ),
    ],
    ids=["envelope", "list in it", "bare", "bare list", "data alone", "older words"],
)
async def test_models_in_every_dress(reply: Handler) -> None:
    """§10: bare replies and older spellings are taken."""
    async with platform(GET_users_models=reply) as made:
        (model,) = await made.models(SESSION)
    assert (model.upstream_id, model.model) == ("m-1", "gpt-x")


@pytest.mark.parametrize(
    "reply", [says(), says({"models": None}), says({})], ids=["no data", "null", "no key"]
)
async def test_no_models(reply: Handler) -> None:
    async with platform(GET_users_models=reply) as made:
        assert await made.models(SESSION) == []


async def test_owner_is_an_object_or_a_string() -> None:
    """P5.2."""
    rows = [
        {**MODEL, "id": "1", "owner": {"type": "team", "name": "T", "id": "o"}},
        {**MODEL, "id": "2", "owner": "Public"},
        {**MODEL, "id": "3", "owner": "Somebody"},
        {**MODEL, "id": "4", "owner": None},
    ]
    async with platform(GET_users_models=models(*rows)) as made:
        owners = [model.owner for model in await made.models(SESSION)]
    assert [(owner.type, owner.name, owner.id) for owner in owners] == [
        (OwnerType.OWNER_TYPE_TEAM, "T", "o"),
        (OwnerType.OWNER_TYPE_PUBLIC, "", ""),
        (OwnerType.OWNER_TYPE_UNSPECIFIED, "Somebody", ""),
        (OwnerType.OWNER_TYPE_UNSPECIFIED, "", ""),
    ]


async def test_create_sends_what_the_clients_send() -> None:
    """§5.1; the image marked devbox, the public host (§4)."""
    created = Recorder(says({"id": "t-1", "status": "pending"}))
    images = [
        {"id": "i-1", "remark": "devbox", "owner": None},
        {"id": "i-2", "remark": "other", "is_default": True},
        {"id": "i-3", "remark": "devbox", "owner": {"type": "public"}},
    ]
    hosts = {"hosts": [{"id": "public_host_a_b_c", "status": "online"}]}
    asked = Recorder(says({"images": images}))
    routes: dict[str, Handler] = {
        "POST_users_tasks": created,
        "GET_users_images": asked,
        "GET_users_hosts": says(hosts),
    }
    async with platform(**routes) as made:
        assert await made.create_task(SESSION, NewTask("do it", "m-1", "be brief")) == "t-1"
        assert await made.create_task(SESSION, NewTask("again", "m-1")) == "t-1"
    first, second = created.bodies
    assert first == {
        "content": "do it",
        "cli_name": "opencode",
        "model_id": "m-1",
        "image_id": "i-3",
        "host_id": "public_host",
        "task_type": "develop",
        "repo": {},
        "extra": {"skill_ids": []},
        "resource": {"core": 2, "memory": 8589934592, "life": 10800},
        "system_prompt": "be brief",
    }
    assert "system_prompt" not in second
    assert created.asked[0].headers["Content-Type"] == "application/json"
    assert len(asked.asked) == 1  # the image is kept


@pytest.mark.parametrize("key", ["id", "task_id", "ID"])
async def test_the_id_of_a_create_in_any_spelling(key: str) -> None:
    async with fixed(POST_users_tasks=says({key: "t-9"})) as made:
        assert await made.create_task(SESSION, NewTask("x", "m-1")) == "t-9"


def fixed(**routes: Handler):  # type: ignore[no-untyped-def]
    """A platform on which image and host need no picking."""
    return platform(
        GET_users_images=says({"images": [{"id": "i-1"}]}), GET_users_hosts=says({"hosts": None}), **routes
    )


async def test_image_and_host_are_picked_again_after_a_create_was_refused() -> None:
    images = Recorder(says({"images": [{"id": "i-1"}]}))
    refused_once = in_turn(says(code=10205, message="offline"), says({"id": "t-1"}))
    routes: dict[str, Handler] = {
        "POST_users_tasks": refused_once,
        "GET_users_images": images,
        "GET_users_hosts": says({"hosts": None}),
    }
    async with platform(**routes) as made:
        with pytest.raises(ServiceError) as raised:
            await made.create_task(SESSION, NewTask("x", "m-1"))
        assert reason_name(raised.value.reason) == "HOST_UNAVAILABLE"
        assert await made.create_task(SESSION, NewTask("x", "m-1")) == "t-1"
    assert len(images.asked) == 2


@pytest.mark.parametrize(("role", "host"), [("subaccount", "h-2"), ("individual", "public_host")])
async def test_the_host_of_a_subaccount(role: str, host: str) -> None:
    """§4.2: only a subaccount prefers a host of its own."""
    hosts = [
        {"id": "h-1", "status": "offline"},
        {"id": "public_host_a", "status": "online"},
        {"id": "h-2", "status": "online"},
    ]
    routes: dict[str, Handler] = {
        "GET_users_hosts": says({"hosts": hosts}),
        "GET_users_status": says({"user": {**USER, "role": role}}),
    }
    async with platform(**routes) as made:
        assert await made.pick_host(SESSION) == host


async def test_settings_settle_image_and_host() -> None:
    async with upstream() as url, Platform(url, image_id="i", host_id="h") as made:
        assert (await made.pick_image(SESSION), await made.pick_host(SESSION)) == ("i", "h")


async def test_no_image() -> None:
    async with platform(GET_users_images=says({"images": []})) as made:
        with pytest.raises(ServiceError) as raised:
            await made.pick_image(SESSION)
    assert reason_name(raised.value.reason) == "IMAGE_NOT_FOUND"


async def test_task() -> None:
    """§5.3: the last condition is the current one; what the platform leaves out is empty."""
    vm = {
        "status": "pending",
        "conditions": [
            {"type": "Scheduled", "status": 2, "message": "", "progress": 100},
            {"type": "ImagePulled", "status": 1, "message": "pulling", "progress": 40},
        ],
    }
    stats = {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7, "llm_requests": 1}
    full = says({**TASK, "status": "pending", "virtualmachine": vm, "stats": stats})
    bare = says({**TASK, "virtualmachine": None, "completed_at": -62135596800})
    async with platform(any=in_turn(full, bare)) as made:
        pending = await made.task(SESSION, TaskId("t-1"))
        running = await made.task(SESSION, TaskId("t-1"))
    assert pending.condition is not None
    assert (pending.condition.type, pending.condition.message, pending.condition.progress) == (
        "ImagePulled",
        "pulling",
        40,
    )
    assert pending.tokens is not None
    assert (pending.tokens.input, pending.tokens.output, pending.tokens.total) == (5, 2, 7)
    assert (running.status, running.content, running.created_at, running.model_id) == (
        "processing",
        "hi",
        1784088470,
        "m-1",
    )
    assert (running.vm_status, running.condition, running.tokens) == ("", None, None)
    assert "hi" not in repr(running)


async def test_tasks_and_rounds_and_stop() -> None:
    stopped = Recorder(says())
    listed = Recorder(says({"tasks": [TASK], "page_info": {"has_next_page": False, "total_count": 1}}))
    chunks = [
        {"event": "task-ended", "kind": "", "timestamp": 3, "seq": 9, "turn_seq": 2},
        {"event": "user-input", "data": "e30=", "kind": "", "timestamp": 1, "turn_seq": 2},
        {"event": "task-ended", "timestamp": 5, "seq": 1, "turn_seq": 1},
    ]
    routes: dict[str, Handler] = {
        "GET_users_tasks": listed,
        "PUT_users_tasks_stop": stopped,
        "GET_users_tasks_rounds": says({"chunks": chunks, "has_more": False}),
        "DELETE_users_tasks_t1": says(),
    }
    async with platform(**routes) as made:
        (task,) = await made.tasks(SESSION, ("pending", "processing"))
        await made.stop_task(SESSION, task.task_id)
        await made.delete_task(SESSION, TaskId("t1"))
        rounds = await made.rounds(SESSION, task.task_id, limit=2)
    assert dict(listed.asked[0].query) == {"page": "1", "size": "100", "status": "pending,processing"}
    assert stopped.bodies == [{"id": "t-1"}]
    assert [(chunk.turn_seq, chunk.event) for chunk in rounds] == [
        (1, "task-ended"),
        (2, "user-input"),
        (2, "task-ended"),
    ]


async def test_a_task_id_cannot_leave_its_place_in_the_path() -> None:
    asked = Recorder(says(TASK))
    async with platform(any=asked) as made:
        await made.task(SESSION, TaskId("../../users/models?x=1"))
    assert asked.asked[0].raw_path == "/api/v1/users/tasks/..%2F..%2Fusers%2Fmodels%3Fx%3D1"


async def test_code_500_on_a_task_means_not_found_after_a_second_look() -> None:
    """§1.4."""
    missing = Recorder(says(code=500, message="err [trace_id: 0af7651916cd43dd8448eb211c80319c]"))
    once = in_turn(says(code=500, message="hiccup"), says(TASK))
    async with platform(any=missing) as made:
        with pytest.raises(ServiceError) as raised:
            await made.task(SESSION, TaskId("t-1"))
        assert reason_name(raised.value.reason) == "TASK_NOT_FOUND"
        assert len(missing.asked) == 2
        with pytest.raises(ServiceError) as raised:
            await made.stop_task(SESSION, TaskId("t-1"))
        assert reason_name(raised.value.reason) == "TASK_NOT_FOUND"
    async with platform(any=once) as made:
        assert (await made.task(SESSION, TaskId("t-1"))).task_id == "t-1"
    async with platform(any=says(code=10002, message="gone")) as made:
        with pytest.raises(ServiceError) as raised:
            await made.delete_task(SESSION, TaskId("t-1"))
        assert reason_name(raised.value.reason) == "TASK_NOT_FOUND"


async def test_nothing_secret_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Not even at DEBUG, and not by the libraries."""
    caplog.set_level(logging.DEBUG)
    async with fixed(
        POST_users_tasks=says(code=10811, message="full of my-prompt"), any=says(code=500)
    ) as made:
        with pytest.raises(ServiceError) as raised:
            await made.create_task(SESSION, NewTask("my-prompt", "m-1", "my-system"))
        with pytest.raises(ServiceError):
            async with made.stream(SESSION, TaskId("t-1"), "attach"):
                pass
    assert reason_name(raised.value.reason) == "CONCURRENCY_LIMIT"
    told = caplog.text + raised.value.message
    for secret in (COOKIE, "my-prompt", "my-system"):
        assert secret not in told
