"""Asks the requests of one form of a case, and judges the answers by the openai package."""

import json
from typing import Any, Final

import httpx2
import openai
from openai.types.responses import Response

from tests.conformance.case import SOCKET, Ask, Case
from tests.conformance.normal import Mask, normal_body, normal_frames
from tests.support.front import EVENT_STREAM, text_of, told
from tests.support.line import Line, judge_frames
from tests.support.openai_judge import (
    assert_error,
    assert_no_extras,
    judge_chat_completion,
    judge_chat_stream,
    sse_frames,
)
from tests.support.response_judge import CLIENT_CALLS, SAFE_ITEMS, judge_response, judge_response_stream

_HEADERS: Final = ("content-type", "x-should-retry", "x-gateway-ignored-params")
_CLIENT_TOOLS: Final = "x-gateway-client-tools"


class Heard:
    """What one form of a case heard: `lines` in normal form, and in `names` what later requests may name.

    Asking raises AssertionError, ValueError or OpenAIError where an answer is none that a client understands.
    """

    def __init__(self, case: Case, http: httpx2.AsyncClient, line: Line | None) -> None:
        self._http = http
        self._line = line
        self._keeps_alive = case.keeps_alive
        self._kinds = SAFE_ITEMS | CLIENT_CALLS if _CLIENT_TOOLS in case.headers else SAFE_ITEMS
        self._mask = Mask()
        self.lines: list[str] = []
        self.names: dict[str, str] = {}

    async def ask(self, ask: Ask) -> None:
        """Ask something and take in the answer."""
        if ask.path == SOCKET:
            await self._ask_over_line(ask)
        else:
            await self._ask_over_http(ask)

    async def _ask_over_line(self, ask: Ask) -> None:
        assert self._line is not None, "no WebSocket is open in this form"
        await self._line.create(**json.loads(ask.body))
        events = await self._line.hear()
        self._tell_frames([(event["type"], json.dumps(event)) for event in events])
        if events[-1]["type"] == "error":
            error = events[-1]["error"]
            assert_error({"error": {name: error[name] for name in error if name != "headers"}})
        elif events[-1]["response"]["output"]:
            judge_frames(events, self._kinds)
        else:
            assert [event["sequence_number"] for event in events] == [0, 1, 2], "a prewarm"

    async def _ask_over_http(self, ask: Ask) -> None:
        answer = await self._http.request(ask.method, ask.path, content=ask.body, headers=ask.headers)
        self.lines.append(str(answer.status_code))
        self.lines += [f"{name}: {answer.headers[name]}" for name in _HEADERS if name in answer.headers]
        streamed = answer.headers.get("content-type") == EVENT_STREAM
        try:
            if streamed:
                self._tell_frames(sse_frames(answer.content))
            else:
                self.lines += normal_body(answer.content, self._mask)
                self._name(json.loads(answer.content))
        except (AssertionError, ValueError):
            self.lines.append(answer.text)
            raise
        assert answer.headers["x-request-id"]
        if answer.status_code >= 400:
            told(answer)
            return
        assert streamed == ask.streams
        await self._judge(ask, answer)

    def _tell_frames(self, frames: list[tuple[str, str]]) -> None:
        self.lines += normal_frames(frames, self._mask, keeps_alive=self._keeps_alive)
        for _, data in frames:
            if data != "[DONE]":
                self._name(json.loads(data).get("response") or {})

    def _name(self, told: Any) -> None:
        if told.get("object") != "response" or "output" not in told:
            return
        self.names["id"] = told["id"]
        for item in told["output"]:
            if item["type"] in CLIENT_CALLS:
                self.names["call"] = item["call_id"]

    async def _judge(self, ask: Ask, answer: httpx2.Response) -> None:
        """Raise where the types, the order of events or an accumulator of the openai package object."""
        client = openai.AsyncOpenAI(
            api_key="any", max_retries=0, http_client=httpx2.AsyncClient(transport=Replay(answer))
        )
        async with client:
            if ask.is_chat:
                await _judge_chat(client, ask, answer.content)
            elif ask.streams and "starting_after" not in ask.path:
                await self._judge_stream(client, answer.content)
            elif not ask.streams and "output" in answer.json():
                await self._judge_whole(client, answer.content)

    async def _judge_stream(self, client: openai.AsyncOpenAI, raw: bytes) -> None:
        request: dict[str, Any] = {"model": "any", "input": ""}
        verdict = judge_response_stream(raw, self._kinds)
        async with client.responses.stream(**request) as stream:
            async for _ in stream:
                pass
            if verdict.terminal != "response.completed":
                return
            final: Response = await stream.get_final_response()
        assert final.output_text == verdict.text

    async def _judge_whole(self, client: openai.AsyncOpenAI, raw: bytes) -> None:
        request: dict[str, Any] = {"model": "any", "input": ""}
        whole = Response.model_validate_json(raw)
        assert_no_extras(whole)
        if whole.status != "queued":
            judge_response(raw, self._kinds)
        assert (await client.responses.create(**request)).output_text == text_of(whole)


async def _judge_chat(client: openai.AsyncOpenAI, ask: Ask, raw: bytes) -> None:
    request: dict[str, Any] = {"model": "any", "messages": []}
    if not ask.streams:
        whole = judge_chat_completion(raw)
        read = await client.chat.completions.create(**request)
        assert read.choices[0].message.content == whole.choices[0].message.content
        return
    verdict = judge_chat_stream(raw, include_usage=ask.includes_usage)
    try:
        async with client.chat.completions.stream(**request) as stream:
            completion = await stream.get_final_completion()
    except openai.LengthFinishReasonError as error:
        completion = error.completion  # how the SDK tells of an answer that was cut short
    except openai.APIError:
        assert verdict.error is not None, "the SDK found an error that there is not"
        return
    assert verdict.error is None, "the SDK missed the error"
    assert (completion.choices[0].message.content or "") == verdict.content
    assert completion.choices[0].finish_reason == verdict.finish_reason


class Replay(httpx2.AsyncBaseTransport):
    """Gives the openai package the bytes of an answer that came already: a second one would be another."""

    def __init__(self, answer: httpx2.Response) -> None:
        self._answer = answer

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Answer whatever is asked."""
        kind = {"content-type": self._answer.headers["content-type"]}
        return httpx2.Response(200, headers=kind, content=self._answer.content, request=request)
