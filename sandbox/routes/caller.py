"""What a handler takes from a request: the backend, the caller, the body, the task."""

from typing import Final

from aiohttp import web

from sandbox.routes.envelope import Failure, Unauthorized, bad_request
from sandbox.wire import gojson
from sandbox.wire.body import BindError, Body, parse_uuid
from sandbox.world.accounts import USER_COOKIE, Account, Session
from sandbox.world.backend import Backend
from sandbox.world.task import Task

BACKEND: Final = web.AppKey("backend", Backend)


def backend_of(request: web.Request) -> Backend:
    """Return the backend."""
    return request.app[BACKEND]


def session_of(request: web.Request, cookie_name: str = USER_COOKIE) -> Session | None:
    """Return the session of the request's cookie, None if there is none."""
    return backend_of(request).accounts.session(cookie_name, request.cookies.get(cookie_name, ""))


def account_of(request: web.Request) -> Account:
    """Return the caller; Unauthorized without a session."""
    session = session_of(request)
    if session is None:
        raise Unauthorized
    return session.account


async def body_of(request: web.Request) -> Body:
    """Bind a JSON body; Failure 400 unless it is one and says so. No body binds as an empty one."""
    raw = await request.read()
    if not raw:
        return Body(None)
    if not request.headers.get("Content-Type", "").startswith("application/json"):
        raise bad_request()
    try:
        return Body(gojson.loads(raw))
    except ValueError:
        raise bad_request() from None


def id_of(text: str) -> str:
    """Return a uuid of the path or the query; Failure 400 if it is none."""
    try:
        return parse_uuid(text)
    except BindError:
        raise bad_request() from None


def number_of(request: web.Request, name: str, default: int) -> int:
    """Return an integer of the query, the default where absent; Failure 400 if it is none."""
    text = request.query.get(name, "")
    if not text:
        return default
    try:
        return int(text)
    except ValueError:
        raise bad_request() from None


def task_of(request: web.Request, task_id: str) -> Task:
    """Return a task of the caller; code 500 if it is unknown or not theirs (§5.3)."""
    task = backend_of(request).tasks.owned(task_id, account_of(request))
    if task is None:
        raise Failure(500)
    return task
