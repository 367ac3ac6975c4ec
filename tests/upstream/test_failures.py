"""What becomes of calls that fail: refused, lost, silent, garbled (upstream-protocol §1.3, §1.4, §5.2)."""

import asyncio
import contextlib
import ssl
from pathlib import Path

import pytest
from aiohttp import web
from howler.model.v1.model_service_pb2 import Model

from server.errors import ServiceError, reason_name
from server.upstream.platform import NewTask, Platform
from tests.upstream.stand_in import (
    COOKIE,
    SESSION,
    Handler,
    Recorder,
    answers,
    hang_up,
    in_turn,
    platform,
    raw_upstream,
    read_request,
    says,
    speak_gibberish,
    upstream,
)

LISTED = says({"models": [{"id": "m-1", "model": "x"}]})
NEW = NewTask("my-prompt", "m-1")


async def failure(platform: Platform) -> ServiceError:
    with pytest.raises(ServiceError) as raised:
        await platform.models(SESSION)
    return raised.value


async def refusal_to_create(url: str) -> str:
    async with Platform(url, connect_timeout=1.0, read_timeout=0.4, image_id="i", host_id="h") as made:
        with pytest.raises(ServiceError) as raised:
            await made.create_task(SESSION, NEW)
    assert "my-prompt" not in raised.value.message
    return reason_name(raised.value.reason)


async def closed_port() -> int:
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        return int(server.sockets[0].getsockname()[1])


@pytest.mark.parametrize(
    ("reply", "reason", "words"),
    [
        (answers("<html>bad gateway</html>", status=502), "UPSTREAM_UNAVAILABLE", "HTTP 502"),
        (answers("<html>", status=504), "UPSTREAM_UNAVAILABLE", "HTTP 504"),
        (answers('{"code":0,"data":{"models":[]}}', status=503), "UPSTREAM_UNAVAILABLE", "HTTP 503"),
        (answers("<html>", status=500), "UPSTREAM_ERROR", "HTTP 500"),
        (answers("Unauthorized", status=401, kind="text/plain"), "SESSION_EXPIRED", "HTTP 401"),
        (answers("no", status=401, WWW_Authenticate='Basic realm="x"'), "UPSTREAM_FORBIDDEN", "BASIC_AUTH"),
        (answers('{"message":"Not Found"}', status=404), "UPSTREAM_NOT_FOUND", "404"),
        (answers("", status=302, Location="https://elsewhere/"), "UPSTREAM_PROTOCOL", "redirects"),
        (answers("<html>welcome</html>"), "UPSTREAM_PROTOCOL", "without JSON"),
        (answers("7"), "UPSTREAM_PROTOCOL", "without JSON"),
        (answers('{"a":' * 200_000), "UPSTREAM_PROTOCOL", "without JSON"),
        (says({"models": "none"}), "UPSTREAM_PROTOCOL", "models"),
        (says("nothing"), "UPSTREAM_PROTOCOL", "models"),
        (says(code=40100, message="expired"), "SESSION_EXPIRED", "40100"),
    ],
)
async def test_replies_that_are_no_list(reply: Handler, reason: str, words: str) -> None:
    """P7.3."""
    async with platform(GET_users_models=reply) as made:
        error = await failure(made)
    assert reason_name(error.reason) == reason
    assert words in error.message


async def test_a_redirect_is_not_followed() -> None:
    """The cookie goes to one host only."""
    elsewhere = Recorder(LISTED)
    async with (
        upstream(any=elsewhere) as other,
        platform(GET_users_models=answers("", status=307, Location=f"{other}/x")) as made,
    ):
        await failure(made)
    assert elsewhere.asked == []


