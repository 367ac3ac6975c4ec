"""The load: many streams at a time, every token checked; its report is one JSON object on stdout.

`--api chat` and `responses` go through a gateway, `direct` makes a task and
reads its stream from the stub: the floor that everything else is compared with.
Each stream has connections of its own. Whatever is not over `--within` seconds
after the start is cut off and counts as `timeout`.

    python -m bench.client --url http://127.0.0.1:8080 --streams 200 --at-once 50 --tokens 200
"""

import argparse
import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Literal, get_args
from urllib.parse import SplitResult, urlsplit

import uvloop

from bench.answers import Answer, ChatAnswer, ResponsesAnswer, StreamAnswer
from bench.exchange import Exchange
from bench.tokens import Ask, Seen, Tally

Api = Literal["chat", "responses", "direct"]

_HANDSHAKE: Final = (
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: YmVuY2htYXJraW5nLi4uLg==\r\n"
)


def _now_us() -> int:
    return time.monotonic_ns() // 1000


@dataclass(frozen=True, slots=True)
class Load:
    """What is asked for: so many streams in all, `at_once` at a time.

    The first ones start over `ramp` seconds; after `within` seconds it is over.
    """

    url: SplitResult
    api: Api
    streams: int
    at_once: int
    ask: Ask
    ramp: float
    within: float
    model: str


@dataclass(slots=True)
class Totals:
    """What came of it. `errors` counts streams by what was wrong with them; `said` has a few in words."""

    seen: Seen = field(default_factory=Seen)
    ok: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    said: list[str] = field(default_factory=list)
    active: int = 0
    most_at_once: int = 0
    bytes: int = 0
    began_us: int = 0
    ended_us: int = 0

    def wrong(self, kind: str, detail: str = "") -> None:
        """Count a stream that went wrong."""
        self.errors[kind] += 1
        if detail and len(self.said) < 3:
            self.said.append(f"{kind}: {detail}"[:200])


