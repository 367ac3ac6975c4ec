"""What a request over HTTP may say, what of it reaches the platform, and what is refused."""

import asyncio
import hashlib
import json
from typing import Any

import openai
import pytest

from facade.openai.asides import strip_added
from tests.support.front import CHAT, RESPONSES, Front, chat_body, response_body, told
from tests.support.howler import Howler
from tests.support.openai_judge import judge_chat_stream
from tests.support.process import Program

pytestmark = pytest.mark.asyncio(loop_scope="module")

TOOL = {"type": "function", "function": {"name": "now", "parameters": {"type": "object"}}}
DEFAULT_MOST = 10 * 1024 * 1024  # bytes


async def task_with(howler: Howler, words: str) -> dict[str, Any]:
    """Return the one task whose prompt holds the words, as the platform has it."""
    (task,) = [one for one in (await howler.sandbox.state())["tasks"] if words in one["content"]]
    return dict(task)


def instructed(prompt: str, **fields: Any) -> dict[str, Any]:
    system = {"role": "system", "content": "Answer in verse."}
    developer = {"role": "developer", "content": "Be brief."}
    return chat_body(prompt, **fields) | {
        "messages": [system, developer, {"role": "user", "content": prompt}],
    }


async def test_instructions_become_the_system_prompt(howler: Howler, front: Front) -> None:
    """P4.1: by default, in create's own field, on both APIs."""
    await front.http.post(CHAT, json=instructed("a poem, please"))
    await front.whole_response("an ode, please", instructions="Answer in verse.")
    poem, ode = await task_with(howler, "a poem"), await task_with(howler, "an ode")
    assert (poem["content"], poem["system_prompt"]) == ("a poem, please", "Answer in verse.\n\nBe brief.")
    assert (ode["content"], ode["system_prompt"]) == ("an ode, please", "Answer in verse.")


async def test_instructions_that_come_with_tools_are_dropped(howler: Howler, front: Front) -> None:
    """P4.1: a coding CLI's prompt describes tools on the client's machine; the answer says so."""
    answer = await front.http.post(CHAT, json=instructed("a song, please", tools=[TOOL]))
    assert answer.status_code == 200
    assert "instructions" in answer.headers["x-gateway-ignored-params"].split(",")
    assert (await task_with(howler, "a song"))["system_prompt"] == ""


@pytest.mark.parametrize(
    ("setting", "forwarded"), [("always", "Answer in verse.\n\nBe brief."), ("never", "")]
)
async def test_the_operator_decides_on_instructions(
    howler: Howler, tmp_path_factory: pytest.TempPathFactory, setting: str, forwarded: str
) -> None:
    """P4.1: HOWLER_FORWARD_INSTRUCTIONS."""
    env = {
        "HOWLER_HTTP_ADDR": "127.0.0.1:0",
        "HOWLER_GRPC_TARGET": howler.server.address,
        "HOWLER_FORWARD_INSTRUCTIONS": setting,
    }
    facade = Program("facade", env=env, cwd=tmp_path_factory.mktemp(setting))
    async with facade, Front(facade.address) as front:
        for tools in ([], [TOOL]):
            prompt = f"a rhyme of {setting}, {len(tools)} tools"
            await front.http.post(CHAT, json=instructed(prompt, tools=tools))
            assert (await task_with(howler, prompt))["system_prompt"] == forwarded


