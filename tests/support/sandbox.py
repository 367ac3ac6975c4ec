"""The sandbox as its own process, for tests: started on a free port, asked and harmed over HTTP."""

import asyncio
import base64
import io
import json
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, fields
from types import TracebackType
from typing import Any, Self

import aiohttp

from sandbox.settings import Settings
from tests.support.process import ROOT, Program

ACCOUNTS_FILE = ROOT / "sandbox" / "accounts.json"


def accounts() -> list[dict[str, Any]]:
    """Return the accounts file: email, password, slots, name, cookie of each account."""
    rows: list[dict[str, Any]] = json.loads(ACCOUNTS_FILE.read_text("utf-8"))
    return rows


def sandbox_environ(**environ: str) -> dict[str, str]:
    """Return the environment of a sandbox for tests: a free port, a boot of 20 ms, and these settings."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("HOWLER_")}
    # Said to be empty, so that a developer's .env changes no test.
    unsaid = {f"HOWLER_SANDBOX_{field.name.upper()}": "" for field in fields(Settings)}
    usual = {"HOWLER_SANDBOX_ADDR": "127.0.0.1:0", "HOWLER_SANDBOX_BOOT_MS": "20"}
    return inherited | unsaid | usual | environ


class Sandbox:
    """`async with Sandbox(HOWLER_SANDBOX_BOOT_MS="20") as sandbox: sandbox.url`.

    Keywords are environment variables over the defaults: a free port, a boot of 20 ms.
    """

    def __init__(self, **environ: str) -> None:
        self._environ = sandbox_environ(**environ)
        self._stack = AsyncExitStack()
        self._session: aiohttp.ClientSession | None = None
        self.url = ""

    async def __aenter__(self) -> Self:
        program = await self._stack.enter_async_context(Program("sandbox", env=self._environ, cwd=ROOT))
        self.url = program.address
        self._session = await self._stack.enter_async_context(aiohttp.ClientSession(self.url))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._stack.__aexit__(kind, error, traceback)

    async def faults(self, **order: object) -> None:
        """Order faults: parts stream, control, routes, platform, accounts, machines (sandbox/README.md)."""
        async with self._own().put("/__sandbox/faults", json=order) as response:
            assert response.status == 200, await response.text()

    async def reset(self) -> None:
        """Take all faults back."""
        async with self._own().delete("/__sandbox/faults") as response:
            assert response.status == 200, await response.text()

    async def state(self) -> dict[str, Any]:
        """Return what the sandbox received and holds."""
        async with self._own().get("/__sandbox/state") as response:
            state: dict[str, Any] = await response.json()
            return state

    async def task(self, task_id: str) -> dict[str, Any]:
        """Return what it holds of a task."""
        (task,) = [task for task in (await self.state())["tasks"] if task["id"] == task_id]
        return dict(task)

    async def frames(self, task_id: str) -> list[str]:
        """Return the frames that came for a task, as they came."""
        return [frame["frame"] for frame in (await self.state())["frames"] if frame["task_id"] == task_id]

    async def log(self, task_id: str) -> list[dict[str, Any]]:
        """Return all that the agent of a task told, message by message."""
        async with self._own().get("/__sandbox/log", params={"task": task_id}) as response:
            rows: list[dict[str, Any]] = (await response.json())["log"]
            return rows

    def _own(self) -> aiohttp.ClientSession:
        assert self._session is not None, "the sandbox is not running"
        return self._session


@dataclass(frozen=True)
class Answer:
    """An HTTP answer, read whole."""

    status: int
    text: str
    headers: dict[str, str]

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.text)

    @property
    def data(self) -> Any:
        """The envelope's data; the code must be 0."""
        assert self.json["code"] == 0, self.text
        return self.json["data"]

    @property
    def code(self) -> int:
        """The envelope's code."""
        code: int = self.json["code"]
        return code


@dataclass(frozen=True)
class Heard:
    """A frame from the platform, its payload decoded."""

    type: str
    kind: str
    seq: int
    timestamp: int
    payload: Any

    @property
    def update(self) -> dict[str, Any]:
        """The ACP update, {} where there is none."""
        update: dict[str, Any] = self.payload["update"] if self.kind == "acp_event" else {}
        return update

    @property
    def text(self) -> str:
        """The text of a message chunk, "" where there is none."""
        if self.update.get("sessionUpdate") != "agent_message_chunk":
            return ""
        return str(self.update["content"].get("text", ""))


def hear(raw: str) -> Heard:
    """Decode a frame as the platform writes it: base64 of JSON, or null."""
    frame = json.loads(raw)
    payload = None if frame["data"] is None else json.loads(base64.b64decode(frame["data"], validate=True))
    return Heard(frame["type"], frame["kind"], frame.get("seq", 0), frame["timestamp"], payload)


