"""openai-agents (Python): its tool loop where client tools are emulated; sessions on /v1/conversations."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.clients.client import AGENT_SESSION, AGENT_TOOLS
from tests.support.howler import Howler
from tests.support.recorder import Recorder

pytestmark = pytest.mark.asyncio(loop_scope="module")
apis = pytest.mark.parametrize("api", ["chat", "responses"])
modes = pytest.mark.parametrize("mode", ["whole", "stream"])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def howler(folder: Path) -> AsyncIterator[Howler]:
    async with Howler(folder, env={"HOWLER_CLIENT_TOOLS": "emulate"}) as running:
        yield running


async def turns_with(howler: Howler, words: str) -> list[int]:
    """Return how many turns each task ran that was asked something with these words."""
    tasks = (await howler.sandbox.state())["tasks"]
    return [len(task["turns"]) for task in tasks if any(words in turn["prompt"] for turn in task["turns"])]


@apis
@modes
async def test_its_tool_is_called_and_answered(
    howler: Howler, recorder: Recorder, api: str, mode: str
) -> None:
    """Issue 6: two model requests, one for the call and one for its result, on one task."""
    city = f"{api}-{mode}"
    prompt = f'/call plain get_weather {{"city": "{city}"}}'
    outcome = await AGENT_TOOLS.run(f"{recorder.url}/v1", api, mode, prompt)
    assert outcome.error is None
    assert outcome.tools == [f'get_weather {{"city": "{city}"}}']
    assert f"4711 degrees in {city}" in outcome.texts[0]
    assert len(recorder.model_requests) == 2
    assert await turns_with(howler, city) == [2]


@modes
async def test_its_session_is_a_conversation(howler: Howler, recorder: Recorder, mode: str) -> None:
    """Its history is kept as items of a conversation, and recognised when it comes back."""
    prompts = [f"{word} of a session, {mode}" for word in ("First", "Second", "Third")]
    outcome = await AGENT_SESSION.run(f"{recorder.url}/v1", "responses", mode, *prompts)
    assert outcome.error is None
    assert [f"This is turn {number + 1}" in text for number, text in enumerate(outcome.texts)] == [True] * 3
    assert len(recorder.model_requests) == 3
    assert await turns_with(howler, f"of a session, {mode}") == [3]
