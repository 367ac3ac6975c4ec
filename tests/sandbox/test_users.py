"""Envelope, sessions and login (protocol §1, §2), over real sockets."""

import re

import pytest

from tests.support.sandbox import Caller, Sandbox

_TRACE = re.compile(r".+ \[trace_id: [0-9a-f]{32}\]")
LOGIN = "/api/v1/users/password-login"


def _credentials(caller: Caller, **fields: object) -> dict[str, object]:
    return {"email": caller.account["email"], "password": caller.account["password"]} | fields


async def test_success_is_the_envelope(caller: Caller) -> None:
    answer = await caller.call("GET", "/api/v1/server/config")
    assert answer.status == 200
    assert answer.json["code"] == 0
    assert answer.json["message"] == "success"
    assert answer.data["captcha_enabled"] is False


async def test_a_failure_has_a_code_and_a_trace_and_no_data(caller: Caller) -> None:
    answer = await caller.call("POST", LOGIN, _credentials(caller, password="wrong"))
    assert (answer.status, answer.code) == (200, 10606)
    assert _TRACE.fullmatch(answer.json["message"])
    assert "data" not in answer.json


async def test_messages_follow_the_language(caller: Caller) -> None:
    wrong = _credentials(caller, password="wrong")
    answer = await caller.call("POST", LOGIN, wrong, headers={"Cookie": "language=cn"})
    assert answer.json["message"].startswith("登录失败 [trace_id: ")


async def test_login_gives_the_user_and_a_session(caller: Caller) -> None:
    answer = await caller.call("POST", LOGIN, _credentials(caller))
    assert answer.data["email"] == caller.account["email"]
    assert {"role": "individual", "status": "active", "is_blocked": False}.items() <= answer.data.items()
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith("monkeycode_ai_session=")
    for attribute in ("Path=/", "Max-Age=2592000", "HttpOnly", "SameSite=Lax"):
        assert attribute in cookie
    assert "Secure" not in cookie
    token = cookie.partition(";")[0]
    status = await caller.call("GET", "/api/v1/users/status", headers={"Cookie": token})
    assert status.data["user"]["id"] == answer.data["id"]
    # A new login leaves the older session alone.
    assert (await caller.call("GET", "/api/v1/users/status")).code == 0


@pytest.mark.parametrize(
    "body", [{"email": "a@b.c"}, {"password": "x"}, {}, {"email": 7, "password": "x"}, []]
)
async def test_login_without_its_fields_is_a_400(caller: Caller, body: object) -> None:
    answer = await caller.call("POST", LOGIN, body)
    assert (answer.status, answer.code) == (400, 400)


@pytest.mark.parametrize("content_type", ["text/plain", ""])
async def test_a_body_that_is_not_called_json_is_a_400(caller: Caller, content_type: str) -> None:
    body = b'{"email":"agent1@sandbox.example","password":"sandbox-1"}'
    answer = await caller.call("POST", LOGIN, data=body, headers={"Content-Type": content_type})
    assert (answer.status, answer.code) == (400, 400)


@pytest.mark.parametrize("body", [b"{", b'{"email":NaN}', b"\xff", b"[" * 100_000])
async def test_a_body_that_is_no_json_is_a_400(caller: Caller, body: bytes) -> None:
    answer = await caller.call("POST", LOGIN, data=body, headers={"Content-Type": "application/json"})
    assert (answer.status, answer.code) == (400, 400)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/v1/users/models"),
        ("GET", "/api/v1/users/tasks"),
        ("POST", "/api/v1/users/tasks"),
        ("GET", "/api/v1/users/tasks/stream?id=x"),
        ("POST", "/api/v1/users/logout"),
        ("GET", "/api/v1/teams/users/status"),
    ],
)
@pytest.mark.parametrize("cookie", ["", "monkeycode_ai_session=nobody"])
async def test_without_a_session_it_is_a_401_in_plain_text(
    caller: Caller, method: str, path: str, cookie: str
) -> None:
    answer = await caller.call(method, path, headers={"Cookie": cookie})
    assert (answer.status, answer.text) == (401, "Unauthorized")
    assert answer.headers["Content-Type"].startswith("text/plain")


