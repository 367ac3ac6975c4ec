"""The cases as they lie in cases/: what is asked, what the sandbox's agent plays, under which settings."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

HERE: Final = Path(__file__).parent
FORMS: Final = ("chat-stream", "chat-whole", "responses-stream", "responses-whole")
SOCKET: Final = "responses-socket"
"""The form of a request over a WebSocket."""

_PATHS: Final = {"chat": "/v1/chat/completions", "responses": "/v1/responses"}


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is asked after the request of a case: a method and a path, and a body where it has one.

    `{id}` is the response that came last, `{call}` its last call of a client's tool. `response.create` asks
    over the WebSocket of the case.
    """

    ask: str
    body: dict[str, Any] | None = None


class Case(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file of cases/. It is asked in all four forms of HTTP unless `forms` names some.

    `prompt` is what the user says and, where it is a scenario of the sandbox, what the agent plays. `fields`
    stand in every request, those of `chat` and `responses` in the requests of one API alone; null takes a
    field out. `raw` is a body as it is. `settings` are what Howler must be started with. With
    `keeps_alive` the answer must be kept alive while nothing comes. `then` is asked about a response.
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
    then: tuple[Step, ...] = ()


@dataclass(frozen=True)
class Ask:
    """One request of a case."""

    method: str
    path: str
    body: bytes
    headers: dict[str, str]
    streams: bool = False
    includes_usage: bool = False

    @property
    def is_chat(self) -> bool:
        """It asks for a chat completion."""
        return self.path == _PATHS["chat"]


def case_names() -> list[str]:
    """Return the names of all cases."""
    return sorted(path.stem for path in (HERE / "cases").glob("*.json"))


def read_case(name: str) -> Case:
    """Read a case; raises msgspec.ValidationError where the file is none."""
    return msgspec.json.decode((HERE / "cases" / f"{name}.json").read_bytes(), type=Case)


def ask_of(case: Case, form: str) -> Ask:
    """Return what is asked in one of the forms."""
    api, mode = form.split("-")
    path = SOCKET if form == SOCKET else _PATHS[api]
    said: dict[str, Any] = (
        {"messages": [{"role": "user", "content": case.prompt}]} if api == "chat" else {"input": case.prompt}
    )
    own = case.chat if api == "chat" else case.responses
    fields = {"model": "default", **said, "stream": mode == "stream", **case.fields, **own}
    fields = {name: value for name, value in fields.items() if value is not None}
    body = msgspec.json.encode(fields) if case.raw is None else case.raw.encode()
    headers = {"content-type": "application/json", **case.headers}
    usage = bool((fields.get("stream_options") or {}).get("include_usage"))
    return Ask("POST", path, body, headers, mode == "stream", usage)


def ask_of_step(case: Case, step: Step, names: dict[str, str]) -> Ask:
    """Return what a step asks; `names` is what its placeholders stand for."""
    text = msgspec.json.encode(step).decode()
    for name, value in names.items():
        text = text.replace(f"{{{name}}}", value)
    told = msgspec.json.decode(text, type=Step)
    method, _, path = told.ask.rpartition(" ")
    if path == "response.create":
        path = SOCKET
    body = msgspec.json.encode({"model": "default"} | told.body) if told.body is not None else b""
    headers = {"content-type": "application/json", **case.headers}
    streams = "stream=true" in path or bool((told.body or {}).get("stream"))
    return Ask(method, path, body, headers, streams)


def known_failures() -> dict[str, str]:
    """Return which forms of which cases fail, `case/form`, and why: known_failures.txt."""
    lines = (HERE / "known_failures.txt").read_text("utf-8").splitlines()
    told = [line.partition("  # ") for line in lines if line and not line.startswith("#")]
    return {where.strip(): why for where, _, why in told}
