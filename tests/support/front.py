"""A client of the facade that sees every byte, and judges it."""

import asyncio
import json
from types import TracebackType
from typing import Any, Final, Self

import httpx2
from openai.types.chat import ChatCompletion
from openai.types.responses import Response

from tests.support.openai_judge import ChatVerdict, assert_error, judge_chat_completion, judge_chat_stream
from tests.support.response_judge import SAFE_ITEMS, ResponseVerdict, judge_response, judge_response_stream

CHAT: Final = "/v1/chat/completions"
RESPONSES: Final = "/v1/responses"
EVENT_STREAM: Final = "text/event-stream; charset=utf-8"
_SECONDS: Final = 60.0


class Front:
    """The facade at an address, asked over plain HTTP."""

    def __init__(self, address: str) -> None:
        self.http = httpx2.AsyncClient(base_url=address, timeout=_SECONDS, trust_env=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.http.aclose()

    async def chat(self, prompt: str, **fields: Any) -> ChatVerdict:
        """Stream a chat."""
        answer = await self.http.post(CHAT, json=chat_body(prompt, stream=True, **fields))
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == EVENT_STREAM
        return judge_chat_stream(answer.content, include_usage=bool(fields.get("stream_options")))

    async def whole_chat(self, prompt: str, **fields: Any) -> ChatCompletion:
        """Ask for a whole chat completion."""
        answer = await self.http.post(CHAT, json=chat_body(prompt, **fields))
        assert answer.status_code == 200, answer.text
        return judge_chat_completion(answer.content)

    async def response(
        self, prompt: str, kinds: frozenset[str] = SAFE_ITEMS, **fields: Any
    ) -> ResponseVerdict:
        """Stream a response."""
        answer = await self.http.post(RESPONSES, json=response_body(prompt, stream=True, **fields))
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == EVENT_STREAM
        return judge_response_stream(answer.content, kinds)

    async def whole_response(
        self, prompt: str, kinds: frozenset[str] = SAFE_ITEMS, **fields: Any
    ) -> Response:
        """Ask for a whole response."""
        answer = await self.http.post(RESPONSES, json=response_body(prompt, **fields))
        assert answer.status_code == 200, answer.text
        return judge_response(answer.content, kinds)

    async def refusals(self, prompt: str, **fields: Any) -> list[httpx2.Response]:
        """Ask on both APIs, streamed and not, for what is refused; return the four answers, judged alike."""
        answers = await asyncio.gather(
            *(
                self.http.post(path, json=body(prompt, stream=stream, **fields))
                for stream in (True, False)
                for path, body in ((CHAT, chat_body), (RESPONSES, response_body))
            )
        )
        for answer in answers:
            told(answer)
        return answers


def chat_body(prompt: str, **fields: Any) -> dict[str, Any]:
    """Return the body of a chat with one message."""
    return {"model": "default", "messages": [{"role": "user", "content": prompt}]} | fields


def response_body(prompt: str, **fields: Any) -> dict[str, Any]:
    """Return the body of a response to one message."""
    return {"model": "default", "input": prompt} | fields


def told(answer: httpx2.Response) -> dict[str, Any]:
    """Return the error of an answer that is one, checking its envelope and headers."""
    assert answer.status_code >= 400, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"]
    return assert_error(json.loads(answer.content))


def text_of(response: Response) -> str:
    """Return the text of all messages of a whole response."""
    return "".join(
        part.text
        for item in response.output
        if item.type == "message"
        for part in item.content
        if part.type == "output_text"
    )