class Driver:
    """Runs a load and fills in the totals."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._left = load.streams
        self.totals = Totals()

    async def run(self) -> None:
        """Run it to its end, or as long as it may take."""
        load, totals = self._load, self.totals
        workers = min(load.at_once, load.streams)
        totals.began_us = _now_us()
        try:
            async with asyncio.timeout(load.within):
                await asyncio.gather(*(self._work(load.ramp * n / workers) for n in range(workers)))
        except TimeoutError:
            totals.errors["timeout"] += load.streams - totals.ok - totals.errors.total()
        totals.ended_us = _now_us()

    async def _work(self, after: float) -> None:
        await asyncio.sleep(after)
        while self._left > 0:
            self._left -= 1
            self.totals.active += 1
            self.totals.most_at_once = max(self.totals.most_at_once, self.totals.active)
            try:
                await self._stream()
            except OSError as error:
                self.totals.wrong("connect", str(error))
            finally:
                self.totals.active -= 1

    async def _stream(self) -> None:
        load, totals = self._load, self.totals
        began = _now_us()
        tally = Tally(totals.seen, load.ask.tokens, began)
        request = await self._request()
        if not request:
            return
        answer = _answer(load.api)

        def take(data: bytes) -> str | None:
            if found := answer.take(data):
                tally.feed(found, _now_us())
            return answer.failed or ("" if answer.done else None)

        verdict = await self._exchange(request, take)
        if kind := verdict or tally.verdict():
            totals.wrong(" ".join(kind.split()[:2]) if kind.startswith("http") else kind, kind)
        else:
            totals.ok += 1

    async def _request(self) -> bytes:
        """Return the request that answers with tokens; b"" where there is none to be had."""
        load = self._load
        prompt = load.ask.prompt()
        match load.api:
            case "chat":
                messages = [{"role": "user", "content": prompt}]
                body = {"model": load.model, "stream": True, "messages": messages}
                return self._post("/v1/chat/completions", body)
            case "responses":
                body = {"model": load.model, "stream": True, "input": prompt}
                return self._post("/v1/responses", body)
            case "direct":
                return await self._made_task(prompt)

    def _post(self, path: str, body: dict[str, Any]) -> bytes:
        url, payload = self._load.url, json.dumps(body).encode()
        head = (
            f"POST {url.path.rstrip('/')}{path} HTTP/1.1\r\nHost: {url.netloc}\r\n"
            "Authorization: Bearer bench\r\nAccept: text/event-stream\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(payload)}\r\n\r\n"
        )
        return head.encode() + payload

    async def _made_task(self, prompt: str) -> bytes:
        said = b""

        def take(data: bytes) -> str | None:
            nonlocal said
            said += data
            try:
                return "" if json.loads(said) else None
            except ValueError:
                return None

        verdict = await self._exchange(self._post("/api/v1/users/tasks", {"content": prompt}), take)
        if verdict:
            self.totals.wrong("create", verdict)
            return b""
        task_id = json.loads(said)["data"]["id"]
        path = f"/api/v1/users/tasks/stream?id={task_id}&mode=attach"
        return f"GET {path} HTTP/1.1\r\nHost: {self._load.url.netloc}\r\n{_HANDSHAKE}\r\n".encode()

    async def _exchange(self, request: bytes, take: Callable[[bytes], str | None]) -> str:
        host, port = self._load.url.hostname or "127.0.0.1", self._load.url.port or 80
        loop = asyncio.get_running_loop()
        _, exchange = await loop.create_connection(lambda: Exchange(request, take), host, port)
        try:
            return await exchange.over
        finally:
            self.totals.bytes += exchange.bytes
            exchange.abort()


def _answer(api: Api) -> Answer:
    match api:
        case "chat":
            return ChatAnswer()
        case "responses":
            return ResponsesAnswer()
        case "direct":
            return StreamAnswer()


def quantiles(values: list[float]) -> dict[str, float] | None:
    """Return the median, the 99th percentile and the greatest, in milliseconds; None of nothing."""
    if not values:
        return None
    ordered = sorted(values)
    last = len(ordered) - 1
    return {
        "p50": round(ordered[len(ordered) // 2], 3),
        "p99": round(ordered[min(last, len(ordered) * 99 // 100)], 3),
        "max": round(ordered[last], 3),
    }


def report(load: Load, totals: Totals) -> dict[str, Any]:
    """Return what came of a load, as the runner reads it."""
    return {
        "ok": totals.ok,
        "errors": dict(totals.errors),
        "said": totals.said,
        "events": totals.seen.events,
        "expected": load.streams * load.ask.tokens,
        "reads": totals.seen.reads,
        "bytes": totals.bytes,
        "most_at_once": totals.most_at_once,
        "seconds": round((totals.ended_us - totals.began_us) / 1e6, 3),
        "ttft_ms": quantiles(totals.seen.ttft),
        "delay_ms": quantiles(totals.seen.delay),
    }


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.client", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--url", required=True, help="http://host:port, without /v1")
    parser.add_argument("--api", choices=get_args(Api), default="chat")
    parser.add_argument("--streams", type=int, default=50, help="in all")
    parser.add_argument("--at-once", type=int, default=50)
    parser.add_argument("--tokens", type=int, default=200, help="per stream")
    parser.add_argument("--every", type=float, default=0.0, help="ms between tokens; 0 is a burst")
    parser.add_argument("--ramp", type=float, default=0.0, help="seconds in which the first streams start")
    parser.add_argument("--within", type=float, default=120.0, help="seconds that all of it may take")
    parser.add_argument("--model", default="bench")
    given = parser.parse_args()
    load = Load(
        url=urlsplit(given.url),
        api=given.api,
        streams=given.streams,
        at_once=given.at_once,
        ask=Ask(given.tokens, given.every),
        ramp=given.ramp,
        within=given.within,
        model=given.model,
    )
    driver = Driver(load)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(driver.run())
    json.dump(report(load, driver.totals), sys.stdout)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
