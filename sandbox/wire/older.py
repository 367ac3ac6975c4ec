"""The older dialects of a socket: what the TypeScript proxy and the Python MVP spoke (protocol §10, §10.1).

Down, `data` is a JSON text without base64 and an update is flat. What the older
dialects have no word for goes flat as it is. Up, a prompt stands in `data` as it
is (`text`) or in an object around base64 (`legacy`).
"""

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sandbox.wire import gojson
from sandbox.wire.body import BindError, Body
from sandbox.wire.frame import Frame, MalformedFrameError, strict_base64
from sandbox.wire.prompt import Prompt, read_prompt

_ACP: Final = "acp_event"
_QUESTION: Final = "acp_ask_user_question"
_NAMES: Final = {
    "sessionUpdate": "type",
    "toolCallId": "tool_id",
    "title": "tool_name",
    "rawInput": "tool_input",
    "availableCommands": "commands",
    "entries": "steps",
}


@dataclass(frozen=True, slots=True)
class Words:
    """Where the two differ in what they tell.

    `statuses` of tool calls by the platform's own; `output` turns a tool's raw
    output into fields of the update; `echo` is `data` of a prompt that is told
    back, `complaint` that of a `task-error`, by its details.
    """

    statuses: Mapping[str, str]
    output: Callable[[Mapping[str, Any]], dict[str, object]]
    echo: Callable[[str], object]
    complaint: Callable[[str], str]


def encode(frame: Frame, words: Words) -> str:
    """Return the frame as an older backend writes it: what is empty is absent."""
    kind, data = frame.kind, _data(frame, words)
    if isinstance(data, dict) and frame.type == "task-running":
        kind, data = _flat(kind, data, words)
    if isinstance(data, dict | list) and frame.type != "user-input":
        data = gojson.dumps(data)
    fields = {"type": frame.type, "kind": kind, "data": data, "seq": frame.seq, "timestamp": frame.timestamp}
    return gojson.dumps({name: value for name, value in fields.items() if value or name == "type"})


def _data(frame: Frame, words: Words) -> object:
    if frame.type == "user-input":
        return words.echo(read_prompt(frame.data).text)
    payload: object = gojson.loads(frame.data) if frame.data else None
    if frame.type == "task-error" and isinstance(payload, dict):
        return words.complaint(str(payload.get("details", "")))
    return payload


def _flat(kind: str, payload: dict[str, Any], words: Words) -> tuple[str, object]:
    """Return the kind and the flat payload. A question has one carrier, and its id is `request_id`."""
    update = payload.get("update")
    call = update if isinstance(update, dict) else payload.get("toolCall")
    if not isinstance(call, dict):
        return kind, payload
    if isinstance(call.get("rawInput"), dict) and "questions" in call["rawInput"]:
        return _QUESTION, {"request_id": call["toolCallId"], "rawInput": call["rawInput"]}
    match call.get("sessionUpdate"):
        case "agent_message_chunk" | "agent_thought_chunk" as name:
            return _ACP, _chunk(name, call["content"])
        case "tool_call" | "tool_call_update":
            return _ACP, _tool(call, words)
        case "plan":
            steps = [
                {"id": str(number), "title": entry["content"], "status": entry["status"]}
                for number, entry in enumerate(call["entries"], 1)
            ]
            return _ACP, {"type": "plan", "steps": steps}
        case "available_commands_update" as name:
            return _ACP, {
                "type": name,
                "commands": [command["name"] for command in call["availableCommands"]],
            }
    return kind, _renamed(call)


def _chunk(name: str, content: Mapping[str, Any]) -> dict[str, object]:
    if content.get("type") == "text":
        return {"type": name, "text": content["text"], "content": content["text"]}
    return {"type": name, "content": content}


def _tool(call: Mapping[str, Any], words: Words) -> dict[str, object]:
    told = _renamed({name: value for name, value in call.items() if name not in {"status", "rawOutput"}})
    if "status" in call:
        told["status"] = words.statuses[call["status"]]
    if "rawOutput" in call:
        told |= words.output(call["rawOutput"])
    return told


