"""Login, status, logout, plan (protocol §2, §3.5)."""

from aiohttp import web

from sandbox.routes.caller import account_of, backend_of, body_of, session_of
from sandbox.routes.envelope import Failure, Unauthorized, answer, bad_request, failed, language_of, ok
from sandbox.wire.body import BindError
from sandbox.world.accounts import SESSION_SECONDS, TEAM_COOKIE, USER_COOKIE, stable_uuid

routes = web.RouteTableDef()


@routes.get("/api/v1/server/config")
async def server_config(request: web.Request) -> web.Response:
    """Tell what a client must know before login (§2.3)."""
    return answer(
        {
            "edition": "saas",
            "region": "global",
            "current_version": "v0.0.0-sandbox",
            "latest_version": "v0.0.0-sandbox",
            "captcha_enabled": backend_of(request).faults.platform.captcha,
        }
    )


@routes.post("/api/v1/users/password-login")
async def user_login(request: web.Request) -> web.Response:
    """Log a user in (§2.2)."""
    return await _login(request, USER_COOKIE)


@routes.post("/api/v1/teams/users/login")
async def team_login(request: web.Request) -> web.Response:
    """Log a team's administrator in: a session that opens no user route (§2.1)."""
    return await _login(request, TEAM_COOKIE)


async def _login(request: web.Request, cookie_name: str) -> web.Response:
    backend = backend_of(request)
    body = await body_of(request)
    try:
        email, password = body.text("email"), body.text("password")
        body.text("captcha_token")
    except BindError:
        raise bad_request() from None
    if not email or not password:
        raise bad_request()
    # The sandbox makes no captcha, so that no token is ever right.
    if backend.faults.platform.captcha:
        raise Failure(403, 403)
    account = backend.accounts.login(cookie_name, email, password)
    if account is None:
        raise Failure(10606)
    if account.blocked and cookie_name == USER_COOKIE:
        raise Failure(10605)
    response = answer(account.user())
    response.set_cookie(
        cookie_name,
        backend.accounts.open_session(cookie_name, account),
        max_age=SESSION_SECONDS,
        path="/",
        httponly=True,
        samesite="Lax",
    )
    return response


@routes.get("/api/v1/users/status")
async def user_status(request: web.Request) -> web.Response:
    """Tell who the session is; the one route whose 401 is JSON (§2.4)."""
    session = session_of(request)
    if session is None or session.user["is_blocked"]:
        return failed(Failure(401, 401), language_of(request))
    team = {
        "team_id": stable_uuid("team"),
        "user_id": session.account.id,
        "team_name": "Sandbox Team",
        "team_role": "user",
    }
    return answer({"user": session.user, "teams": [team]})


@routes.get("/api/v1/teams/users/status")
async def team_status(request: web.Request) -> web.Response:
    """Tell who the team session is."""
    session = session_of(request, TEAM_COOKIE)
    if session is None:
        raise Unauthorized
    return answer({"user": session.user, "team": {"id": stable_uuid("team"), "name": "Sandbox Team"}})


@routes.post("/api/v1/users/logout")
async def user_logout(request: web.Request) -> web.Response:
    """End the session."""
    return _logout(request, USER_COOKIE)


@routes.post("/api/v1/teams/users/logout")
async def team_logout(request: web.Request) -> web.Response:
    """End the team session."""
    return _logout(request, TEAM_COOKIE)


def _logout(request: web.Request, cookie_name: str) -> web.Response:
    if session_of(request, cookie_name) is None:
        raise Unauthorized
    backend_of(request).accounts.close_session(cookie_name, request.cookies[cookie_name])
    response = ok()
    response.del_cookie(cookie_name, path="/")
    return response


@routes.get("/api/v1/users/subscription")
async def subscription(request: web.Request) -> web.Response:
    """Tell the plan."""
    return answer({"plan": account_of(request).plan, "auto_renew": False})


@routes.get("/api/v1/users/wallet")
async def wallet(request: web.Request) -> web.Response:
    """Tell the balance (cloud; thousandths)."""
    account_of(request)
    return answer({"balance": 100_000, "daily_token_balance": 5_000_000, "daily_token_limit": 5_000_000})
