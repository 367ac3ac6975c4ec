"""Issue 6: usage is exact where the platform tells it (protocol §10.1, `usage`), turn by turn."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.front import Front
from tests.support.howler import Howler

OLDER = {"HOWLER_UPSTREAM_DIALECT": "legacy"}
TELLING = {"HOWLER_SANDBOX_DIALECT": "legacy"}


async def used(howler: Howler, words: str) -> tuple[int, int, int]:
    """Return what the sandbox counted for the task that was asked with these words, over all its turns."""
    tasks = (await howler.sandbox.state())["tasks"]
    (task,) = [task for task in tasks if any(words in turn["prompt"] for turn in task["turns"])]
    stats = task["stats"]
    return stats["input_tokens"], stats["output_tokens"], stats["total_tokens"]


def told(usage: Any, *names: str) -> tuple[int, ...]:
    return tuple(getattr(usage, name) for name in names)


@pytest.mark.asyncio
async def test_usage_is_what_the_platform_counted(folder: Path) -> None:
    async with (
        Howler(folder, env=OLDER, sandbox_env=TELLING) as howler,
        Front(howler.facade.address) as front,
    ):
        of_chat = ("prompt_tokens", "completion_tokens", "total_tokens")
        history: list[dict[str, str]] = [{"role": "user", "content": "Count what I say, chat"}]
        first = await front.whole_chat("", messages=history)
        once = await used(howler, "say, chat")
        assert told(first.usage, *of_chat) == once
        history += [
            {"role": "assistant", "content": first.choices[0].message.content or ""},
            {"role": "user", "content": "And now?"},
        ]
        second = await front.chat("", messages=history, stream_options={"include_usage": True})
        twice = await used(howler, "say, chat")
        assert told(second.usage, *of_chat) == tuple(b - a for a, b in zip(once, twice, strict=True))
        assert second.usage.prompt_tokens > len("And now?") // 4, "an estimate counts the new words alone"

        of_responses = ("input_tokens", "output_tokens", "total_tokens")
        whole = await front.whole_response("Count what I say, response")
        once = await used(howler, "say, response")
        assert told(whole.usage, *of_responses) == once
        streamed = await front.response("And now?", previous_response_id=whole.id)
        twice = await used(howler, "say, response")
        assert told(streamed.response.usage, *of_responses) == tuple(
            b - a for a, b in zip(once, twice, strict=True)
        )