async def test_an_endless_body_is_cut_off() -> None:
    async def flood(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            while True:
                await response.write(b" " * (1 << 20))
        return response

    async with platform(GET_users_models=flood) as made:
        error = await failure(made)
    assert reason_name(error.reason) == "UPSTREAM_PROTOCOL"
    assert "16 MiB" in error.message


@pytest.mark.parametrize(
    "first", [says(code=500, message="x"), says(code=10004), answers("<html>", status=502)]
)
async def test_a_passing_failure_is_tried_again_once(first: Handler) -> None:
    """§1.4, "same"."""
    asked = Recorder(in_turn(first, LISTED))
    async with platform(GET_users_models=asked) as made:
        assert len(await made.models(SESSION)) == 1
    again = Recorder(first)
    async with platform(GET_users_models=again) as made:
        await failure(made)
    assert (len(asked.asked), len(again.asked)) == (2, 2)


async def test_a_refusal_is_not_tried_again() -> None:
    asked = Recorder(says(code=10001, message="no"))
    async with platform(GET_users_models=asked) as made:
        assert reason_name((await failure(made)).reason) == "UPSTREAM_FORBIDDEN"
    assert len(asked.asked) == 1


async def test_how_long_to_wait_is_passed_on() -> None:
    async with platform(any=answers("slow down", status=429, Retry_After="7")) as made:
        error = await failure(made)
    assert (reason_name(error.reason), error.retry_after) == ("RATE_LIMITED", 7.0)


async def test_a_silent_upstream() -> None:
    async def hang(_: web.Request) -> web.Response:
        await asyncio.sleep(30)
        return web.Response()

    async with upstream(any=hang) as url, Platform(url, read_timeout=0.2) as made:
        error = await failure(made)
    assert reason_name(error.reason) == "UPSTREAM_UNAVAILABLE"
    assert "0.2 s" in error.message


async def test_nobody_there() -> None:
    port = await closed_port()
    async with Platform(f"http://127.0.0.1:{port}") as made:
        assert reason_name((await failure(made)).reason) == "UPSTREAM_UNAVAILABLE"
    assert await refusal_to_create(f"http://127.0.0.1:{port}") == "UPSTREAM_UNAVAILABLE"
    assert await refusal_to_create("http://no-such-host.invalid") == "UPSTREAM_UNAVAILABLE"


async def test_tls_that_is_none() -> None:
    """Nothing was sent, so a create was surely not accepted."""
    async with upstream(any=LISTED) as url:
        assert await refusal_to_create(url.replace("http:", "https:")) == "UPSTREAM_UNAVAILABLE"


async def cut_in_the_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 60\r\n\r\n{"code":0,')
    await writer.drain()


async def never_answer(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await read_request(reader)
    await asyncio.sleep(2)


@pytest.mark.parametrize(
    "talk",
    [hang_up, cut_in_the_answer, never_answer, speak_gibberish],
    ids=lambda talk: talk.__name__,
)
async def test_a_create_whose_answer_is_lost_is_of_unknown_acceptance(talk: object) -> None:
    """§5.2; it is not sent again."""
    requests = 0

    async def counted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal requests
        asked = asyncio.StreamReader()
        asked.feed_data(await read_request(reader))
        requests += 1
        await talk(asked, writer)  # type: ignore[operator]

    async with raw_upstream(counted) as url:
        assert await refusal_to_create(url) == "ACCEPTANCE_UNKNOWN"
    assert requests == 1


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (answers("<html>", status=502), "ACCEPTANCE_UNKNOWN"),
        (answers("<html>", status=503), "ACCEPTANCE_UNKNOWN"),
        (answers("<html>", status=504), "ACCEPTANCE_UNKNOWN"),
        (answers("<html>", status=500), "ACCEPTANCE_UNKNOWN"),
        (answers("<html>"), "ACCEPTANCE_UNKNOWN"),
        (says(), "ACCEPTANCE_UNKNOWN"),
        (says({"status": "pending"}), "ACCEPTANCE_UNKNOWN"),
        (says(code=500, message="err"), "UPSTREAM_ERROR"),
        (says(code=10811, message="full"), "CONCURRENCY_LIMIT"),
        (says(code=10812, message="plan"), "MODEL_ACCESS_DENIED"),
        (says(code=400, message="bad", status=400), "UPSTREAM_REJECTED"),
        (answers("Unauthorized", status=401), "SESSION_EXPIRED"),
        (answers("too large", status=413), "PROMPT_TOO_LARGE"),
    ],
)
async def test_a_create_is_refused_or_unknown_and_never_sent_twice(reply: Handler, reason: str) -> None:
    asked = Recorder(reply)
    async with upstream(POST_users_tasks=asked) as url:
        assert await refusal_to_create(url) == reason
    assert len(asked.asked) == 1


async def test_a_create_takes_no_connection_that_was_dropped() -> None:
    """It would look like a lost answer. One that was in use just now is taken again."""
    peers = []

    async def created(request: web.Request) -> web.Response:
        assert request.transport is not None
        peers.append(request.transport.get_extra_info("peername"))
        if len(peers) == 2:
            asyncio.get_running_loop().call_later(0.05, request.transport.close)
        return web.json_response({"code": 0, "message": "success", "data": {"id": "t"}})

    async with upstream(any=created) as url, Platform(url, image_id="i", host_id="h") as made:
        for _ in range(2):
            await made.create_task(SESSION, NEW)
        await asyncio.sleep(0.2)
        await made.create_task(SESSION, NEW)
    first, second, third = peers
    assert first == second != third


async def test_a_message_of_the_platform_is_one_short_line_with_its_trace() -> None:
    message = "no\r\nluck " + "x" * 400 + " [trace_id: 0af7651916cd43dd8448eb211c80319c]"
    async with platform(any=says(code=10001, message=message)) as made:
        error = await failure(made)
    assert error.message.endswith("… (trace 0af7651916cd43dd8448eb211c80319c)")
    assert "no luck x" in error.message
    assert len(error.message) < 350
    assert error.message.isprintable()


async def test_a_message_that_repeats_the_cookie_is_not_told() -> None:
    async with platform(any=says(code=10001, message=f"cookie {COOKIE} is bad")) as made:
        error = await failure(made)
    assert COOKIE not in error.message
    assert COOKIE not in repr(error)


@pytest.mark.parametrize(
    "address", ["", "monkeycode-ai.com", "ftp://x", "https://", "https://a:b@host", "https://h/?q=1"]
)
def test_addresses_that_cannot_be_meant(address: str) -> None:
    with pytest.raises(ValueError, match="the platform's address"):
        Platform(address)


def test_a_ca_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="certificates"):
        Platform("https://host", ca_file=str(tmp_path / "none.pem"))
    (tmp_path / "bad.pem").write_text("no certificate")
    with pytest.raises(ValueError, match="certificates"):
        Platform("https://host", ca_file=str(tmp_path / "bad.pem"))
    assert issubclass(ssl.SSLError, OSError)


async def test_a_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    port = await closed_port()
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{port}")
    async with platform(any=LISTED) as made:
        (model,) = await made.models(SESSION)
    assert isinstance(model, Model)
