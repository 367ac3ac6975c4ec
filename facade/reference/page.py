"""Draws the reference for people: one page, which needs no script and nothing from elsewhere."""

import json
from collections.abc import Iterator
from html import escape
from typing import Any, Final

_STYLE: Final = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "code,pre{font:13px/1.4 ui-monospace,monospace}pre{background:#8881;padding:.6rem;overflow:auto}"
    "h2{margin-top:2.5rem}h2 b{color:#06c}td{text-align:left;vertical-align:top;padding:.1rem .8rem .1rem 0}"
    ":root{color-scheme:light dark}"
)


def page(document: dict[str, Any]) -> str:
    """Return the page for an OpenAPI document of this API."""
    about = document["info"]
    body = "\n".join(_body(document))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(about['title'])}</title><style>{_STYLE}</style></head>\n<body>\n"
        f"<h1>{escape(about['title'])}</h1>\n<p>{escape(about['description'])}</p>\n"
        f'<p>The same as OpenAPI: <a href="openapi.json">openapi.json</a>.</p>\n{body}\n</body></html>\n'
    )


def _body(document: dict[str, Any]) -> Iterator[str]:
    told = [(method, path, one) for path, found in document["paths"].items() for method, one in found.items()]
    yield "<ul>"
    for method, path, one in told:
        yield f'<li><a href="#{one["operationId"]}">{_name(method, path)}</a> {escape(one["summary"])}</li>'
    yield "</ul>"
    for method, path, one in told:
        yield f'<h2 id="{one["operationId"]}">{_name(method, path)}</h2>\n<p>{escape(one["summary"])}.</p>'
        if "description" in one:
            yield f"<p>{escape(one['description'])}</p>"
        yield from _parameters([_found(document, each) for each in one["parameters"]])
        asked = one.get("requestBody", {}).get("content", {}).get("application/json")
        if asked:
            yield f"<h3>Body: {_schema(asked['schema'])}</h3>"
            for example in asked["examples"].values():
                yield _pre(example["value"])
        for kind, answer in one["responses"]["200"]["content"].items():
            yield f"<h3>Answer: {_schema(answer['schema']) if 'schema' in answer else escape(kind)}</h3>"
            yield _pre(answer["example"])
    for name, schema in document["components"]["schemas"].items():
        yield f'<h2 id="{name}">{escape(name)}</h2>\n<p>{escape(schema.get("description", ""))}</p>'
        yield _pre({field: told for field, told in schema.items() if field not in ("title", "description")})


def _parameters(told: list[dict[str, Any]]) -> Iterator[str]:
    if told:
        yield "<table>"
        for one in told:
            values = ", ".join(one["schema"].get("enum", ()))
            about = " ".join(part for part in (one.get("description", ""), values) if part)
            yield f"<tr><td><code>{escape(one['name'])}</code><td>{one['in']}<td>{escape(about)}"
        yield "</table>"


def _found(document: dict[str, Any], parameter: dict[str, Any]) -> dict[str, Any]:
    """Return a parameter; where it stands elsewhere, from there."""
    place: Any = document if "$ref" in parameter else parameter
    for step in parameter.get("$ref", "#").split("/")[1:]:
        place = place[step]
    found: dict[str, Any] = place
    return found


def _name(method: str, path: str) -> str:
    return f"<b>{method.upper()}</b> <code>{escape(path)}</code>"


def _schema(reference: dict[str, str]) -> str:
    name = reference["$ref"].rpartition("/")[2]
    return f'<a href="#{name}">{escape(name)}</a>'


def _pre(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
    return f"<pre>{escape(text)}</pre>"
