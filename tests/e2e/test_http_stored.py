"""Stored responses (§7.4): found again, told again, continued, run without a listener.

A long one is resumed at a quarter of its places while it runs, and at all of them where
HOWLER_TEST_SECONDS gives ten minutes (`make test-full`).
"""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Iterable
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import openai
import pytest
import pytest_asyncio
from openai.types.responses import Response

from facade.reference.operations import Operation, operations
from tests.support.front import RESPONSES, response_body
from tests.support.howler import Howler
from tests.support.response_judge import judge_response_stream
from tests.support.watched import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")
LONG = "/pace 60 30"
DELTAS = 500
EVENTS = DELTAS + 8  # the response, its item and its part begin and end
KEEP_ALIVE = b": keep-alive\n"
STEP = 1 if float(os.environ.get("HOWLER_TEST_SECONDS", "0")) >= 600 else 4


async def events_of(stream: Any) -> list[dict[str, Any]]:
    return [event.to_dict() async for event in stream]


async def turns_by_task(howler: Howler, prompt: str) -> list[int]:
    """Return how many turns each task ran that was given a prompt."""
    tasks = (await howler.sandbox.state())["tasks"]
    return [len(task["turns"]) for task in tasks if any(prompt in turn["prompt"] for turn in task["turns"])]


async def test_a_response_is_found_again(client: openai.AsyncOpenAI) -> None:
    told = await client.responses.create(model="default", input="/tools", metadata={"a": "b"})
    assert told.metadata == {"a": "b"}
    found = await client.responses.retrieve(told.id)
    assert found == told
    items = await client.responses.input_items.list(told.id)
    assert [item.to_dict()["content"] for item in items.data] == [[{"type": "input_text", "text": "/tools"}]]
    await client.responses.delete(told.id)
    with pytest.raises(openai.NotFoundError):
        await client.responses.retrieve(told.id)


@pytest.mark.parametrize(
    "one", [one for one in operations() if "{response_id}" in one.path], ids=lambda one: one.summary
)
async def test_answers_are_as_the_reference_says(client: openai.AsyncOpenAI, one: Operation) -> None:
    told = await client.responses.create(model="default", input="Say hello")
    path = one.path.removeprefix("/v1").replace("{response_id}", told.id)
    ask = {"get": client.get, "post": client.post, "delete": client.delete}[one.method]
    answer: Any = await ask(path, cast_to=object)
    msgspec.convert(answer, one.answer)
    msgspec.convert(one.example, one.answer)


async def test_it_is_told_again_from_any_place(client: openai.AsyncOpenAI) -> None:
    first = await events_of(await client.responses.create(model="default", input="/tools", stream=True))
    response_id = first[0]["response"]["id"]
    again = await events_of(await client.responses.retrieve(response_id, stream=True))
    assert again == first
    for after in range(-1, len(first), 3):
        rest = await client.responses.retrieve(response_id, stream=True, starting_after=after)
        assert await events_of(rest) == first[after + 1 :]