def _renamed(update: Mapping[str, Any]) -> dict[str, object]:
    return {_NAMES.get(name, name): value for name, value in update.items()}


def _delta(raw: Mapping[str, Any]) -> dict[str, object]:
    return {"delta": str(raw.get("output") or raw.get("stderr") or raw.get("error") or "")}


def _extra(raw: Mapping[str, Any]) -> dict[str, object]:
    wrong = str(raw.get("stderr") or raw.get("error") or "")
    return {"extra": {"exit_code": int(bool(wrong)), "stdout": str(raw.get("output", "")), "stderr": wrong}}


def _enclosed(text: str) -> dict[str, str]:
    # With the space that Python's json writes: the MVP's bytes (§10.1).
    inner = json.dumps({"content": text}, ensure_ascii=False)
    return {"content": base64.b64encode(inner.encode()).decode("ascii")}


TEXT: Final = Words(
    statuses={"pending": "pending", "in_progress": "running", "completed": "done", "failed": "failed"},
    output=_delta,
    echo=lambda text: text,
    complaint=lambda details: details,
)
LEGACY: Final = Words(
    statuses={"pending": "pending", "in_progress": "running", "completed": "success", "failed": "error"},
    output=_extra,
    echo=_enclosed,
    complaint=lambda details: gojson.dumps({"error": details, "code": 500}),
)


def parse_text(message: bytes | str) -> Frame:
    """Read a client's message in `text`; MalformedFrameError for what a backend drops.

    A prompt stands in `data` as it is; the documented form with attachments is read too.
    """
    body, name = _envelope(message)
    data = body.raw("data")
    if name != "user-input":
        return _plain(name, body)
    if not isinstance(data, str):
        raise MalformedFrameError("data is not a string")
    given = _object(data)
    documented = isinstance(given.get("content"), str) and isinstance(given.get("attachments"), list)
    return _prompt(read_prompt(data.encode()) if documented else Prompt(data))


def parse_legacy(message: bytes | str) -> Frame:
    """Read a client's message in `legacy`: `_` counts as `-`. MalformedFrameError.

    A prompt is an object whose `content` is base64 of `{"content": text}`, or a plain string.
    """
    body, name = _envelope(message)
    data = body.raw("data")
    name = name.replace("_", "-")
    if name != "user-input":
        return _plain(name, body)
    if isinstance(data, str):
        return _prompt(Prompt(data))
    content = data.get("content") if isinstance(data, dict) else None
    if not isinstance(content, str):
        raise MalformedFrameError("data has no content")
    raw = strict_base64(content)
    if raw is None:
        return _prompt(Prompt(content))
    inner = _object(raw).get("content")
    return _prompt(Prompt(inner if isinstance(inner, str) else raw.decode("utf-8", "replace")))


def _envelope(message: bytes | str) -> tuple[Body, str]:
    try:
        body = Body(gojson.loads(message))
        return body, body.text("type")
    except BindError as error:
        raise MalformedFrameError(str(error)) from None
    except ValueError:
        raise MalformedFrameError("not JSON") from None


def _object(source: bytes | str) -> dict[str, Any]:
    try:
        value = gojson.loads(source)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _plain(name: str, body: Body) -> Frame:
    """Return a frame that is no prompt, whose `data` is a JSON text or the value itself."""
    data = body.raw("data")
    text = data if isinstance(data, str) else gojson.dumps(data)
    try:
        return Frame(name, b"" if data is None else text.encode(), body.text("kind"))
    except BindError as error:
        raise MalformedFrameError(str(error)) from None


def _prompt(prompt: Prompt) -> Frame:
    # The storage form takes any text as it is, a blank one too (§6.4, 1).
    fields = {
        "encoding": "plaintext",
        "content": prompt.text,
        "attachments": [attachment.fields() for attachment in prompt.attachments],
    }
    return Frame("user-input", gojson.dumps(fields).encode())
