"""Each client runs its turns: one model request per turn, no tool of the agent run again, failures told."""

import pytest

from tests.clients.client import Client
from tests.support.howler import Howler
from tests.support.recorder import Recorder

pytestmark = pytest.mark.asyncio(loop_scope="module")
apis = pytest.mark.parametrize("api", ["chat", "responses"])
modes = pytest.mark.parametrize("mode", ["whole", "stream"])


async def turns_on_the_platform(howler: Howler) -> int:
    return sum(len(task["turns"]) for task in (await howler.sandbox.state())["tasks"])


@apis
@modes
async def test_a_turn(howler: Howler, recorder: Recorder, client: Client, api: str, mode: str) -> None:
    outcome = await client.run(f"{recorder.url}/v1", api, mode, "Say hello")
    assert outcome.error is None
    assert outcome.texts == ["You said: “Say hello”. This is turn 1."]
    assert len(recorder.model_requests) == 1


@apis
@modes
async def test_the_agents_own_tools_are_not_run_again(
    howler: Howler, recorder: Recorder, client: Client, api: str, mode: str
) -> None:
    before = await turns_on_the_platform(howler)
    outcome = await client.run(f"{recorder.url}/v1", api, mode, "/tools")
    assert outcome.error is None
    assert outcome.tools == []
    assert outcome.texts[0].strip()
    assert len(recorder.model_requests) == 1
    assert await turns_on_the_platform(howler) == before + 1


@apis
@modes
async def test_turns_of_one_conversation(
    howler: Howler, recorder: Recorder, client: Client, api: str, mode: str
) -> None:
    prompts = [f"{word} by {client.name} on {api}, {mode}" for word in ("First", "Second", "Third")]
    outcome = await client.run(f"{recorder.url}/v1", api, mode, *prompts)
    assert outcome.error is None
    assert [f"This is turn {number + 1}" in text for number, text in enumerate(outcome.texts)] == [True] * 3
    assert len(recorder.model_requests) == 3


@apis
@modes
async def test_a_failure_is_an_error(
    howler: Howler, recorder: Recorder, client: Client, api: str, mode: str
) -> None:
    outcome = await client.run(f"{recorder.url}/v1", api, mode, "/error")
    assert outcome.error is not None
    assert outcome.texts == []
    assert len(recorder.model_requests) == 1
