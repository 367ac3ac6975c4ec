"""Checks values by JSON Schemas that clients sent.

Such a schema is not trusted: nothing is fetched, a check takes a bounded number
of steps, and keywords whose cost a client could blow up (`pattern` and its kin,
`uniqueItems`, `unevaluated…`) are told to the agent, but not checked. A schema
that cannot be evaluated checks nothing, rather than to refuse what may be right.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec
from jsonschema import Draft7Validator, Draft202012Validator, ValidationError, validators
from referencing import Registry

from facade.errors import invalid

MOST_BYTES: Final = 128 * 1024
"""A schema that is larger checks nothing."""

_MOST_STEPS: Final = 10_000
_STRIDE: Final = 32  # names or values that one step looks at
_COSTLY: Final = {"$ref": 4, "$dynamicRef": 4}  # steps more that it takes to find what is referred to
_NOT_CHECKED: Final = (
    "pattern",
    "patternProperties",
    "uniqueItems",
    "unevaluatedProperties",
    "unevaluatedItems",
    "format",
)
_MOST_TOLD: Final = 200  # characters of a problem that the agent is told

Check = Callable[[Any, Any, Any, Any], Iterator[ValidationError] | None]


class _TooCostlyError(Exception):
    """The steps of a check are spent."""


class _Steps:
    """What is left of the steps of the one check that runs: checks neither wait nor nest."""

    def __init__(self) -> None:
        self.left = 0

    def counted(self, keyword: str, check: Check) -> Check:
        """Return the check of a keyword that takes its steps, by the size of what it looks through."""
        least = 1 + _COSTLY.get(keyword, 0)

        def checked(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
            self.left -= least + (len(value) // _STRIDE if isinstance(value, (list, dict, str)) else 0)
            if self.left < 0:
                raise _TooCostlyError
            yield from check(validator, value, instance, schema) or ()

        return checked


_STEPS: Final = _Steps()


def _bounded(draft: Any) -> Any:
    checks = {name: _STEPS.counted(name, check) for name, check in draft.VALIDATORS.items()}
    closed = checks["additionalProperties"]

    def additional(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
        if "patternProperties" not in schema:
            yield from closed(validator, value, instance, schema) or ()

    checks["additionalProperties"] = additional
    return validators.extend(draft, checks | dict.fromkeys(_NOT_CHECKED, _unchecked))


def _unchecked(_validator: Any, _value: Any, _instance: Any, _schema: Any) -> Iterator[ValidationError]:
    return iter(())


_LATEST: Final = _bounded(Draft202012Validator)
_DRAFT_7: Final = _bounded(Draft7Validator)
_NOWHERE: Final[Registry[Any]] = Registry()


def problem_of(value: object, schema: object) -> str | None:
    """Return what is wrong with a value by a schema, in a line for the agent; None where nothing is."""
    if not isinstance(schema, dict) or len(msgspec.json.encode(schema)) > MOST_BYTES:
        return None
    kind = _DRAFT_7 if "draft-07" in str(schema.get("$schema", "")) else _LATEST
    _STEPS.left = _MOST_STEPS
    try:
        error = next(kind(schema, registry=_NOWHERE).iter_errors(value), None)
    except Exception:  # whatever the library stumbles over in a schema that nobody vouched for
        return None
    if error is None:
        return None
    where = error.json_path.removeprefix("$.")
    told = error.message if len(error.message) <= _MOST_TOLD else f"{error.message[:_MOST_TOLD]}…"
    return told if where == "$" else f"{where}: {told}"


def check_schema(schema: dict[str, object], param: str) -> None:
    """Raise the 400 for a schema that is none."""
    if len(msgspec.json.encode(schema)) > MOST_BYTES:
        raise invalid(f"The schema is larger than {MOST_BYTES} bytes.", param, "invalid_json_schema")
    for key, types in (("type", (str, list)), ("properties", dict), ("required", list)):
        if key in schema and not isinstance(schema[key], types):
            raise invalid(f"`{key}` of the schema is of the wrong type.", param, "invalid_json_schema")
