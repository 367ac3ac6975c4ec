"""Replies in the platform's envelope, and the failures that become one (protocol §1.2, §1.3)."""

import uuid
from typing import Final

from aiohttp import web

from sandbox.wire import gojson

# (English, Chinese); a code that is not here speaks of itself.
_TEXTS: Final = {
    400: ("Invalid parameters", "参数错误"),
    401: ("Unauthorized", "未授权"),
    403: ("Forbidden", "禁止访问"),
    500: ("Internal server error", "服务器内部错误"),
    10002: ("Resource not found", "资源不存在"),
    10004: ("Database query failed", "数据库查询失败"),
    10204: ("No public host is online", "没有可用的公共主机"),
    10205: ("The host is offline", "主机已离线"),
    10230: ("Public host quota exceeded", "超出公共主机配额"),
    10605: ("This account is blocked", "账号已被封禁"),
    10606: ("Login failed", "登录失败"),
    10811: ("You already have too many running tasks", "运行中的任务数已达上限"),
    10812: ("No access to this model", "无权使用该模型"),
}


class Failure(Exception):
    """A reply with a code that is not 0. `http` is 200 for every business error."""

    def __init__(self, code: int, http: int = 200, message: str = "") -> None:
        super().__init__(f"code {code}")
        self.code, self.http, self.message = code, http, message


class Unauthorized(Exception):
    """No session, or a bad one: HTTP 401 as plain text, which is no envelope."""


def bad_request() -> Failure:
    """The request cannot be parsed or does not validate."""
    return Failure(400, 400)


def ok() -> web.Response:
    """Success of a handler that returns nothing: `data` is absent."""
    return reply(200, {"code": 0, "message": "success"})


def answer(data: object) -> web.Response:
    """Success with data."""
    return reply(200, {"code": 0, "message": "success", "data": data})


def failed(failure: Failure, language: str) -> web.Response:
    """The envelope of a failure, its text in the caller's language."""
    english, chinese = _TEXTS.get(failure.code, (f"Error {failure.code}",) * 2)
    text = failure.message or (chinese if language == "cn" else english)
    trace = uuid.uuid4().hex
    return reply(failure.http, {"code": failure.code, "message": f"{text} [trace_id: {trace}]"})


def reply(status: int, value: object) -> web.Response:
    """Any JSON reply."""
    return web.Response(status=status, text=gojson.dumps(value), content_type="application/json")


def language_of(request: web.Request) -> str:
    """Return cn or en: the cookie `language`, else Accept-Language (§1.2)."""
    wanted = request.cookies.get("language") or str(request.headers.get("Accept-Language", ""))
    return "cn" if wanted.startswith(("cn", "zh")) else "en"