async def test_the_operator_decides_how_answers_are_told(
    howler: Howler, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """P2.2, P6.2, P8.3: each setting reaches the answers; a header decides for one request."""
    env = {
        "HOWLER_HTTP_ADDR": "127.0.0.1:0",
        "HOWLER_GRPC_TARGET": howler.server.address,
        "HOWLER_TOOL_DISPLAY": "text",
        "HOWLER_THINKING": "prefix",
        "HOWLER_UNSUPPORTED_PARAMS": "error",
        "HOWLER_CORS_ORIGINS": "https://chat.example",
    }
    facade = Program("facade", env=env, cwd=tmp_path_factory.mktemp("told"))
    async with facade, Front(facade.address) as front:
        chat = await front.chat("/tools")
        assert "> [tool] Bash: go test ./... -> done" in chat.content
        assert "[Thinking] Thought 1. Thought 2. " in (await front.chat("/think")).content
        assert chat.reasoning == ""
        assert strip_added(chat.content).startswith("The tests pass. You said")
        body = chat_body("/tools", stream=True)
        plain = await front.http.post(CHAT, json=body, headers={"x-gateway-tool-display": "none"})
        assert judge_chat_stream(plain.content).content == strip_added(chat.content)
        refused = await front.http.post(CHAT, json=chat_body("hi", seed=1))
        assert (refused.status_code, told(refused)["param"]) == (400, "seed")
        shared = await front.http.get("/v1/models", headers={"origin": "https://chat.example"})
        assert shared.headers["access-control-allow-origin"] == "https://chat.example"


async def test_a_conversation_reaches_the_agent(howler: Howler, front: Front) -> None:
    """P10: whoever resends the history is understood, the newest message last."""
    chat = [
        {"role": "user", "content": "My cat is called Ada."},
        {"role": "assistant", "content": "A fine name.", "reasoning_content": "dropped"},
        {"role": "user", "content": [{"type": "text", "text": "What is my cat called?"}]},
    ]
    items = [
        {"role": "user", "content": "My dog is called Rex."},
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "dropped"}]},
        {
            "type": "message",
            "id": "msg_1",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": "A fine name.", "annotations": []}],
        },
        {"role": "user", "content": [{"type": "input_text", "text": "What is my dog called?"}]},
    ]
    await front.http.post(CHAT, json={"messages": chat})
    await front.http.post(RESPONSES, json={"input": items})
    for pet, name in (("cat", "Ada"), ("dog", "Rex")):
        content = (await task_with(howler, f"What is my {pet} called?"))["content"]
        assert content.index(f"is called {name}.") < content.index("A fine name.")
        assert content.endswith(f"What is my {pet} called?")
        assert "dropped" not in content


@pytest.mark.parametrize("path", [CHAT, RESPONSES])
async def test_a_prompt_of_a_megabyte(front: Front, path: str) -> None:
    """It goes by create's content, and not a byte is lost."""
    prompt = "".join(f"line {number} é\n" for number in range(80_000))
    assert len(prompt.encode()) > 1_000_000
    text = (await front.chat(prompt)).content if path == CHAT else (await front.response(prompt)).text
    assert f"That is {len(prompt)} characters" in text
    assert hashlib.sha256(prompt.encode()).hexdigest() in text


async def test_turns_are_approved_by_themselves(howler: Howler, front: Front) -> None:
    """P6.6"""
    await front.chat("/pace 6 50")
    assert (await task_with(howler, "/pace 6 50"))["auto_approve"] is True


async def test_each_answer_has_its_headers(front: Front) -> None:
    """openai-surface.md §3"""
    own = await front.http.post(CHAT, json=chat_body("hi"), headers={"x-request-id": "mine-1"})
    assert own.headers["x-request-id"] == "mine-1"
    stream = await front.http.post(RESPONSES, json=response_body("hi", stream=True, temperature=0.5))
    assert stream.headers["x-request-id"].startswith("req_")
    assert stream.headers["cache-control"] == "no-cache, no-transform"
    assert stream.headers["x-accel-buffering"] == "no"
    assert stream.headers["x-gateway-ignored-params"] == "temperature"
    for answer in (own, stream):
        assert answer.headers["openai-version"] == "2020-10-01"
        assert answer.headers["openai-processing-ms"].isdecimal()
        assert "server" not in answer.headers


async def test_no_origin_is_allowed(front: Front) -> None:
    """P2.2: CORS is off by default."""
    asked = {"origin": "https://evil.example", "access-control-request-method": "POST"}
    preflight = await front.http.options(CHAT, headers=asked)
    answer = await front.http.get("/v1/models", headers=asked)
    assert preflight.status_code == 405
    for one in (preflight, answer):
        assert not [name for name in one.headers if name.startswith("access-control-")]


AUDIO = {"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}
REFUSED: list[tuple[str, dict[str, Any], str | None, str | None]] = [
    (
        CHAT,
        {"messages": [{"role": "user", "content": [AUDIO]}]},
        "unsupported_value",
        "messages[0].content[0]",
    ),
    (
        RESPONSES,
        {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "data:,"}]}]},
        "invalid_value",
        "input[0].content[0].image_url",
    ),
    (
        RESPONSES,
        {"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "file_1"}]}]},
        "unsupported_value",
        "input[0].content[0].file_id",
    ),
    (
        RESPONSES,
        {"input": "hi", "previous_response_id": "resp_1"},
        "previous_response_not_found",
        "previous_response_id",
    ),
    (RESPONSES, {"input": "hi", "conversation": "conv_1"}, "conversation_not_found", "conversation"),
    (CHAT, chat_body("hi", n=2), "unsupported_value", "n"),
    (CHAT, chat_body("hi", tools=[TOOL], tool_choice="required"), "unsupported_value", "tool_choice"),
    (CHAT, {"model": "default"}, "invalid_value", "messages"),
    (CHAT, {"messages": []}, "invalid_value", "messages"),
    (CHAT, {"messages": [{"role": "user", "content": ""}]}, "invalid_value", "messages[0]"),
    (CHAT, {"messages": [{"role": "user", "content": "a\x00b"}]}, "invalid_value", "messages[0].content"),
    (CHAT, {"messages": [{"role": "user", "content": 7}]}, "invalid_value", "messages[0].content"),
    (RESPONSES, {"input": [7]}, "invalid_value", "input[0]"),
    (RESPONSES, {"model": "default"}, "invalid_value", "input"),
]


