"""Opens the platform's HTTP replies: what is inside, or which refusal it is (upstream-protocol §1.2, §1.3).

Sans I/O. Takes the envelope, and the bare replies of older backends (§10).
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from howler.error.v1.error_reason_pb2 import ErrorReason

from server.upstream.errors import Refusal, Undecided, reason_of, words_for

_UNREADABLE: Final = (msgspec.MsgspecError, ValueError, RecursionError)
_TRACE: Final = re.compile(r"\s*\[trace_id:\s*([0-9A-Za-z-]{1,64})\s*\]\s*")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_TELLTALE: Final = 24  # characters at the start of a prompt by which it is known
_QUOTE_CHARS: Final = 200
_WAIT_MAX: Final = 3600.0  # seconds; a longer Retry-After is somebody's mistake


@dataclass(frozen=True, slots=True)
class Reply:
    """One HTTP reply, read whole. `headers` has lower-case names, `set_cookies` the headers of that name."""

    status: int
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    set_cookies: tuple[str, ...] = field(default=(), repr=False)


def open_reply(reply: Reply, secrets: Collection[str] = ()) -> Any:
    """Return what the reply carries: the envelope's `data`, or a bare reply as it is.

    A message of the platform is quoted unless it repeats one of the `secrets`.
    Raises Refusal when the platform says no, Undecided when this is no answer of the platform.
    """
    if reply.status > 500:  # the platform itself never says so: whatever the body is, a proxy made it
        raise _not_ours(reply)
    try:
        content = msgspec.json.decode(reply.body)
    except _UNREADABLE:
        raise _not_ours(reply) from None
    if not isinstance(content, dict):
        if reply.status >= 300 or not isinstance(content, list):
            raise _not_ours(reply)
        return content
    code = _code_of(content)
    if code:
        raise _refusal(reply, code, _quote(content, secrets))
    if reply.status >= 300:
        if reply.status >= 500:
            raise _not_ours(reply)
        raise _refusal(reply, reply.status, _quote(content, secrets))
    if code is None and "data" not in content:
        return content
    return content.get("data")


def _code_of(content: dict[str, Any]) -> int | None:
    """Return the envelope's code, or None for a bare reply."""
    code = content.get("code")
    if isinstance(code, str) and code.isascii() and code.isdigit() and len(code) < 10:
        code = int(code)
    return code if isinstance(code, int) and not isinstance(code, bool) else None


def _quote(content: dict[str, Any], secrets: Collection[str]) -> str:
    """Return the platform's message on one line, the trace id after it: operators need it.

    A message that repeats a secret, or how a longer one begins, is not quoted at all.
    """
    said = content.get("message") or content.get("msg")
    if not isinstance(said, str) or any(secret and secret[:_TELLTALE] in said for secret in secrets):
        return ""
    trace = _TRACE.search(said)
    said = on_one_line(_TRACE.sub(" ", said))
    return f"{said} (trace {trace[1]})".strip() if trace else said


def on_one_line(said: str) -> str:
    """Return what the platform said as it may stand in a message of ours: one line, cut where it is long."""
    said = _CONTROL.sub(" ", said).strip()
    return said if len(said) <= _QUOTE_CHARS else said[: _QUOTE_CHARS - 1] + "…"


def _refusal(reply: Reply, code: int, quote: str) -> Refusal:
    reason = reason_of(code)
    said = f": {quote}" if quote else ""
    return Refusal(reason, f"{words_for(reason)} (code {code}){said}", code, _retry_after(reply))


def _not_ours(reply: Reply) -> Refusal | Undecided:
    """Judge by the status alone a reply that is not the platform's JSON: a proxy's page, a plain text."""
    status = reply.status
    if status == 401 and reply.headers.get("www-authenticate", "").lower().startswith("basic"):
        return Refusal(
            ErrorReason.ERROR_REASON_UPSTREAM_FORBIDDEN,
            "a proxy in front of the platform asks for HTTP Basic Auth (HOWLER_UPSTREAM_BASIC_AUTH)",
            status,
        )
    if status < 300:
        return Undecided(
            ErrorReason.ERROR_REASON_UPSTREAM_PROTOCOL,
            f"the reply is not the platform's: HTTP {status} without JSON; is HOWLER_UPSTREAM_URL right?",
        )
    reason = reason_of(status)
    message = f"{words_for(reason)} (HTTP {status})"
    if status < 400:
        message += ": it redirects; is HOWLER_UPSTREAM_URL right?"
    if status >= 500:
        return Undecided(reason, message, _retry_after(reply))
    return Refusal(reason, message, status, _retry_after(reply))


def _retry_after(reply: Reply) -> float | None:
    """Return the seconds of a Retry-After header; its form as a date is not read."""
    value = reply.headers.get("retry-after", "").strip()
    return min(float(value), _WAIT_MAX) if re.fullmatch(r"[0-9]{1,9}", value, re.ASCII) else None
