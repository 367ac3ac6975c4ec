"""What a conversation is worth: how long a chat's first turn takes to begin, and its second.

python -m bench.chats [FILE]     # the table alone, about ten seconds; FILE gets a page of it

All of Howler on the sandbox, whose VM takes 3 s to boot, through the official client.
"""

import asyncio
import os
import platform
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import openai
import uvloop
from openai.types.chat import ChatCompletionMessageParam

from bench.scenarios import Size
from tests.support.howler import Howler

BOOT_SECONDS: Final = 3.0
"""Of the sandbox's VM; a real one takes longer."""

CHATS: Final[dict[Size, int]] = {"full": 8, "quick": 4, "smoke": 2}
EXPECTED_SECONDS: Final = BOOT_SECONDS + 8.0
"""How long it takes about, with the start of three processes."""

_WHAT: Final = (
    "A chat of two turns through the official OpenAI client, streamed, on the sandbox with a VM that takes "
    f"{BOOT_SECONDS:g} s to boot: the time from the call to the first piece of the answer. First turns of "
    "all chats run side by side; the second ones, which send all that was said, one after the other."
)
_ABOUT: Final = """\
# What a conversation is worth

Made by `python -m bench.chats`. A client of the OpenAI API has no memory: it sends all that was said with
each call. Howler recognises it, and the second turn goes to the agent that remembers, whose VM runs.
"""

_HEAD: Final = ("turn", "median, ms", "least, ms", "most, ms")


@dataclass(frozen=True, slots=True)
class Turns:
    """The times to the first piece of the answers of each chat's first or second turn, in ms."""

    name: str
    times: Sequence[float]


async def measure(size: Size) -> list[Turns]:
    """Let chats have two turns each."""
    with TemporaryDirectory(prefix="howler-bench-") as folder:
        slow = Howler(Path(folder), sandbox_env={"HOWLER_SANDBOX_BOOT_MS": str(BOOT_SECONDS * 1000)})
        async with slow as howler, howler.openai() as client:
            chats = [_Chat(client, number) for number in range(CHATS[size])]
            first = await asyncio.gather(*(chat.say("Hello.") for chat in chats))
            second = [await chat.say("And now?") for chat in chats]
    return [Turns("first", first), Turns("second", second)]


class _Chat:
    """A chat as every client keeps one."""

    def __init__(self, client: openai.AsyncOpenAI, number: int) -> None:
        self._client = client
        self._number = number
        self._messages: list[ChatCompletionMessageParam] = []

    async def say(self, text: str) -> float:
        """Say something, take the answer down, and return how long its first piece took, in ms."""
        self._messages.append({"role": "user", "content": f"{text} I am {self._number}."})
        began, answer, first = time.monotonic(), "", 0.0
        stream = await self._client.chat.completions.create(
            model="default", messages=self._messages, stream=True
        )
        async for chunk in stream:
            for choice in chunk.choices:
                if choice.delta.content and not answer:
                    first = time.monotonic() - began
                answer += choice.delta.content or ""
        self._messages.append({"role": "assistant", "content": answer})
        return first * 1000


def section(measured: Sequence[Turns]) -> str:
    """Return what was measured as Markdown."""
    lines = ["| " + " | ".join(_HEAD) + " |", "|" + " --- |" * len(_HEAD)]
    for turns in measured:
        times = sorted(turns.times)
        lines.append(f"| {turns.name} | {times[len(times) // 2]:,.0f} | {times[0]:,.0f} | {times[-1]:,.0f} |")
    return "\n".join([_WHAT, "", *lines])


def page(measured: Sequence[Turns], load: float) -> str:
    """Return a page of what was measured while the machine had this load average before."""
    cpus = f"{platform.machine()}, {os.cpu_count()} CPUs, load average {load:.1f} before"
    return f"{_ABOUT}\n{section(measured)}\n\n{time.strftime('%Y-%m-%d')}; {cpus}.\n"


def main() -> int:
    """Measure, print the table and write a page of it where a file is named."""
    load = os.getloadavg()[0]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        measured = runner.run(measure("full"))
    sys.stdout.write(f"{section(measured)}\n")
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(page(measured, load))
    return 0


if __name__ == "__main__":
    sys.exit(main())
