"""Images and files that OpenAI clients send, through all three processes (issue 5: files and attachments)."""

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.support.howler import Howler

pytestmark = pytest.mark.asyncio(loop_scope="module")
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
DATA = base64.b64encode(PNG).decode()
URL = f"data:image/png;base64,{DATA}"
TOLD = f"({len(PNG)} bytes, SHA-256 {hashlib.sha256(PNG).hexdigest()})"
PRESIGN = "POST /api/v1/uploader/presign"

CHAT: Any = [
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "look"},
            {"type": "image_url", "image_url": {"url": URL}},
            {"type": "file", "file": {"file_data": URL, "filename": "plan.png"}},
        ],
    }
]
RESPONSE: Any = [
    {
        "role": "user",
        "content": [
            {"type": "input_text", "text": "look"},
            {"type": "input_image", "image_url": URL, "detail": "auto"},
            {"type": "input_file", "file_data": URL, "filename": "plan.png"},
        ],
    }
]


async def asked(howler: Howler) -> tuple[str, str]:
    """Ask on both APIs and return the answers."""
    async with howler.openai() as client:
        chat = await client.chat.completions.create(model="default", messages=CHAT)
        response = await client.responses.create(model="default", input=RESPONSE)
    return str(chat.choices[0].message.content), response.output_text


async def test_images_and_files_reach_the_agent(howler: Howler) -> None:
    for answer in await asked(howler):
        assert answer.count(TOLD) == 2
        assert "plan-" in answer


async def test_an_image_of_seven_mebibytes(howler: Howler) -> None:
    """As large as a body of HOWLER_MAX_BODY_BYTES holds."""
    data = bytes(7 << 20)
    url = f"data:image/png;base64,{base64.b64encode(data).decode()}"
    content = [{"type": "image_url", "image_url": {"url": url}}]
    messages: Any = [{"role": "user", "content": content}]
    async with howler.openai() as client:
        chat = await client.chat.completions.create(model="default", messages=messages)
    assert hashlib.sha256(data).hexdigest() in str(chat.choices[0].message.content)


async def test_an_older_image_is_a_line(howler: Howler) -> None:
    messages = [*CHAT, {"role": "assistant", "content": "a picture"}, {"role": "user", "content": "and now?"}]
    before = (await howler.sandbox.state())["requests"].get(PRESIGN, 0)
    async with howler.openai() as client:
        stream = await client.chat.completions.create(model="default", messages=messages, stream=True)
        chunks = [chunk async for chunk in stream]
    assert "Attached:" not in "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    state = await howler.sandbox.state()
    assert state["requests"].get(PRESIGN, 0) == before
    assert "(attached: image-" in state["tasks"][-1]["content"]


@pytest.mark.parametrize("first", [CHAT, RESPONSE])
async def test_a_history_with_files_is_recognised(howler: Howler, first: Any) -> None:
    """A client sends them again with each call: the agent that has seen them gets what is new alone."""
    history = [*first]
    async with howler.openai().with_options(api_key=f"an ann {first is CHAT}") as client:
        for text in ("what is it?", "and the other one?"):
            if first is CHAT:
                chat = await client.chat.completions.create(model="default", messages=history)
                history.append({"role": "assistant", "content": chat.choices[0].message.content})
            else:
                response = await client.responses.create(model="default", input=history, store=False)
                history += [item.to_dict() for item in response.output]
            history.append({"role": "user", "content": text})
        uploads = (await howler.sandbox.state())["requests"][PRESIGN]
        if first is CHAT:
            await client.chat.completions.create(model="default", messages=history)
        else:
            await client.responses.create(model="default", input=history, store=False)
    state = await howler.sandbox.state()
    assert state["requests"][PRESIGN] == uploads, "what the agent has is not sent again"
    heard = [turn["prompt"] for turn in state["tasks"][-1]["turns"]]
    assert len(heard) == 3
    assert heard[0].startswith("look")
    assert heard[1:] == ["what is it?", "and the other one?"]


async def test_codexs_recorded_request(howler: Howler) -> None:
    """openai-surface.md §6.7, as Codex 0.169 sends an image."""
    content = [
        {"type": "input_text", "text": '<image name=[Image #1] path="/home/ann/a.png">'},
        {"type": "input_image", "image_url": URL, "detail": "high"},
        {"type": "input_text", "text": "</image>"},
        {"type": "input_text", "text": "look"},
    ]
    environment = [{"type": "input_text", "text": "<environment_context></environment_context>"}]
    items: Any = [
        {"type": "message", "role": "developer", "content": environment},
        {"type": "message", "role": "user", "content": environment},
        {"type": "message", "role": "user", "content": content},
    ]
    async with howler.openai() as client:
        answer = await client.responses.create(model="default", input=items, store=False)
    assert TOLD in answer.output_text


async def test_nothing_is_sent_for_a_request_that_is_wrong(howler: Howler) -> None:
    before = len((await howler.sandbox.state())["request_log"])
    part = {"type": "image_url", "image_url": {"url": "data:image/png;base64,####"}}
    messages: Any = [{"role": "user", "content": [*CHAT[0]["content"], part]}]
    async with howler.openai() as client:
        with pytest.raises(openai.BadRequestError) as raised:
            await client.chat.completions.create(model="default", messages=messages)
    assert (raised.value.code, raised.value.param) == (
        "invalid_value",
        "messages[0].content[3].image_url",
    )
    assert len((await howler.sandbox.state())["request_log"]) == before


async def test_a_platform_without_storage_refuses_them(folder: Path) -> None:
    """Clearly, with what is missing; text goes on as ever. And HOWLER_QUESTIONS=decline (P6.5)."""
    async with Howler(
        folder,
        env={"HOWLER_QUESTIONS": "decline"},
        sandbox_env={"HOWLER_SANDBOX_STORAGE": "false"},
    ) as howler:
        async with howler.openai() as client:
            for call in (
                client.chat.completions.create(model="default", messages=CHAT),
                client.responses.create(model="default", input=RESPONSE),
            ):
                with pytest.raises(openai.BadRequestError) as raised:
                    await call
                assert raised.value.code == "unsupported_value"
                assert "no storage for attachments" in json.dumps(raised.value.body)
            messages: Any = [{"role": "user", "content": "/ask"}]
            chat = await client.chat.completions.create(model="default", messages=messages)
        assert chat.choices[0].message.content == "You cancelled the question."
