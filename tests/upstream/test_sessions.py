"""Sessions against upstreams that answer in every form (upstream-protocol §2, §10)."""

import pytest
from aiohttp import web

from server.errors import ServiceError, reason_name
from tests.upstream.stand_in import COOKIE, USER, Handler, Recorder, answers, platform, says


@pytest.mark.parametrize(
    "data", [{"user": USER, "teams": [{"team_name": "T"}]}, {**USER, "team": {"name": "T"}}]
)
async def test_whoami(data: object) -> None:
    """P12: `{user, teams}`, or a flat user with older backends (§10)."""
    async with platform(GET_users_status=says(data)) as made:
        user = await made.whoami(COOKIE)
    assert (user.user_id, user.email, user.role, user.is_blocked, user.team) == (
        "u-1",
        "a@b.c",
        "individual",
        False,
        "T",
    )
    assert "a@b.c" not in repr(user)


@pytest.mark.parametrize(
    ("team", "reason"),
    [(says({"user": USER}), "TEAM_SESSION"), (answers("Unauthorized", status=401), "SESSION_EXPIRED")],
)
async def test_a_team_session_is_told_from_an_expired_one(team: Handler, reason: str) -> None:
    """P12, §2.1: it gets 401 on the users' routes."""
    asked = Recorder(team)
    expired = says(code=401, message="unauthorized", status=401)
    async with platform(GET_users_status=expired, GET_teams_users_status=asked) as made:
        with pytest.raises(ServiceError) as raised:
            await made.whoami(COOKIE)
    assert reason_name(raised.value.reason) == reason
    assert asked.asked[0].headers["Cookie"] == f"monkeycode_ai_team_session={COOKIE}"


def logged_in(name: str, status: int = 200) -> Handler:
    async def handler(_: web.Request) -> web.Response:
        reply = web.json_response({"code": 0, "message": "success", "data": USER}, status=status)
        reply.set_cookie(name, "fresh-cookie", httponly=True, path="/")
        return reply

    return handler


@pytest.mark.parametrize("status", [200, 302])
async def test_login(status: int) -> None:
    """P12, §2.2: the password goes as it is; older backends answer 302 (§10)."""
    asked = Recorder(logged_in("monkeycode_ai_session", status))
    routes: dict[str, Handler] = {
        "POST_users_password__login": asked,
        "GET_server_config": says({"captcha_enabled": False}),
    }
    async with platform(**routes) as made:
        assert await made.login("a@b.c", "p:w") == "fresh-cookie"
    assert asked.bodies == [{"email": "a@b.c", "password": "p:w"}]
    assert "Cookie" not in asked.asked[0].headers


@pytest.mark.parametrize(
    "config",
    [
        says({"captcha_enabled": True}),
        says({"edition": "saas"}),
        answers('{"message":"Not Found"}', status=404),
    ],
    ids=["on", "not said", "no route"],
)
async def test_a_login_that_needs_a_captcha_is_not_tried(config: Handler) -> None:
    """P12, §2.3."""
    asked = Recorder(logged_in("monkeycode_ai_session"))
    async with platform(POST_users_password__login=asked, GET_server_config=config) as made:
        with pytest.raises(ServiceError) as raised:
            await made.login("a@b.c", "pw")
    assert reason_name(raised.value.reason) == "CAPTCHA_REQUIRED"
    assert asked.asked == []


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (says(code=10606, message="wrong password s3cret"), "LOGIN_FAILED"),
        (says(code=10605, message="blocked"), "ACCOUNT_BLOCKED"),
        (says(code=403, message="forbidden", status=403), "CAPTCHA_REQUIRED"),
        (logged_in("monkeycode_ai_team_session"), "TEAM_SESSION"),
        (says(USER), "UPSTREAM_PROTOCOL"),
        (says(code=40002, message="no"), "LOGIN_FAILED"),
    ],
)
async def test_a_login_that_fails(reply: Handler, reason: str) -> None:
    routes: dict[str, Handler] = {
        "POST_users_password__login": reply,
        "GET_server_config": says({"captcha_enabled": False}),
    }
    async with platform(**routes) as made:
        with pytest.raises(ServiceError) as raised:
            await made.login("a@b.c", "s3cret")
    assert reason_name(raised.value.reason) == reason
    assert "s3cret" not in raised.value.message
