"""Turns arguments of the wrong type into the ones that a schema means, where only one can be meant.

`"8080"` where a number is wanted, a number where a text is, JSON in a string
where an object or a list is, a null for what may be left out. What cannot be
turned stays as it is: the schema's check tells.
"""

from typing import Final

import msgspec

from facade.openai.loose_json import LooseError, loose_values

_MOST_DEPTH: Final = 32
_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
    "array": (list,),
    "object": (dict,),
}


def coerced(value: object, schema: object, root: object = None, depth: int = 0) -> object:
    """Return the value as its schema wants it, as far as that is plain; `root` is where `$ref` looks."""
    root = schema if root is None else root
    schema = _resolved(schema, root)
    if depth > _MOST_DEPTH or not isinstance(schema, dict):
        return value
    for key in ("anyOf", "oneOf"):
        if isinstance(options := schema.get(key), list):
            return _one_of(value, options, root, depth)
    types = _types(schema)
    if types and not any(_is(value, name) for name in types):
        value = next((turned for name in types if (turned := _turned(value, name)) is not _NO), value)
    if isinstance(value, dict):
        return _fields(value, schema, root, depth)
    if isinstance(value, list) and isinstance(items := schema.get("items"), dict):
        return [coerced(item, items, root, depth + 1) for item in value]
    return value


def _fields(
    value: dict[str, object], schema: dict[str, object], root: object, depth: int
) -> dict[str, object]:
    properties, required = schema.get("properties"), schema.get("required")
    if not isinstance(properties, dict):
        return value
    kept = required if isinstance(required, list) else []
    out: dict[str, object] = {}
    for name, item in value.items():
        if name not in properties:
            out[name] = item
            continue
        turned = coerced(item, properties[name], root, depth + 1)
        if turned is None and name not in kept and not _allows_null(properties[name], root):
            continue  # a null for what may be left out
        out[name] = turned
    return out


def _one_of(value: object, options: list[object], root: object, depth: int) -> object:
    shapes = [_resolved(option, root) for option in options]
    if any(_fits(value, shape) for shape in shapes):
        fitting = [shape for shape in shapes if _fits(value, shape)]
        return coerced(value, fitting[0], root, depth + 1) if len(fitting) == 1 else value
    for shape in shapes:
        turned = coerced(value, shape, root, depth + 1)
        if _fits(turned, shape):
            return turned
    return value


def _fits(value: object, schema: object) -> bool:
    types = _types(schema) if isinstance(schema, dict) else []
    return not types or any(_is(value, name) for name in types)


def _allows_null(schema: object, root: object) -> bool:
    schema = _resolved(schema, root)
    if not isinstance(schema, dict):
        return True
    for key in ("anyOf", "oneOf"):
        if isinstance(options := schema.get(key), list):
            return any(_allows_null(option, root) for option in options)
    if "const" in schema:
        return schema["const"] is None
    if isinstance(values := schema.get("enum"), list):
        return None in values
    types = _types(schema)
    return not types or "null" in types


def _types(schema: dict[str, object]) -> list[str]:
    named = schema.get("type")
    names = named if isinstance(named, list) else [named]
    return [name for name in names if isinstance(name, str) and name in _TYPES]


def _is(value: object, name: str) -> bool:
    if isinstance(value, bool):
        return name == "boolean"
    if name == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _TYPES[name])


_NO: Final = object()
"""There is no such value; None is one."""


def _turned(value: object, name: str) -> object:
    if name == "string":
        match value:
            case bool():
                return "true" if value else "false"
            case int() | float():
                return str(value)
            case dict() | list():
                return msgspec.json.encode(value).decode()
            case _:
                return _NO
    if name == "array" and value is not None and not isinstance(value, (str, dict)):
        return [value]
    if not isinstance(value, str):
        return _NO
    found = _meant(value.strip())
    if _is(found, name):
        return found
    return [value] if name == "array" else _NO


def _meant(text: str) -> object:
    """Return the value that a text spells; the text itself where it spells none."""
    try:
        values = loose_values(text)
    except LooseError:
        return text
    return values[0] if len(values) == 1 else text


def _resolved(schema: object, root: object) -> object:
    """Follow `$ref`s within the schema; what leads elsewhere leads to nothing known."""
    for _ in range(_MOST_DEPTH):
        if not isinstance(schema, dict) or not isinstance(ref := schema.get("$ref"), str):
            return schema
        schema = _found(root, ref)
    return None


def _found(root: object, ref: str) -> object:
    place = root
    if not ref.startswith("#"):
        return None
    for step in ref[1:].strip("/").split("/"):
        if not step:
            continue
        if not isinstance(place, dict):
            return None
        place = place.get(step.replace("~1", "/").replace("~0", "~"))
    return place