@pytest.mark.parametrize(("path", "body", "code", "param"), REFUSED)
async def test_what_is_refused(
    front: Front, path: str, body: dict[str, Any], code: str | None, param: str | None
) -> None:
    """P2.4: a 400 that names the field, streamed or not."""
    for stream in (False, True):
        answer = await front.http.post(path, json=body | {"stream": stream})
        error = told(answer)
        assert (answer.status_code, error["type"]) == (400, "invalid_request_error")
        assert (error["code"], error["param"]) == (code, param)


@pytest.mark.parametrize("path", [CHAT, RESPONSES])
@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b'"hi"', b"[" * 100_000, b'{"input": "\xff"}', b'{"input": "\\ud800"}'],
    ids=repr,
)
async def test_a_body_that_is_no_request(front: Front, path: str, body: bytes) -> None:
    """P2.4: hostile bytes are a 400 in OpenAI's envelope, never a 500 and never a 422."""
    answer = await front.http.post(path, content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert told(answer)["type"] == "invalid_request_error"


async def test_a_body_that_is_too_large(front: Front) -> None:
    """P2.3: refused by its declared length, before it is read; and in chunks, as soon as it is too much."""
    host, port = front.http.base_url.host, front.http.base_url.port
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    for path, length, sent in (
        (CHAT, f"content-length: {DEFAULT_MOST + 1}", b""),
        (RESPONSES, "transfer-encoding: chunked", chunk * (DEFAULT_MOST // 0x10000) + b"1\r\n \r\n"),
    ):
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(f"POST {path} HTTP/1.1\r\nhost: {host}\r\n{length}\r\n\r\n".encode() + sent)
        async with asyncio.timeout(60):
            answer = await reader.read()  # to the end: the facade closes the connection
        writer.close()
        await writer.wait_closed()
        top, _, body = answer.partition(b"\r\n\r\n")
        assert top.startswith(b"HTTP/1.1 413 ")
        assert json.loads(body)["error"]["code"] == "request_too_large"


async def test_a_body_at_the_limit_is_read(front: Front) -> None:
    """P2.3"""
    body = json.dumps(chat_body("hi")).encode()
    answer = await front.http.post(CHAT, content=body + b" " * (DEFAULT_MOST - len(body)))
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/", 404, "unknown_url"),
        ("GET", "/v1/nothing", 404, "unknown_url"),
        ("POST", "/v1/responses/compact", 404, "unknown_url"),
        ("POST", "/v1/chat/completions/", 404, "unknown_url"),
        ("GET", CHAT, 405, "method_not_allowed"),
        ("DELETE", "/v1/models", 405, "method_not_allowed"),
    ],
)
async def test_nothing_at_this_path(front: Front, method: str, path: str, status: int, code: str) -> None:
    """P2.4"""
    answer = await front.http.request(method, path)
    assert (answer.status_code, told(answer)["code"]) == (status, code)


async def test_errors_as_the_official_client_raises_them(howler: Howler) -> None:
    """P2.4: the right exception, with code, param and the request's id."""
    async with howler.openai() as client:
        with pytest.raises(openai.BadRequestError) as caught:
            await client.responses.create(model="default", input="hi", previous_response_id="resp_1")
        assert (caught.value.code, caught.value.param) == (
            "previous_response_not_found",
            "previous_response_id",
        )
        assert caught.value.request_id
        with pytest.raises(openai.NotFoundError) as missed:
            await client.chat.completions.create(
                model="gpt-9000", messages=[{"role": "user", "content": "hi"}], stream=True
            )
        assert missed.value.code == "model_not_found"


async def test_no_prompt_and_no_key_is_logged(howler: Howler, front: Front) -> None:
    canary = "canary-51c2"
    headers = {"authorization": f"Bearer sk-{canary}", "x-api-key": canary}
    bad = [{"role": "user", "content": [{"type": canary, "text": canary}]}]
    await front.http.post(f"{CHAT}?key={canary}", json=chat_body(canary), headers=headers)
    await front.http.post(CHAT, json={"messages": bad, "model": canary}, headers=headers)
    await front.refusals(f"{canary} /error", model=canary)
    assert canary not in howler.facade.errors
    assert canary not in howler.server.errors
