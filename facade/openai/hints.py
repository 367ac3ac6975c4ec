"""What a request tells of the conversation that it belongs to (openai-surface.md §3, §7.1). Pure.

`previous_response_id` and `conversation`, which are the API's own words for it,
stand in the body of a response; they rank between `session` and `client_session`.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec
from msgspec import Raw

SESSION_HEADER: Final = "x-gateway-session-id"
COUNT_HEADER: Final = "x-stainless-retry-count"

COMPACTION: Final = "compaction"
"""The kind of a request for a summary."""

_CACHE_KEY: Final = "prompt_cache_key"
_NOTHING: Final = Raw(b"null")
_MOST: Final = 128  # bytes of an id


class Hints(NamedTuple):
    """What a request tells of its conversation; each is empty where it tells nothing.

    `session` is what the caller names on purpose. `client_session` is the
    client's own id of its conversation, after the client's name and a colon.
    `client_turn` is its id of the turn, the same when it sends the turn again;
    `sent_before` is how often an SDK did so, None where none counts. `kind` is
    what the request is for, in Codex's words: `turn`, `compaction`, `prewarm`.
    """

    session: str = ""
    client_session: str = ""
    client_turn: str = ""
    sent_before: int | None = None
    kind: str = ""


NO_HINTS: Final = Hints()


def read_hints(headers: Mapping[str, str], members: Mapping[str, Raw]) -> Hints:
    """Return what headers, their names in lower case, and a body's fields tell."""
    metadata = _strings(members.get("metadata", _NOTHING))
    session = _first(headers.get(SESSION_HEADER), metadata.get("session_id"))
    sent_before = _number(headers.get(COUNT_HEADER, ""))
    if not headers.get("originator", "").lower().startswith("codex"):
        return Hints(session, _client_session(headers, members), sent_before=sent_before)
    own = _strings(members.get("client_metadata", _NOTHING))
    about_turn = headers.get("x-codex-turn-metadata") or own.get("x-codex-turn-metadata", "")
    turn = _strings(Raw(about_turn.encode(errors="replace")))
    chat = _first(
        headers.get("thread-id"),
        headers.get("session-id"),
        turn.get("thread_id"),
        _string(members.get(_CACHE_KEY, _NOTHING)),
    )
    return Hints(
        session,
        _named("codex", chat),
        client_turn=_first(turn.get("turn_id"), own.get("turn_id")),
        sent_before=sent_before,
        kind=_first(turn.get("request_kind")),
    )


def _client_session(headers: Mapping[str, str], members: Mapping[str, Raw]) -> str:
    """Return the client's own id; a `prompt_cache_key` counts only of clients known to name a chat by it."""
    if chat := _first(headers.get("x-openwebui-chat-id")):
        return _named("open-webui", chat)
    if headers.get("user-agent", "").startswith("opencode/"):
        given = (
            headers.get("x-session-id"),
            headers.get("x-session-affinity"),
            _string(members.get(_CACHE_KEY, _NOTHING)),
        )
        return _named("opencode", _first(*given))
    return ""


def _named(client: str, chat: str) -> str:
    return f"{client}:{chat}" if chat else ""


def _first(*given: str | None) -> str:
    """Return the first that can be an id: one short line of visible characters."""
    for text in given:
        found = (text or "").strip()
        if found and found.isprintable() and len(found.encode()) <= _MOST:
            return found
    return ""


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 9 else None


def _string(value: Raw) -> str | None:
    try:
        return msgspec.json.decode(value, type=str)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def _strings(value: Raw) -> dict[str, str]:
    """Return the members of an object that are strings; none where it is no object."""
    if bytes(value) == b"null":
        return {}
    try:
        members = msgspec.json.decode(value, type=dict[str, object])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return {}
    return {name: member for name, member in members.items() if isinstance(member, str)}
