"""What goes out while nothing happens. These take 20 seconds of silence, all at once."""

import asyncio
from pathlib import Path

from tests.support.front import RESPONSES, Front, response_body, told
from tests.support.howler import Howler
from tests.support.sandbox import accounts

THREE_SLOTS = {
    "HOWLER_ACCOUNTS_FILE": "",
    "HOWLER_UPSTREAM_COOKIE": accounts()[0]["cookie"],
    "HOWLER_ACCOUNT_SLOTS": "3",
    "HOWLER_QUEUE_TIMEOUT": "12",
}


async def test_silence_is_filled_by_valid_events(tmp_path: Path) -> None:
    """P6.7: pings keep a silent agent alive, valid events its client (openai-surface.md §8)."""
    howler = Howler(tmp_path, env=THREE_SLOTS)
    async with howler, Front(howler.facade.address) as front:
        silent = [
            asyncio.create_task(silent_chat(front)),
            asyncio.create_task(silent_response(front)),
            asyncio.create_task(silent_openai(howler)),
        ]
        await until_running(howler, len(silent))
        await asyncio.gather(*silent, no_room(front))


async def until_running(howler: Howler, turns: int) -> None:
    async with asyncio.timeout(60):
        while sum(task["prompts"] for task in (await howler.sandbox.state())["tasks"]) < turns:
            await asyncio.sleep(0.05)


async def silent_chat(front: Front) -> None:
    chat = await front.chat("/silence 18")
    assert chat.keep_alives == 1
    assert chat.content == "You said: “/silence 18”. This is turn 1."
    assert chat.finish_reason == "stop"


async def silent_response(front: Front) -> None:
    response = await front.response("/silence 18")
    assert response.keep_alives == 1
    assert response.text == "You said: “/silence 18”. This is turn 1."
    assert response.terminal == "response.completed"


async def silent_openai(howler: Howler) -> None:
    async with howler.openai() as client:
        stream = await client.chat.completions.create(
            model="default", messages=[{"role": "user", "content": "/silence 18"}], stream=True
        )
        text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
    assert text == "You said: “/silence 18”. This is turn 1."


async def no_room(front: Front) -> None:
    """A turn that waits for a slot: the stream opens after 10 s, so its failure after 12 s is told in it.

    A whole answer has sent nothing yet, and its failure is a status.
    """
    chat, response, whole = await asyncio.gather(
        front.chat("room?"),
        front.response("room?", store=False),
        front.http.post(RESPONSES, json=response_body("room?")),
    )
    assert chat.error is not None
    assert chat.error["code"] == "rate_limit_exceeded"
    assert response.terminal == "response.failed"
    assert response.response.error.code == "rate_limit_exceeded"
    assert (whole.status_code, told(whole)["code"]) == (429, "rate_limit_exceeded")
