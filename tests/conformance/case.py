"""The cases as they lie in cases/: what is asked, what the sandbox's agent plays, under which settings."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

HERE: Final = Path(__file__).parent
FORMS: Final = ("chat-stream", "chat-whole", "responses-stream", "responses-whole")
_PATHS: Final = {"chat": "/v1/chat/completions", "responses": "/v1/responses"}


class Case(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file of cases/. It is asked in all four forms unless `forms` names some.

    `prompt` is what the user says and, where it is a scenario of the sandbox, what the agent plays. `fields`
    stand in every request, those of `chat` and `responses` in the requests of one API alone; null takes a
    field out. `raw` is a body as it is. `settings` are what Howler must be started with. With
    `keeps_alive` the answer must be kept alive while nothing comes.
    """

    about: str
    prompt: str = ""
    forms: tuple[str, ...] = FORMS
    fields: dict[str, Any] = {}
    chat: dict[str, Any] = {}
    responses: dict[str, Any] = {}
    raw: str | None = None
    headers: dict[str, str] = {}
    settings: dict[str, str] = {}
    keeps_alive: bool = False


@dataclass(frozen=True)
class Ask:
    """One request of a case."""

    api: str
    path: str
    body: bytes
    headers: dict[str, str]
    streams: bool
    includes_usage: bool


def case_names() -> list[str]:
    """Return the names of all cases."""
    return sorted(path.stem for path in (HERE / "cases").glob("*.json"))


def read_case(name: str) -> Case:
    """Read a case; raises msgspec.ValidationError where the file is none."""
    return msgspec.json.decode((HERE / "cases" / f"{name}.json").read_bytes(), type=Case)


def ask_of(case: Case, form: str) -> Ask:
    """Return what is asked in one of the forms."""
    api, mode = form.split("-")
    said: dict[str, Any] = (
        {"messages": [{"role": "user", "content": case.prompt}]} if api == "chat" else {"input": case.prompt}
    )
    own = case.chat if api == "chat" else case.responses
    fields = {"model": "default", **said, "stream": mode == "stream", **case.fields, **own}
    fields = {name: value for name, value in fields.items() if value is not None}
    body = msgspec.json.encode(fields) if case.raw is None else case.raw.encode()
    headers = {"content-type": "application/json", **case.headers}
    usage = bool((fields.get("stream_options") or {}).get("include_usage"))
    return Ask(api, _PATHS[api], body, headers, mode == "stream", usage)


def known_failures() -> dict[str, str]:
    """Return which forms of which cases fail, `case/form`, and why: known_failures.txt."""
    lines = (HERE / "known_failures.txt").read_text("utf-8").splitlines()
    told = [line.partition("  # ") for line in lines if line and not line.startswith("#")]
    return {where.strip(): why for where, _, why in told}