async def test_status_without_a_session_is_a_401_in_json(caller: Caller) -> None:
    answer = await caller.call("GET", "/api/v1/users/status", headers={"Cookie": ""})
    assert (answer.status, answer.code) == (401, 401)


async def test_logout_ends_one_session(caller: Caller) -> None:
    cookie = (await caller.call("POST", LOGIN, _credentials(caller))).headers["Set-Cookie"].partition(";")[0]
    assert (await caller.call("POST", "/api/v1/users/logout", headers={"Cookie": cookie})).json == {
        "code": 0,
        "message": "success",
    }
    assert (await caller.call("GET", "/api/v1/users/status", headers={"Cookie": cookie})).status == 401
    assert (await caller.call("GET", "/api/v1/users/status")).status == 200


async def test_a_team_session_opens_team_routes_only(caller: Caller) -> None:
    admin = {"email": "admin@sandbox.example", "password": "sandbox-admin"}
    assert (await caller.call("POST", LOGIN, admin)).code == 10606
    answer = await caller.call("POST", "/api/v1/teams/users/login", admin)
    token = answer.headers["Set-Cookie"].partition(";")[0]
    assert token.startswith("monkeycode_ai_team_session=")
    team = await caller.call("GET", "/api/v1/teams/users/status", headers={"Cookie": token})
    assert team.data["user"]["role"] == "enterprise"
    models = await caller.call("GET", "/api/v1/users/models", headers={"Cookie": token})
    assert (models.status, models.text) == (401, "Unauthorized")


async def test_unknown_routes_and_methods_answer_as_echo_does(caller: Caller) -> None:
    unknown = await caller.call("GET", "/api/v1/users/nothing")
    assert (unknown.status, unknown.json) == (404, {"message": "Not Found"})
    wrong = await caller.call("PATCH", "/api/v1/users/models")
    assert (wrong.status, wrong.json) == (405, {"message": "Method Not Allowed"})


async def test_plan_and_wallet(caller: Caller) -> None:
    assert (await caller.call("GET", "/api/v1/users/subscription")).data == {
        "plan": "pro",
        "auto_renew": False,
    }
    wallet = (await caller.call("GET", "/api/v1/users/wallet")).data
    assert set(wallet) == {"balance", "daily_token_balance", "daily_token_limit"}


async def test_captcha_blocks_and_expiry(sandbox: Sandbox) -> None:
    async with Caller(sandbox.url) as caller:
        await sandbox.faults(platform={"captcha": True})
        assert (await caller.call("GET", "/api/v1/server/config")).data["captcha_enabled"] is True
        refused = await caller.call("POST", LOGIN, _credentials(caller))
        assert (refused.status, refused.code) == (403, 403)
        await sandbox.faults(platform={}, accounts={"block": [caller.account["email"]]})
        assert (await caller.call("POST", LOGIN, _credentials(caller))).code == 10605
        assert (await caller.call("GET", "/api/v1/users/models")).code == 0  # sessions live on
        await sandbox.faults(accounts={"expire": ["*"]})
        assert (await caller.call("GET", "/api/v1/users/models")).text == "Unauthorized"
        await sandbox.reset()
        assert (await caller.call("POST", LOGIN, _credentials(caller))).code == 0
        assert (await caller.call("GET", "/api/v1/users/models")).code == 0


async def test_basic_auth_stands_before_everything() -> None:
    async with (
        Sandbox(HOWLER_SANDBOX_BASIC_AUTH="proxy:secret") as sandbox,
        Caller(sandbox.url) as caller,
    ):
        refused = await caller.call("GET", "/api/v1/server/config")
        assert refused.status == 401
        assert refused.headers["WWW-Authenticate"].startswith("Basic ")
        headers = {"Authorization": "Basic cHJveHk6c2VjcmV0"}
        assert (await caller.call("GET", "/api/v1/server/config", headers=headers)).status == 200
