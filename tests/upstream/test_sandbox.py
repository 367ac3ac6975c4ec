"""The upstream client against the sandbox: another reading of the same protocol, in its own process."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from howler.model.v1.model_service_pb2 import OwnerType

from server.errors import ServiceError, reason_name
from server.pool.account import AccountId, Session, TaskId
from server.upstream.platform import NewTask, Platform, TaskInfo
from server.upstream.socket import Socket
from tests.support.sandbox import Sandbox, accounts

ACCOUNT = accounts()[0]
SESSION = Session(AccountId("acc_1"), ACCOUNT["cookie"])
OTHER = Session(AccountId("acc_2"), accounts()[1]["cookie"])
NOWHERE = TaskId("7b0c2f6e-2f0a-4f0e-9d51-0d2b8c1f5a11")


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox() as running:
        yield running


@pytest.fixture
async def platform(sandbox: Sandbox) -> AsyncIterator[Platform]:
    async with Platform(sandbox.url, read_timeout=60.0) as made:
        yield made


async def new_task(platform: Platform, content: str = "hello") -> TaskId:
    model = (await platform.models(SESSION))[0]
    return await platform.create_task(SESSION, NewTask(content, model.upstream_id))


async def running(platform: Platform, task_id: TaskId) -> TaskInfo:
    async with asyncio.timeout(60):
        while (info := await platform.task(SESSION, task_id)).status == "pending":
            await asyncio.sleep(0.02)
    return info


async def frames_to_the_end(socket: Socket) -> list[str]:
    """Return the types of the frames up to the turn's end."""
    kinds: list[str] = []

    def take(frame: bytes) -> bool:
        kinds.append(json.loads(frame)["type"])
        return kinds[-1] == "task-ended"

    async with asyncio.timeout(60):
        await socket.each(take)
    return kinds


async def test_sessions(sandbox: Sandbox, platform: Platform) -> None:
    """P12: password login, status check, an expired session, a blocked account, a captcha."""
    cookie = await platform.login(ACCOUNT["email"], ACCOUNT["password"])
    user = await platform.whoami(cookie)
    assert user.email == ACCOUNT["email"]
    assert (await platform.whoami(SESSION.cookie)).user_id == user.user_id

    async def refused(email: str, password: str) -> str:
        with pytest.raises(ServiceError) as raised:
            await platform.login(email, password)
        assert password not in raised.value.message
        return reason_name(raised.value.reason)

    assert await refused(ACCOUNT["email"], "wrong-password") == "LOGIN_FAILED"
    await sandbox.faults(accounts={"block": [ACCOUNT["email"]]})
    assert await refused(ACCOUNT["email"], ACCOUNT["password"]) == "ACCOUNT_BLOCKED"
    await sandbox.faults(platform={"captcha": True}, accounts={"expire": [ACCOUNT["email"]]})
    assert await refused(ACCOUNT["email"], ACCOUNT["password"]) == "CAPTCHA_REQUIRED"
    for attempt in (platform.whoami(cookie), platform.models(Session(AccountId("acc_1"), cookie))):
        with pytest.raises(ServiceError) as raised:
            await attempt
        assert reason_name(raised.value.reason) == "SESSION_EXPIRED"


async def test_models_are_read_whole(platform: Platform) -> None:
    """P5, P5.2."""
    models = await platform.models(SESSION)
    assert models
    ids = [model.upstream_id for model in models]
    assert len(set(ids)) == len(ids)
    for model in models:
        assert model.provider
        assert model.model
        assert model.owner.type != OwnerType.OWNER_TYPE_UNSPECIFIED
        assert model.create_time.seconds > 0
        assert model.id == ""


async def test_the_first_turn_runs_from_the_create_and_is_followed_by_attach(platform: Platform) -> None:
    """§5.1, §6.8; the answer is in the rounds afterwards (§5.7)."""
    task_id = await new_task(platform, "hello")
    info = await running(platform, task_id)
    assert (info.task_id, info.content) == (task_id, "hello")
    assert [task.task_id for task in await platform.tasks(SESSION, ("pending", "processing"))] == [task_id]
    async with platform.stream(SESSION, task_id, "attach") as socket:
        kinds = await frames_to_the_end(socket)
    assert "task-running" in kinds
    chunks = await platform.rounds(SESSION, task_id)
    assert [chunks[0].event, chunks[-1].event] == ["user-input", "task-ended"]
    await platform.stop_task(SESSION, task_id)
    assert (await platform.task(SESSION, task_id)).status == "finished"
    assert await platform.tasks(SESSION, ("pending", "processing")) == []


