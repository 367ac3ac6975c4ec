"""Sessions: logging in, and whose one is (upstream-protocol §2)."""

from howler.error.v1.error_reason_pb2 import ErrorReason

from server.errors import ServiceError
from server.pool.account import TEAM_COOKIE, USER_COOKIE
from server.upstream.errors import Refusal
from server.upstream.http import Call, Http, cookies_of
from server.upstream.reply import open_reply
from server.upstream.shapes import wrong_shape
from server.upstream.users import User, read_user

_E = ErrorReason


async def log_in(http: Http, email: str, password: str) -> str:
    """Log in by password and return the session cookie's value.

    Raises CAPTCHA_REQUIRED, LOGIN_FAILED, ACCOUNT_BLOCKED and TEAM_SESSION.
    """
    if await _asks_captcha(http):
        raise _captcha()
    body = {"email": email, "password": password}
    call = Call("POST", "/users/password-login", body=body, secrets=(email, password))
    reply = await http.exchange(call)
    if reply.status != 302:  # what older backends answer to a login that succeeded (§10)
        try:
            open_reply(reply, call.secrets)
        except Refusal as refusal:
            raise (_captcha() if refusal.code == 403 else refusal) from None
    cookies = cookies_of(reply)
    if cookie := cookies.get(USER_COOKIE):
        return cookie
    if TEAM_COOKIE in cookies:
        raise _team_session()
    raise wrong_shape(f"cookie {USER_COOKIE}")


async def _asks_captcha(http: Http) -> bool:
    """Say whether a login needs a captcha; a server that cannot say needs one (§2.3)."""
    try:
        config = await http.repeatable(Call("GET", "/server/config"))
    except Refusal as refusal:
        if refusal.reason == _E.ERROR_REASON_UPSTREAM_NOT_FOUND:
            return True
        raise
    return not isinstance(config, dict) or config.get("captcha_enabled") is not False


async def user_of(http: Http, cookie: str) -> User:
    """Return the user of a session. Raises SESSION_EXPIRED, and TEAM_SESSION for a team administrator's."""
    try:
        return read_user(await http.repeatable(Call("GET", "/users/status", cookie)))
    except Refusal as refusal:
        if refusal.reason == _E.ERROR_REASON_SESSION_EXPIRED and await _is_team_session(http, cookie):
            raise _team_session() from None
        raise


async def _is_team_session(http: Http, cookie: str) -> bool:
    """Say whether the value is a team cookie's, which looks like an expired session elsewhere (§2.1)."""
    call = Call("GET", "/teams/users/status", cookie, cookie_name=TEAM_COOKIE)
    try:
        return bool(await http.once(call))
    except ServiceError:
        return False


def _captcha() -> ServiceError:
    return ServiceError(
        _E.ERROR_REASON_CAPTCHA_REQUIRED,
        "a login by password needs a captcha here; log in with a browser and import the session cookie",
    )


def _team_session() -> ServiceError:
    return ServiceError(
        _E.ERROR_REASON_TEAM_SESSION,
        "this is a team administrator's session, which cannot run tasks; import a user's",
    )
