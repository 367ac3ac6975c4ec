"""The WebSocket of /v1/responses through all three processes (openai-surface.md §6.6)."""

import json

import pytest

from tests.support.howler import Howler
from tests.support.line import judge_frames, line_to
from tests.support.watched import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")
DELTA = "response.output_text.delta"


async def turns(howler: Howler, words: str) -> list[str]:
    """Return how the turns of the task ended that was asked with these words; there is one task."""
    tasks = (await howler.sandbox.state())["tasks"]
    (task,) = [task for task in tasks if any(words in turn["prompt"] for turn in task["turns"])]
    return [turn["ending"] for turn in task["turns"]]


async def test_a_conversation_that_is_stored_nowhere(howler: Howler) -> None:
    """`responses.connect()` of openai-python: three turns of one agent, each sent as what is new."""
    previous: dict[str, str] = {}
    async with (
        howler.openai() as client,
        client.responses.connect(websocket_connection_options={"proxy": None}) as connection,
    ):
        for number in (1, 2, 3):
            said = f"Word {number} over one socket"
            await connection.response.create(model="default", input=said, store=False, **previous)
            async for event in connection:
                if event.type == "response.completed":
                    break
            assert f"This is turn {number}" in event.response.output_text
            previous = {"previous_response_id": event.response.id}
    assert len(await turns(howler, "over one socket")) == 3


async def test_who_hangs_up_ends_the_turn(howler: Howler) -> None:
    """As over HTTP, after HOWLER_DISCONNECT_GRACE: none here."""
    async with line_to(howler.facade.address) as line:
        await line.create(input="/pace 3000 20 until I hang up", store=False)
        await line.hear(DELTA)

    async def is_over() -> bool:
        return "running" not in await turns(howler, "until I hang up")

    await eventually(is_over)


async def test_a_response_is_steered_on_its_task(howler: Howler) -> None:
    async with line_to(howler.facade.address) as line:
        await line.create(input="/pace 3000 20 until I steer", store=False)
        begun = await line.hear(DELTA)
        previous = begun[0]["response"]["id"]
        steer = {"type": "response.steer", "previous_response_id": previous, "input": "Say hello"}
        await line.socket.send(json.dumps(steer))
        told = [*begun, *await line.hear()]
        first = judge_frames([one for one in told if not one["type"].startswith("response.steer.")])
        assert first.response.incomplete_details.reason == "steered"
        second = judge_frames(await line.hear())
    assert "This is turn 2" in second.text
    assert len(await turns(howler, "until I steer")) == 2