async def test_the_helper_of_the_sdk_resumes(client: openai.AsyncOpenAI) -> None:
    """Issue 6: it asks for the whole replay, from 0, and leaves out by itself what it was told to."""
    told = await client.responses.create(model="default", input=LONG, background=True)
    whole = await events_of(await client.responses.retrieve(told.id, stream=True))
    for after in (0, len(whole) // 2):
        async with client.responses.stream(response_id=told.id, starting_after=after) as stream:
            rest = [event.sequence_number async for event in stream]
            final = await stream.get_final_response()
        assert rest == list(range(after + 1, len(whole)))
        assert final.output_text == "".join(f"tok{number} " for number in range(60))


@pytest_asyncio.fixture(loop_scope="module")
async def http(howler: Howler) -> AsyncIterator[aiohttp.ClientSession]:
    unlimited = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(howler.facade.address, connector=unlimited) as session:
        yield session


async def resume(http: aiohttp.ClientSession, url: str, after: int) -> bytes:
    async with http.get(url, params={"stream": "true", "starting_after": after}) as answer:
        return (await answer.read()).replace(KEEP_ALIVE, b"")


async def check_rests(whole: bytes, rests: Iterable[tuple[int, Awaitable[bytes]]]) -> None:
    """Check that each is what the whole has behind its place."""
    frames = whole.split(b"\n\n")
    for after, told in rests:
        assert await told == b"\n\n".join(frames[after + 1 :]), f"resumed behind {after}"


async def test_500_events_are_resumed_at_every_place(http: aiohttp.ClientSession) -> None:
    """Issue 6: a background response, live and finished, is told alike from every `starting_after` on."""
    async with http.post(RESPONSES, json=response_body(f"/pace {DELTAS} 4", background=True)) as begun:
        url = f"{RESPONSES}/{(await begun.json())['id']}"
    places = iter([place * 197 % EVENTS for place in range(EVENTS)][::STEP])
    whole, live = b"", []
    async with http.get(url, params={"stream": "true"}) as answer:
        async for piece in answer.content.iter_any():
            whole = (whole + piece).replace(KEEP_ALIVE, b"")
            while len(live) * STEP < whole.count(b"\n\n"):  # another one comes with every few events
                after = next(places) - 1
                live.append((after, asyncio.create_task(resume(http, url, after))))
    assert len(live) == EVENTS // STEP
    assert whole.count(b"event: response.output_text.delta\n") == DELTAS
    assert judge_response_stream(whole).terminal == "response.completed"
    await check_rests(whole, live)
    few = asyncio.Semaphore(16)

    async def finished(after: int) -> bytes:
        async with few:
            return await resume(http, url, after)

    await check_rests(whole, [(n, asyncio.create_task(finished(n))) for n in range(-1, EVENTS)])


async def test_a_whole_answer_and_its_stream_are_one(client: openai.AsyncOpenAI) -> None:
    told = await client.responses.create(model="default", input="Say hello")
    events = await events_of(await client.responses.retrieve(told.id, stream=True))
    assert events[-1]["response"] == told.to_dict()


async def test_nobody_else_finds_it(howler: Howler, client: openai.AsyncOpenAI) -> None:
    told = await client.responses.create(model="default", input="Say hello")
    other = client.with_options(api_key="another")
    with pytest.raises(openai.NotFoundError):
        await other.responses.retrieve(told.id)
    with pytest.raises(openai.BadRequestError) as refused:
        await other.responses.create(model="default", input="and?", previous_response_id=told.id)
    assert refused.value.code == "previous_response_not_found"


async def test_what_is_not_stored_is_not_found(client: openai.AsyncOpenAI) -> None:
    told = await client.responses.create(model="default", input="Say hello", store=False)
    with pytest.raises(openai.NotFoundError):
        await client.responses.retrieve(told.id)


async def test_a_previous_response_is_continued_on_its_task(
    howler: Howler, client: openai.AsyncOpenAI
) -> None:
    first = await client.responses.create(model="default", input="My first word")
    second = await client.responses.create(model="default", input="My second", previous_response_id=first.id)
    third = await client.responses.create(model="default", input="My third", previous_response_id=second.id)
    assert (second.previous_response_id, third.previous_response_id) == (first.id, second.id)
    assert "This is turn 3" in third.output_text
    assert await turns_by_task(howler, "My first word") == [3]
    branch = await client.responses.create(model="default", input="Otherwise", previous_response_id=first.id)
    assert "My first word" in branch.output_text
    assert sorted(await turns_by_task(howler, "My first word")) == [1, 3]


async def test_items_are_referred_to(howler: Howler, client: openai.AsyncOpenAI) -> None:
    asked: dict[str, Any] = {"role": "user", "content": "Refer to this"}
    first = await client.responses.create(model="default", input=[asked])
    references = [{"type": "item_reference", "id": item.id} for item in first.output]
    second = await client.responses.create(
        model="default", input=[asked, *references, {"role": "user", "content": "and that"}]
    )
    assert "This is turn 2" in second.output_text
    assert await turns_by_task(howler, "Refer to this") == [2]


async def test_a_background_response_needs_no_listener(client: openai.AsyncOpenAI) -> None:
    told = await client.responses.create(model="default", input=LONG, background=True)
    assert told.status in {"queued", "in_progress"}
    watched = asyncio.create_task(_whole(client, told.id))
    seen = await client.responses.retrieve(told.id)
    while seen.status in {"queued", "in_progress"}:
        await asyncio.sleep(0.05)
        seen = await client.responses.retrieve(told.id)
    assert (seen.status, seen.background) == ("completed", True)
    events = await watched
    assert events[-1]["response"] == seen.to_dict()
    assert await events_of(await client.responses.retrieve(told.id, stream=True)) == events


async def _whole(client: openai.AsyncOpenAI, response_id: str) -> list[dict[str, Any]]:
    return await events_of(await client.responses.retrieve(response_id, stream=True))


async def test_a_background_response_is_cancelled(client: openai.AsyncOpenAI) -> None:
    told = await client.responses.create(model="default", input="/pace 2000 20", background=True)

    async def runs() -> bool:
        return (await client.responses.retrieve(told.id)).status == "in_progress"

    await eventually(runs)
    cancelled = await client.responses.cancel(told.id)
    assert cancelled.status == "cancelled"
    assert (await client.responses.retrieve(told.id)).status == "cancelled"


async def test_a_background_response_that_is_refused_is_an_error(client: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as refused:
        await client.responses.create(model="no such model", input="hi", background=True)
    assert refused.value.code == "model_not_found"


async def test_a_failure_is_found_again(client: openai.AsyncOpenAI) -> None:
    told = await client.responses.create(model="default", input="/bootfail", background=True)

    async def failed() -> bool:
        return (await client.responses.retrieve(told.id)).status == "failed"

    await eventually(failed)
    found: Response = await client.responses.retrieve(told.id)
    assert found.error is not None


async def test_it_is_kept_as_long_as_the_log_of_its_turn(tmp_path: Path) -> None:
    kept = {"HOWLER_TURN_RETENTION": "1", "HOWLER_TURN_TIMEOUT": "1"}
    async with Howler(tmp_path, env=kept) as howler, howler.openai() as client:
        told = await client.responses.create(model="default", input="Say hello")

        async def gone() -> bool:
            try:
                await client.responses.retrieve(told.id)
            except openai.NotFoundError:
                return True
            return False

        await eventually(gone)
