"""Makes the OpenAPI document of the operations, its schemas from the types that requests are parsed by."""

import re
from typing import Any, Final

import msgspec

from facade.openai.client_tools.mode import CLIENT_TOOLS_HEADER, ClientToolsMode
from facade.openai.hints import SESSION_HEADER
from facade.openai.presentation import THINKING_HEADER, TOOL_DISPLAY_HEADER, Thinking, ToolDisplay
from facade.reference.answers import ErrorAnswer
from facade.reference.examples import error_answer
from facade.reference.operations import Operation, operations

_REF: Final = "#/components/schemas/{name}"
_PATH_PARAM: Final = re.compile(r"\{(\w+)\}")
_ABOUT: Final = (
    "The OpenAI-compatible front of Howler, a gateway to remote coding agents. Any key is taken, as a Bearer "
    "token or as `x-api-key`. Every answer has an `x-request-id`; an error is always an `ErrorAnswer`, with "
    "`retry-after` and `x-should-retry` saying whether to send the request again."
)


def document() -> dict[str, Any]:
    """Return the document, ready as JSON."""
    told = operations()
    types: set[type[msgspec.Struct]] = {ErrorAnswer, *(one.answer for one in told)}
    types |= {one.body for one in told if one.body is not None}
    _, components = msgspec.json.schema_components(sorted(types, key=_name), ref_template=_REF)
    paths: dict[str, dict[str, Any]] = {}
    for one in told:
        paths.setdefault(one.path, {})[one.method] = _operation(one)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Howler", "version": "1", "description": _ABOUT},
        "paths": paths,
        "components": {
            "schemas": components,
            "headers": {
                "RequestId": {"schema": {"type": "string"}, "description": "Names the request in logs."}
            },
            "parameters": _parameters(),
            "responses": {"Error": _answer(ErrorAnswer, error_answer(), "What went wrong.")},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
            },
        },
        "security": [{}, {"bearer": []}, {"key": []}],
    }


def _operation(one: Operation) -> dict[str, Any]:
    error = {"$ref": "#/components/responses/Error"}
    found: dict[str, Any] = {
        "operationId": re.sub(r"\W+", "_", f"{one.method}{one.path}").strip("_"),
        "tags": [one.tag],
        "summary": one.summary,
        "parameters": [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
            for name in _PATH_PARAM.findall(one.path)
        ],
        "responses": {"200": _success(one), "4XX": error, "5XX": error},
    }
    if one.description:
        found["description"] = one.description
    if one.body is not None:
        examples = {name: {"value": body} for name, body in (one.bodies or {}).items()}
        found["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": _ref(one.body), "examples": examples}},
        }
    if one.stream:
        found["parameters"] += [
            {"$ref": f"#/components/parameters/{name}"}
            for name in _parameters()
            if name != "ClientTools" or _declares_tools(one)
        ]
    return found


def _declares_tools(one: Operation) -> bool:
    return one.body is not None and any(field.name == "tools" for field in msgspec.structs.fields(one.body))


def _success(one: Operation) -> dict[str, Any]:
    answer = _answer(one.answer, one.example, one.summary + ".")
    if one.stream:
        answer["content"]["text/event-stream"] = {"example": one.stream}
    return answer


def _answer(kind: type[msgspec.Struct], example: object, description: str) -> dict[str, Any]:
    return {
        "description": description,
        "headers": {"x-request-id": {"$ref": "#/components/headers/RequestId"}},
        "content": {"application/json": {"schema": _ref(kind), "example": example}},
    }


def _ref(kind: type[msgspec.Struct]) -> dict[str, str]:
    return {"$ref": _REF.format(name=_name(kind))}


def _name(kind: type[msgspec.Struct]) -> str:
    return kind.__name__


def _parameters() -> dict[str, Any]:
    """Return the headers that say how a turn is run and told."""
    displays = {"type": "string", "enum": [str(display) for display in ToolDisplay]}
    thinking = {"type": "string", "enum": [str(way) for way in Thinking]}
    modes = {"type": "string", "enum": [str(mode) for mode in ClientToolsMode]}
    session = {"type": "string", "maxLength": 128}
    return {
        "ToolDisplay": _header(TOOL_DISPLAY_HEADER, "Where the agent's tools are shown.", displays),
        "Thinking": _header(THINKING_HEADER, "What becomes of the agent's thoughts.", thinking),
        "ClientTools": _header(
            CLIENT_TOOLS_HEADER, "What becomes of the tools that the request declares.", modes
        ),
        "Session": _header(SESSION_HEADER, "The caller's name of its conversation.", session),
    }


def _header(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": False, "description": description, "schema": schema}
