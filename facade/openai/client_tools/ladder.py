"""Reads what stands in an envelope: strict JSON, then the dialects of models, then loose JSON.

What comes out says which tool by which arguments, as it was written; whether
there is such a tool and whether the arguments fit is judged elsewhere.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import msgspec

from facade.openai.loose_json import LooseError, loose_values


@dataclass(frozen=True, slots=True)
class Written:
    """A call as the agent wrote it; `arguments` is any JSON value, or the text of a custom tool."""

    name: str
    arguments: object


_FENCE: Final = re.compile(r"```[\w-]*[ \t]*\n?(.*?)\n?\s*```", re.DOTALL)
_ARG: Final = re.compile(
    r"<arg\s+name\s*=\s*[\"']?([^\"'>]+)[\"']?\s*>\n?(.*?)</arg>(?=\s*(?:<arg\s+name\s*=|[{\[]|\Z))",
    re.DOTALL,
)
_FUNCTION: Final = re.compile(
    r"<function\s*=\s*[\"']?([^\"'>]+?)[\"']?\s*>(.*?)</function>(?=\s*(?:<|\Z))", re.DOTALL
)
_PARAMETER: Final = re.compile(
    r"<parameter\s*=\s*[\"']?([^\"'>]+?)[\"']?\s*>(.*?)</parameter>(?=\s*(?:<parameter\b|\Z))", re.DOTALL
)
_INVOKE: Final = re.compile(
    r"<invoke\s+name\s*=\s*[\"']([^\"'>]+)[\"']\s*>(.*?)</invoke>(?=\s*(?:<|\Z))", re.DOTALL
)
_NAMED_PARAMETER: Final = re.compile(
    r"<parameter\s+name\s*=\s*[\"']([^\"'>]+)[\"']\s*>(.*?)</parameter>(?=\s*(?:<parameter\b|\Z))", re.DOTALL
)
_WRAPPER: Final = re.compile(r"</?(?:antml:)?function_calls>")
_NAMES: Final = ("name", "tool", "tool_name", "function")
_ARGUMENTS: Final = ("arguments", "parameters", "args", "input")
_BESIDE: Final = frozenset({"id", "call_id", "type", "nonce"})


def written_calls(body: str) -> list[Written] | None:
    """Return the calls that the body of an envelope makes; None where it cannot be read."""
    body = body.strip()
    if fenced := _FENCE.fullmatch(body):
        body = fenced[1].strip()
    values = _strict(body)
    if values is None:
        tagged = _tagged(body)
        if tagged is not None:
            return tagged
        values = _loose(body)
    return None if values is None else _all_calls(values)


def is_unfinished(body: str) -> bool:
    """Say whether a body ends inside a string or a raw block: a closing tag there may be part of it."""
    for tag in ("arg", "parameter"):
        if len(re.findall(rf"<{tag}[\s=]", body)) > body.count(f"</{tag}>"):
            return True
    inside = escaped = False
    for char in body:
        if escaped:
            escaped = False
        elif char == "\\":
            escaped = inside
        elif char == '"':
            inside = not inside
    return inside


def _strict(text: str) -> list[object] | None:
    try:
        return [msgspec.json.decode(text)]
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        return None


def _loose(text: str) -> list[object] | None:
    try:
        return loose_values(text)
    except LooseError:
        return None


def _tagged(body: str) -> list[Written] | None:
    """Read raw blocks beside JSON, `<function=…>` or `<invoke …>`; None where the body is none of them."""
    blocks = dict(_ARG.findall(body))
    if blocks:
        head = _ARG.sub("", body).strip()
        values = _strict(head) or _loose(head)
        calls = None if values is None else _all_calls(values)
        if calls is None or len(calls) != 1 or not isinstance(calls[0].arguments, dict):
            return None
        return [Written(calls[0].name, calls[0].arguments | blocks)]
    body = _WRAPPER.sub("", body).strip()
    for call, parameter in ((_FUNCTION, _PARAMETER), (_INVOKE, _NAMED_PARAMETER)):
        if call.sub("", body).strip():
            continue  # something else stands there, too
        found = [
            Written(name.strip(), dict(_parameters(inner, parameter))) for name, inner in call.findall(body)
        ]
        if found:
            return found
    return None


def _parameters(inner: str, parameter: re.Pattern[str]) -> Iterator[tuple[str, object]]:
    for name, value in parameter.findall(inner):
        yield name.strip(), value.removeprefix("\n").removesuffix("\n")


def _all_calls(values: list[object]) -> list[Written] | None:
    calls: list[Written] = []
    for value in values:
        if isinstance(value, list):
            several = _all_calls(value)
        elif isinstance(value, dict) and isinstance(inner := value.get("tool_calls"), list):
            several = _all_calls(inner)
        else:
            one = _call(value) if isinstance(value, dict) else None
            several = None if one is None else [one]
        if several is None:
            return None
        calls.extend(several)
    return calls or None


def _call(fields: dict[str, object]) -> Written | None:
    if isinstance(inner := fields.get("function"), dict):
        return _call(inner)
    key = next((key for key in _NAMES if isinstance(fields.get(key), str)), None)
    if key is None:
        return None
    name = fields[key]
    assert isinstance(name, str)
    given = next((fields[other] for other in _ARGUMENTS if other in fields and other != key), None)
    if given is None and not any(other in fields for other in _ARGUMENTS):
        # the arguments stand beside the name
        given = {other: value for other, value in fields.items() if other != key and other not in _BESIDE}
    return Written(name.strip(), {} if given is None else _unpacked(given))


def _unpacked(arguments: object) -> object:
    """Return arguments that are JSON in a string, as OpenAI has them, as what they mean."""
    if not isinstance(arguments, str):
        return arguments
    text = arguments.strip()
    if not text:
        return {}
    values = (_strict(text) or _loose(text)) if text.startswith("{") else None
    return values[0] if values and len(values) == 1 and isinstance(values[0], dict) else arguments
