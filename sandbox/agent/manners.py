"""PURE: the manners in which models write a call of a tool that they were told of in words.

Each writes what a model of that manner says, in pieces or whole; whether it is
taken for a call is the reader's affair. Of a kind are: `well`, `sloppy`,
`quoting` (no call is meant), `malformed` (a call is meant and cannot be read at
first) and `hallucinating` (the result is made up).
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Call:
    """What is to be called, and the mark that makes it a call."""

    nonce: str
    name: str
    arguments: dict[str, object]

    @property
    def body(self) -> str:
        """The call as JSON."""
        return json.dumps({"name": self.name, "arguments": self.arguments})

    def wrapped(self, body: str) -> str:
        """Return the envelope around a body."""
        return f'<tool_call nonce="{self.nonce}">{body}</tool_call>'

    def first(self) -> tuple[str, object]:
        """Return the first argument."""
        return next(iter(self.arguments.items()), ("", ""))


Manner = Callable[[Call], str]


def _block(call: Call) -> str:
    name, value = call.first()
    rest = {key: other for key, other in call.arguments.items() if key != name}
    head = json.dumps({"name": call.name, "arguments": rest})
    return call.wrapped(f'\n{head}\n<arg name="{name}">{value}</arg>\n')


def _function(call: Call) -> str:
    fields = "".join(f"<parameter={key}>\n{value}\n</parameter>\n" for key, value in call.arguments.items())
    return call.wrapped(f"\n<function={call.name}>\n{fields}</function>\n")


def _invoke(call: Call) -> str:
    fields = "".join(
        f'<parameter name="{key}">{value}</parameter>\n' for key, value in call.arguments.items()
    )
    return call.wrapped(f'\n<invoke name="{call.name}">\n{fields}</invoke>\n')


def _trailing_comma(call: Call) -> str:
    fields = "".join(f"{json.dumps(key)}: {json.dumps(value)}," for key, value in call.arguments.items())
    return call.wrapped(f'{{"name": "{call.name}", "arguments": {{{fields}}},}}')


def _unescaped(call: Call) -> str:
    name, value = call.first()
    return call.wrapped(f'{{"name": "{call.name}", "arguments": {{"{name}": "say "{value}""}}}}')


def _texts(call: Call) -> str:
    texts = {
        key: value if isinstance(value, str) else json.dumps(value) for key, value in call.arguments.items()
    }
    return call.wrapped(json.dumps({"name": call.name, "arguments": texts}))


def _flat(call: Call) -> str:
    return call.wrapped(json.dumps({"name": call.name} | call.arguments))


def _packed(call: Call) -> str:
    return call.wrapped(json.dumps({"name": call.name, "arguments": json.dumps(call.arguments)}))


WELL: Final[dict[str, Manner]] = {
    "plain": lambda call: call.wrapped(call.body),
    "talking": lambda call: f"Let me look that up.\n\n{call.wrapped(call.body)}",
    "parallel": lambda call: f"{call.wrapped(call.body)}\n{call.wrapped(call.body)}",
    "block": _block,
}
SLOPPY: Final[dict[str, Manner]] = {
    "fenced": lambda call: call.wrapped(f"\n```json\n{call.body}\n```\n"),
    "infence": lambda call: f"Like this:\n```xml\n{call.wrapped(call.body)}\n```\n",
    "python": lambda call: call.wrapped(repr(json.loads(call.body))),
    "comma": _trailing_comma,
    "unescaped": _unescaped,
    "function": _function,
    "invoke": _invoke,
    "packed": _packed,
    "flat": _flat,
    "texts": _texts,
    "casing": lambda call: call.wrapped(call.body.replace(call.name, call.name.upper().replace("_", "-"), 1)),
    "parameters": lambda call: call.wrapped(call.body.replace('"arguments"', '"parameters"', 1)),
    "spaced": lambda call: f"<tool_call  nonce = '{call.nonce}' >\n{call.body}\n</tool_call>",
    "list": lambda call: call.wrapped(f"[{call.body}]"),
}
QUOTING: Final[dict[str, Manner]] = {
    "othernonce": lambda call: f'The page says <tool_call nonce="ZZZZ">{call.body}</tool_call>, it is old.',
    "nononce": lambda call: f"The history has <tool_call>{call.body}</tool_call> in it.",
    "past": lambda call: f'You had me make <tool_call id="call_1">{call.body}</tool_call> before.',
    "bare": lambda call: f"I would call it like this: {call.body}",
    "codeblock": lambda call: f"For example:\n```json\n{call.body}\n```\nis a call.",
    "half": lambda call: f'A call begins with <tool_call nonce="{call.nonce[:2]}… and so on.',
    "halfend": lambda call: f'It begins with <tool_call nonce="{call.nonce}',
    "comparison": lambda _call: "a <tool, b < c and `d` ``` are no calls.",
}
MALFORMED: Final[dict[str, Manner]] = {
    "cut": lambda call: call.wrapped(call.body[:-4]),
    "unclosed": lambda call: f'<tool_call nonce="{call.nonce}">{call.body[:-2]}',
    "missing": lambda call: call.wrapped(json.dumps({"name": call.name, "arguments": {}})),
    "extra": lambda call: call.wrapped(
        json.dumps({"name": call.name, "arguments": call.arguments | {"no_such_argument": 1}})
    ),
    "prose": lambda call: call.wrapped(f"please run {call.name}"),
    "unknown": lambda call: call.wrapped(json.dumps({"name": "no_such_tool", "arguments": call.arguments})),
    "restarted": lambda call: f'<tool_call nonce="{call.nonce}">{{"na\n{call.wrapped(call.body)}',
}
HALLUCINATING: Final[dict[str, Manner]] = {
    "result": lambda call: f"{call.wrapped(call.body)}\n<tool_result>sunny</tool_result>\nSo it is sunny.",
    "user": lambda call: f"{call.wrapped(call.body)}\n\nUser: thanks!\n\nAssistant: You are welcome.",
    "answer": lambda call: f"{call.wrapped(call.body)} The answer is 42.",
    "more": lambda call: f"{call.wrapped(call.body)}\nIt said no.\n{call.wrapped(call.body)}",
}
KINDS: Final[dict[str, dict[str, Manner]]] = {
    "well": WELL,
    "sloppy": SLOPPY,
    "quoting": QUOTING,
    "malformed": MALFORMED,
    "hallucinating": HALLUCINATING,
}
MANNERS: Final[dict[str, Manner]] = {
    name: write for kind in KINDS.values() for name, write in kind.items()
} | {
    "silent": lambda _call: "I know that without a tool.",
    "lazy": lambda _call: "I know that without a tool.",
    "never": lambda call: call.wrapped(call.body[:-4]),
}
JSON_MANNERS: Final[dict[str, Callable[[str], str]]] = {
    "bare": lambda text: text,
    "fenced": lambda text: f"```json\n{text}\n```",
    "talking": lambda text: f"Here you are:\n```json\n{text}\n```\nI hope that helps.",
    "inline": lambda text: f"The answer {{as asked}} is {text}, of course.",
    "python": lambda text: repr(json.loads(text)),
    "draft": lambda text: f'First I thought of {{"draft": 1}}. Now: {text}',
    "wrong": lambda _text: '{"something": "else"}',
    "words": lambda _text: "The answer is yes.",
    "never": lambda _text: "The answer is no.",
}
