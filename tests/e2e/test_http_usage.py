"""Issue 6: usage is exact where the platform tells it, turn by turn.

It tells it on the stream (protocol §10.1, `usage`) or in the stats of a task (§5.3).
"""

from pathlib import Path
from typing import Any

import pytest
from openai.types.chat import ChatCompletionMessageParam

from tests.support.front import Front
from tests.support.howler import Howler

OLDER = {"HOWLER_UPSTREAM_DIALECT": "legacy"}
OF_CHATS = ("prompt_tokens", "completion_tokens", "total_tokens")
OF_RESPONSES = ("input_tokens", "output_tokens", "total_tokens")
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
        history: list[dict[str, str]] = [{"role": "user", "content": "Count what I say, chat"}]
        first = await front.whole_chat("", messages=history)
        once = await used(howler, "say, chat")
        assert told(first.usage, *OF_CHATS) == once
        history += [
            {"role": "assistant", "content": first.choices[0].message.content or ""},
            {"role": "user", "content": "And now?"},
        ]
        second = await front.chat("", messages=history, stream_options={"include_usage": True})
        twice = await used(howler, "say, chat")
        assert told(second.usage, *OF_CHATS) == tuple(b - a for a, b in zip(once, twice, strict=True))
        assert second.usage.prompt_tokens > len("And now?") // 4, "an estimate counts the new words alone"

        whole = await front.whole_response("Count what I say, response")
        once = await used(howler, "say, response")
        assert told(whole.usage, *OF_RESPONSES) == once
        streamed = await front.response("And now?", previous_response_id=whole.id)
        twice = await used(howler, "say, response")
        assert told(streamed.response.usage, *OF_RESPONSES) == tuple(
            b - a for a, b in zip(once, twice, strict=True)
        )


@pytest.mark.asyncio
async def test_usage_is_what_the_task_has_more(tmp_path: Path) -> None:
    """Stats of the cloud (protocol §5.3), by the official SDK: the first two turns of a task."""
    async with Howler(tmp_path) as howler, howler.openai() as client:
        await howler.sandbox.faults(platform={"stats_lag_ms": 0})
        history: list[ChatCompletionMessageParam] = []
        before = (0, 0, 0)
        for words in ("Count what I say, chat", "And now?"):
            history.append({"role": "user", "content": words})
            chunks = await client.chat.completions.create(
                model="default", messages=history, stream=True, stream_options={"include_usage": True}
            )
            seen = [chunk async for chunk in chunks]
            said = "".join(chunk.choices[0].delta.content or "" for chunk in seen if chunk.choices)
            history.append({"role": "assistant", "content": said})
            after = await used(howler, "say, chat")
            assert told(seen[-1].usage, *OF_CHATS) == tuple(b - a for a, b in zip(before, after, strict=True))
            before = after

        whole = await client.responses.create(model="default", input="Count what I say, response")
        once = await used(howler, "say, response")
        assert told(whole.usage, *OF_RESPONSES) == once
        async with client.responses.stream(
            model="default", input="And now?", previous_response_id=whole.id
        ) as stream:
            second = await stream.get_final_response()
        twice = await used(howler, "say, response")
        assert told(second.usage, *OF_RESPONSES) == tuple(b - a for a, b in zip(once, twice, strict=True))
