"""Counts how many calls of each manner come through: `python -m bench.client_tools [FILE]`.

The sandbox's agent plays well-behaved, sloppy, quoting, malformed and
hallucinating models (sandbox/agent/manners.py) behind a real server and facade.
Each manner is asked for on chat and on responses, streamed and not. What counts
as right stands in the table: a call, or words, or a call after one turn more.
"""

import asyncio
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import openai

from facade.openai.client_tools.declared import ClientTool, ClientTools
from facade.openai.client_tools.judge import Faulty, Foreign, Unfinished, judge
from sandbox.agent.manners import KINDS
from tests.support.howler import Howler

_ROUNDS: Final = 3
_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
_WORDS: Final = frozenset({*KINDS["quoting"], "unknown"})
"""Manners in which no call is meant, or of a tool that nobody declared."""

_MENDED: Final = frozenset({"cut", "unclosed", "missing", "extra", "prose"})
"""Manners whose first try is no call."""

_MADE_UP: Final = ("sunny", "welcome", "42", "said no")


_ABOUT: Final = f"""\
# How many calls of the client's tools come through

Made by `python -m bench.client_tools`; the manners are those of `sandbox/agent/manners.py`. Each was asked
for on chat and responses, streamed and not, {_ROUNDS} times. Right is a call with the arguments that were
meant and nothing of what was made up behind it; where no call is meant, the words and no call.

The manners were written down with the reader of calls at hand: they show that nothing is lost on the way, not
how often such a model is met. The last table asks what nobody wrote down: one sign too few or too many,
anywhere in a call. Another call is then one whose text holds one sign more or less.
"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a client got."""

    calls: tuple[tuple[str, str], ...]
    text: str

    def is_right(self, manner: str) -> bool:
        """Say whether that is what the agent meant, and no more."""
        if manner in _WORDS:
            return not self.calls and bool(self.text)
        right = all(name == "get_weather" and "Paris" in arguments for name, arguments in self.calls)
        return bool(self.calls) and right and not any(made_up in self.text for made_up in _MADE_UP)


async def _chat(client: openai.AsyncOpenAI, prompt: str) -> Outcome:
    tool: Any = {"type": "function", "function": {"name": "get_weather", "parameters": _SCHEMA}}
    message = (
        (
            await client.chat.completions.create(
                model="default", messages=[{"role": "user", "content": prompt}], tools=[tool]
            )
        )
        .choices[0]
        .message
    )
    calls = [call.function for call in message.tool_calls or [] if call.type == "function"]
    return Outcome(tuple((call.name, call.arguments) for call in calls), message.content or "")


async def _streamed_chat(client: openai.AsyncOpenAI, prompt: str) -> Outcome:
    tool: Any = {"type": "function", "function": {"name": "get_weather", "parameters": _SCHEMA}}
    async with client.chat.completions.stream(
        model="default", messages=[{"role": "user", "content": prompt}], tools=[tool]
    ) as stream:
        message = (await stream.get_final_completion()).choices[0].message
    calls = [call.function for call in message.tool_calls or []]
    return Outcome(tuple((call.name, call.arguments) for call in calls), message.content or "")


async def _response(client: openai.AsyncOpenAI, prompt: str) -> Outcome:
    tool: Any = {"type": "function", "name": "get_weather", "parameters": _SCHEMA, "strict": False}
    response = await client.responses.create(model="default", input=prompt, tools=[tool])
    calls = [item for item in response.output if item.type == "function_call"]
    return Outcome(tuple((call.name, call.arguments) for call in calls), response.output_text)


async def _streamed_response(client: openai.AsyncOpenAI, prompt: str) -> Outcome:
    tool: Any = {"type": "function", "name": "get_weather", "parameters": _SCHEMA, "strict": False}
    async with client.responses.stream(model="default", input=prompt, tools=[tool]) as stream:
        response = await stream.get_final_response()
    calls = [item for item in response.output if item.type == "function_call"]
    return Outcome(tuple((call.name, call.arguments) for call in calls), response.output_text)


_WAYS: Final = (_chat, _streamed_chat, _response, _streamed_response)


async def measure() -> dict[str, list[bool]]:
    """Return for each manner which of its answers were right."""
    right: dict[str, list[bool]] = {}
    with tempfile.TemporaryDirectory() as directory:
        env = {"HOWLER_CLIENT_TOOLS": "emulate"}
        async with Howler(Path(directory), env=env) as howler, howler.openai() as client:
            for manner in (manner for manners in KINDS.values() for manner in manners):
                asked = [way(client, f"/call {manner}") for way in _WAYS for _ in range(_ROUNDS)]
                outcomes = await asyncio.gather(*asked)
                right[manner] = [outcome.is_right(manner) for outcome in outcomes]
    return right


def table(right: Mapping[str, list[bool]]) -> str:
    """Return the table, a line per manner and one per kind."""
    lines = [
        _ABOUT,
        "| kind | manner | expected | right |",
        "| --- | --- | --- | --- |",
    ]
    for kind, manners in KINDS.items():
        answers = [answer for manner in manners for answer in right[manner]]
        lines += [
            f"| {kind} | `{manner}` | {_expected(manner)} | {_share(right[manner])} |" for manner in manners
        ]
        lines.append(f"| **{kind}** | all {len(manners)} | | **{_share(answers)}** |")
    return "\n".join([*lines, "", *_corrupted()]) + "\n"


def _expected(manner: str) -> str:
    if manner in _WORDS:
        return "words"
    return "call, asked for once more" if manner in _MENDED else "call"


def _corrupted() -> list[str]:
    """Return what becomes of a call in which one character of its JSON is missing or stands twice."""
    tool = ClientTool("get_weather", parameters=_SCHEMA)
    tools = ClientTools((tool,), (tool,))
    body = '{"name": "get_weather", "arguments": {"city": "Paris, \\"Île-de-France\\""}}'
    meant = judge(body, tools)
    signs = [place for place, char in enumerate(body) if char in '{}[]:,"\\']
    lines = ["| one sign of its JSON | calls as meant | asked for once more | words | another call |"]
    lines.append("| --- | --- | --- | --- | --- |")
    for what, width in (("is missing", 0), ("stands twice", 2)):
        verdicts = [judge(body[:at] + body[at] * width + body[at + 1 :], tools) for at in signs]
        asked = sum(isinstance(verdict, (Faulty, Unfinished)) for verdict in verdicts)
        words = sum(isinstance(verdict, Foreign) for verdict in verdicts)
        right = sum(verdict == meant for verdict in verdicts)
        other = len(signs) - asked - words - right
        lines.append(f"| {what} | {right} of {len(signs)} | {asked} | {words} | {other} |")
    return lines


def _share(answers: list[bool]) -> str:
    return f"{sum(answers)} of {len(answers)}"


def main() -> int:
    """Measure, print the table and write it where a file is named; 1 where an answer was wrong."""
    right = asyncio.run(measure())
    told = table(right)
    print(told)  # noqa: T201
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(told)
    return 0 if all(all(answers) for answers in right.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