def say(kind_of_frame: str, payload: object = None, kind: str = "") -> str:
    """Encode a client's frame: JSON, then base64."""
    frame: dict[str, Any] = {"type": kind_of_frame}
    if kind:
        frame["kind"] = kind
    if payload is not None:
        frame["data"] = base64.b64encode(json.dumps(payload).encode()).decode()
    return json.dumps(frame)


def prompt(text: str, attachments: tuple[dict[str, str], ...] = ()) -> str:
    """Encode a prompt in its canonical form."""
    content = base64.b64encode(text.encode()).decode()
    return say("user-input", {"content": content, "attachments": list(attachments)})


class Caller:
    """A client of the platform with one account's cookie; deletes its tasks when it leaves."""

    def __init__(self, url: str, account: int = 0) -> None:
        self._url = url
        self.account = accounts()[account]
        self._tasks: list[str] = []

    async def __aenter__(self) -> Self:
        self.http = aiohttp.ClientSession(
            self._url,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"Cookie": f"monkeycode_ai_session={self.account['cookie']}"},
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for task_id in self._tasks:
            await self.call("DELETE", f"/api/v1/users/tasks/{task_id}")
        await self.http.close()

    async def call(self, method: str, path: str, body: object = None, **options: Any) -> Answer:
        """Make a request; `body` is sent as JSON."""
        if body is not None:
            options["data"] = io.BytesIO(json.dumps(body).encode())
            options["headers"] = {"Content-Type": "application/json"} | options.get("headers", {})
        async with self.http.request(method, path, **options) as response:
            return Answer(response.status, await response.text(), dict(response.headers))

    async def order(self, content: str, /, **fields: object) -> dict[str, object]:
        """Return a body for create that passes every check, with these fields changed."""
        models = (await self.call("GET", "/api/v1/users/models")).data["models"]
        images = (await self.call("GET", "/api/v1/users/images")).data["images"]
        usual: dict[str, object] = {
            "content": content,
            "cli_name": "opencode",
            "model_id": models[0]["id"],
            "image_id": images[0]["id"],
            "host_id": "public_host",
            "task_type": "develop",
            "repo": {},
            "extra": {"skill_ids": []},
            "resource": {"core": 2, "memory": 8589934592, "life": 10800},
        }
        return usual | fields

    async def create(self, content: str, /, **fields: object) -> str:
        """Create a task; return its id."""
        answer = await self.call("POST", "/api/v1/users/tasks", await self.order(content, **fields))
        task_id: str = answer.data["id"]
        self._tasks.append(task_id)
        return task_id

    def forget(self, task_id: str) -> None:
        """Leave a task to its fate."""
        self._tasks.remove(task_id)

    async def info(self, task_id: str) -> dict[str, Any]:
        """Return a task."""
        data: dict[str, Any] = (await self.call("GET", f"/api/v1/users/tasks/{task_id}")).data
        return data

    async def until(self, task_id: str, status: str) -> dict[str, Any]:
        """Wait until a task has a status."""
        while (info := await self.info(task_id))["status"] != status:
            await asyncio.sleep(0.01)
        return info

    @asynccontextmanager
    async def socket(
        self, task_id: str, mode: str = "attach", channel: str = "stream"
    ) -> AsyncIterator[aiohttp.ClientWebSocketResponse[bool]]:
        """Open a stream or control socket."""
        path = f"/api/v1/users/tasks/{channel}?id={task_id}&mode={mode}"
        async with self.http.ws_connect(path, max_msg_size=0) as ws:
            yield ws

    async def follow(
        self, task_id: str, said: str | None = None, attachments: tuple[dict[str, str], ...] = ()
    ) -> list[Heard]:
        """Attach to the latest turn, or say a prompt in a new one; return its frames but pings."""
        async with self.socket(task_id, "attach" if said is None else "new") as ws:
            if said is not None:
                await ws.send_str(prompt(said, attachments))
            return await heard_until(ws, "task-ended")


async def heard_until(ws: "aiohttp.ClientWebSocketResponse[bool]", last: str) -> list[Heard]:
    """Return the frames up to the first of type `last`, without pings."""
    heard: list[Heard] = []
    while not heard or heard[-1].type != last:
        frame = hear(str(await ws.receive_str(timeout=60)))
        if frame.type != "ping" or last == "ping":
            heard.append(frame)
    return heard


def answer_of(frames: list[Heard]) -> str:
    """Return the text of a turn."""
    return "".join(frame.text for frame in frames)
