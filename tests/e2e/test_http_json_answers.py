"""Issue 6: `response_format` and `text.format` of an agent that knows only text, on all shapes."""

import asyncio
import json
from typing import Any

import pytest
from openai import AsyncOpenAI
from pydantic import BaseModel

from tests.support.front import Front, text_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"answer": {"type": "string"}},
    "required": ["answer"],
    "additionalProperties": False,
}
CHAT = {"type": "json_schema", "json_schema": {"name": "A", "strict": True, "schema": SCHEMA}}
RESPONSES = {
    "format": {"type": "json_schema", "name": "codex_output_schema", "strict": True, "schema": SCHEMA}
}


class Answer(BaseModel):
    answer: str


@pytest.mark.parametrize(
    "manner", ["bare", "fenced", "talking", "inline", "python", "draft", "wrong", "words"]
)
async def test_every_manner_of_answering_in_all_four_shapes(front: Front, manner: str) -> None:
    """The value alone is told: out of its fence, the last of several, after one turn more where none fits."""
    prompt = f'/json {manner} {{"answer": "yes"}}'
    chat, whole, response, whole_response = await asyncio.gather(
        front.chat(prompt, response_format=CHAT),
        front.whole_chat(prompt, response_format=CHAT),
        front.response(prompt, text=RESPONSES),
        front.whole_response(prompt, text=RESPONSES),
    )
    assert json.loads(chat.content) == {"answer": "yes"}
    assert chat.finish_reason == "stop"
    assert whole.choices[0].message.content == chat.content
    assert response.text == chat.content
    assert text_of(whole_response) == chat.content
    assert whole_response.text is not None
    assert whole_response.text.format is not None
    assert whole_response.text.format.type == "json_schema"


async def test_what_never_fits_is_told_as_it_is(front: Front) -> None:
    chat, response = await asyncio.gather(
        front.chat('/json never {"answer": "yes"}', response_format=CHAT),
        front.response('/json never {"answer": "yes"}', text=RESPONSES),
    )
    assert chat.content == response.text == "I would rather not."
    assert (chat.finish_reason, response.terminal) == ("stop", "response.completed")


async def test_json_object(front: Front) -> None:
    chat = await front.chat('/json fenced {"any": [1, 2]}', response_format={"type": "json_object"})
    assert json.loads(chat.content) == {"any": [1, 2]}


async def test_the_parse_helpers_of_the_official_client(client: AsyncOpenAI) -> None:
    prompt: Any = [{"role": "user", "content": '/json talking {"answer": "yes"}'}]
    chat = await client.chat.completions.parse(model="default", messages=prompt, response_format=Answer)
    assert chat.choices[0].message.parsed == Answer(answer="yes")
    response = await client.responses.parse(model="default", input=prompt, text_format=Answer)
    assert response.output_parsed == Answer(answer="yes")
    async with client.responses.stream(model="default", input=prompt, text_format=Answer) as stream:
        async for _ in stream:
            pass
        final = await stream.get_final_response()
    assert final.output_parsed == Answer(answer="yes")
    async with client.chat.completions.stream(
        model="default", messages=prompt, response_format=Answer
    ) as chats:
        async for _ in chats:
            pass
        completion = await chats.get_final_completion()
    assert completion.choices[0].message.parsed == Answer(answer="yes")


async def test_a_second_turn_counts_in_the_usage(front: Front) -> None:
    once, twice = await asyncio.gather(
        front.whole_chat('/json bare {"answer": "yes"}', response_format=CHAT),
        front.whole_chat('/json words {"answer": "yes"}', response_format=CHAT),
    )
    assert once.usage is not None
    assert twice.usage is not None
    assert twice.usage.prompt_tokens > once.usage.prompt_tokens


async def test_a_format_that_is_none_is_refused(front: Front) -> None:
    for answer in await front.refusals(
        "hi", response_format={"type": "yaml"}, text={"format": {"type": "yaml"}}
    ):
        assert answer.status_code == 400
        assert answer.json()["error"]["param"] in {"response_format.type", "text.format.type"}