async def test_another_accounts_task_is_not_found(platform: Platform) -> None:
    """§1.4: one cookie per account, and what is not its own it does not see."""
    task_id = await new_task(platform)
    for session, wanted in ((OTHER, task_id), (SESSION, NOWHERE)):
        for attempt in (
            platform.task(session, wanted),
            platform.stop_task(session, wanted),
            platform.delete_task(session, wanted),
            platform.rounds(session, wanted),
            opened(platform, session, wanted),
        ):
            with pytest.raises(ServiceError) as raised:
                await attempt
            assert reason_name(raised.value.reason) == "TASK_NOT_FOUND"
    await platform.delete_task(SESSION, task_id)
    assert await platform.tasks(SESSION, ("pending", "processing")) == []


async def opened(platform: Platform, session: Session, task_id: TaskId) -> None:
    async with platform.stream(session, task_id, "attach"):
        pass


async def test_the_limit_of_active_tasks(platform: Platform) -> None:
    """10811."""
    model = (await platform.models(SESSION))[0].upstream_id
    for number in range(ACCOUNT["slots"]):
        await platform.create_task(SESSION, NewTask(f"task {number}", model))
    with pytest.raises(ServiceError) as raised:
        await platform.create_task(SESSION, NewTask("one too many", model))
    assert reason_name(raised.value.reason) == "CONCURRENCY_LIMIT"
    assert "trace" in raised.value.message


async def test_a_model_that_is_none(platform: Platform) -> None:
    with pytest.raises(ServiceError) as raised:
        await platform.create_task(SESSION, NewTask("x", "no-uuid"))
    assert reason_name(raised.value.reason) == "MODEL_ACCESS_DENIED"


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_the_answer_to_a_create_is_dropped(sandbox: Sandbox, platform: Platform, moment: str) -> None:
    """§5.2: whether it happened is not known; the list of tasks tells."""
    fault = {"path": "/api/v1/users/tasks", "method": "POST", "do": "drop", "when": moment}
    await sandbox.faults(routes=[fault])
    with pytest.raises(ServiceError) as raised:
        await new_task(platform, "only once")
    assert reason_name(raised.value.reason) == "ACCEPTANCE_UNKNOWN"
    listed = await platform.tasks(SESSION, ("pending", "processing"))
    assert [task.content for task in listed] == (["only once"] if moment == "after" else [])


@pytest.mark.parametrize("cut", ["fin", "rst", "close"])
async def test_a_stream_is_cut(sandbox: Sandbox, platform: Platform, cut: str) -> None:
    """P7.2."""
    task_id = await new_task(platform)
    await running(platform, task_id)
    await sandbox.faults(stream={"cut_after_frames": 1, "cut": cut})
    async with platform.stream(SESSION, task_id, "attach") as socket:
        with pytest.raises(ServiceError) as raised:
            await frames_to_the_end(socket)
    assert reason_name(raised.value.reason) == "UPSTREAM_LOST"
    await sandbox.reset()
    async with platform.stream(SESSION, task_id, "attach") as socket:
        assert "task-running" in await frames_to_the_end(socket)


async def test_a_passing_failure_goes_unnoticed(sandbox: Sandbox, platform: Platform) -> None:
    await sandbox.faults(routes=[{"path": "/api/v1/users/models", "do": "code", "code": 10004}])
    assert await platform.models(SESSION)


async def test_basic_auth_in_front() -> None:
    async with Sandbox(HOWLER_SANDBOX_BASIC_AUTH="ann:pass") as guarded:
        async with Platform(guarded.url, basic_auth="ann:pass") as let_in:
            task_id = await new_task(let_in)
            await running(let_in, task_id)
            async with let_in.stream(SESSION, task_id, "attach") as socket:
                assert await frames_to_the_end(socket)
        async with Platform(guarded.url) as kept_out:
            with pytest.raises(ServiceError) as raised:
                await kept_out.models(SESSION)
    assert reason_name(raised.value.reason) == "UPSTREAM_FORBIDDEN"
    assert "HOWLER_UPSTREAM_BASIC_AUTH" in raised.value.message
