"""Clients that speak to /v1/responses over a WebSocket (openai-surface.md §6.6): nothing goes over HTTP."""

import pytest

from tests.clients.client import SOCKETS, Client
from tests.support.howler import Howler
from tests.support.recorder import Recorder

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(params=SOCKETS, ids=[client.name for client in SOCKETS])
def client(request: pytest.FixtureRequest) -> Client:
    chosen: Client = request.param
    return chosen


@pytest.mark.parametrize("mode", ["whole", "stream"])
async def test_three_turns_of_one_conversation(
    howler: Howler, recorder: Recorder, client: Client, mode: str
) -> None:
    words = f"over the socket of {client.name}, {mode}"
    prompts = [f"{number} {words}" for number in ("One", "Two", "Three")]
    outcome = await client.run(f"{recorder.url}/v1", "responses", mode, *prompts)
    assert outcome.error is None
    assert ["This is turn 1" in outcome.texts[0], "This is turn 3" in outcome.texts[2]] == [True, True]
    assert (len(recorder.frames), recorder.model_requests) == (3, [])
    tasks = (await howler.sandbox.state())["tasks"]
    (task,) = [task for task in tasks if any(words in turn["prompt"] for turn in task["turns"])]
    assert len(task["turns"]) == 3


@pytest.mark.parametrize("mode", ["whole", "stream"])
async def test_a_failure_is_an_error(recorder: Recorder, client: Client, mode: str) -> None:
    outcome = await client.run(f"{recorder.url}/v1", "responses", mode, "/error over a socket")
    assert outcome.error is not None
    assert len(recorder.frames) == 1
