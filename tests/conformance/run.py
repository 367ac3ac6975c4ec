"""Asks the cases of a base URL; the openai package judges the answers, which must be those of expected/."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any, Final

import httpx2
import openai
from openai.types.responses import Response

from tests.conformance.case import HERE, Ask, Case, ask_of
from tests.conformance.normal import normal_body, normal_frames
from tests.support.front import EVENT_STREAM, text_of, told
from tests.support.openai_judge import (
    judge_chat_completion,
    judge_chat_stream,
    judge_response,
    judge_response_stream,
    sse_frames,
)

_SECONDS: Final = 120.0
_HEADERS: Final = ("content-type", "x-should-retry", "x-gateway-ignored-params")


@dataclass(frozen=True)
class Verdict:
    """What came of one form of a case: its lines, and what the judges found wrong with it, if anything."""

    lines: list[str]
    fault: str = ""


async def ask_case(base_url: str, case: Case) -> dict[str, Verdict]:
    """Ask a case in all its forms at once."""
    async with httpx2.AsyncClient(base_url=base_url, timeout=_SECONDS, trust_env=False) as http:
        verdicts = await asyncio.gather(*(_ask(http, case, ask_of(case, form)) for form in case.forms))
    return dict(zip(case.forms, verdicts, strict=True))


async def _ask(http: httpx2.AsyncClient, case: Case, ask: Ask) -> Verdict:
    answer = await http.post(ask.path, content=ask.body, headers=ask.headers)
    head = [str(answer.status_code), *(f"{h}: {answer.headers[h]}" for h in _HEADERS if h in answer.headers)]
    streamed = answer.headers.get("content-type") == EVENT_STREAM
    try:
        if streamed:
            frames = sse_frames(answer.content)
            lines = head + normal_frames(frames, keeps_alive=case.keeps_alive)
        else:
            lines = head + normal_body(answer.content)
    except (AssertionError, ValueError) as error:
        return Verdict([*head, answer.text], f"not readable: {error}")
    try:
        await _judge(ask, answer, streamed=streamed)
    except (AssertionError, ValueError, openai.OpenAIError) as error:
        return Verdict(lines, f"{type(error).__name__}: {error}")
    return Verdict(lines)


async def _judge(ask: Ask, answer: httpx2.Response, *, streamed: bool) -> None:
    """Raise where the types, the order of events or an accumulator of the openai package object."""
    assert answer.headers["x-request-id"]
    if answer.status_code >= 400:
        told(answer)
        return
    assert streamed == ask.streams
    client = openai.AsyncOpenAI(
        api_key="any", max_retries=0, http_client=httpx2.AsyncClient(transport=Replay(answer))
    )
    async with client:
        if ask.api == "chat":
            await _judge_chat(client, ask, answer.content)
        else:
            await _judge_response(client, ask, answer.content)


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


async def _judge_response(client: openai.AsyncOpenAI, ask: Ask, raw: bytes) -> None:
    request: dict[str, Any] = {"model": "any", "input": ""}
    if not ask.streams:
        whole = judge_response(raw)
        assert (await client.responses.create(**request)).output_text == text_of(whole)
        return
    verdict = judge_response_stream(raw)
    async with client.responses.stream(**request) as stream:
        async for _ in stream:
            pass
        if verdict.terminal != "response.completed":
            return
        final: Response = await stream.get_final_response()
    assert final.output_text == verdict.text


class Replay(httpx2.AsyncBaseTransport):
    """Gives the openai package the bytes of an answer that came already: a second one would be another."""

    def __init__(self, answer: httpx2.Response) -> None:
        self._answer = answer

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Answer whatever is asked."""
        kind = {"content-type": self._answer.headers["content-type"]}
        return httpx2.Response(200, headers=kind, content=self._answer.content, request=request)


def expected(name: str) -> dict[str, list[str]]:
    """Return the lines of each form that are expected of a case; empty where none are."""
    path = HERE / "expected" / f"{name}.txt"
    blocks = path.read_text("utf-8").split("== ")[1:] if path.exists() else []
    forms = (block.rstrip("\n").split("\n") for block in blocks)
    return {lines[0]: lines[1:] for lines in forms}


def rewrite(name: str, seen: dict[str, Verdict]) -> None:
    """Make what was seen what is expected."""
    blocks = ["\n".join([f"== {form}", *verdict.lines]) for form, verdict in seen.items()]
    (HERE / "expected" / f"{name}.txt").write_text("\n\n".join(blocks) + "\n", "utf-8")


def faults(name: str, seen: dict[str, Verdict]) -> dict[str, str]:
    """Return what is wrong with each form that is not as it should be."""
    wanted, wrong = expected(name), {}
    for form, verdict in seen.items():
        if verdict.fault:
            wrong[f"{name}/{form}"] = verdict.fault
        elif verdict.lines != wanted.get(form, []):
            wrong[f"{name}/{form}"] = _difference(wanted.get(form, []), verdict.lines)
    return wrong


def _difference(wanted: list[str], seen: list[str]) -> str:
    for number, line in enumerate(seen):
        if number >= len(wanted) or wanted[number] != line:
            was = wanted[number] if number < len(wanted) else "nothing"
            return f"line {number + 1} is {json.dumps(line)[:2000]}, expected {json.dumps(was)[:2000]}"
    return f"it ends before {json.dumps(wanted[len(seen)])[:2000]}"
