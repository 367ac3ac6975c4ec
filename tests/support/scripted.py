"""An upstream of its own, which is not the sandbox: it plays what a test wrote down.

It speaks just enough of the platform's HTTP for Howler to run a turn, plays a script of exact
text frames on each stream socket, fails where it is told to, and keeps what it was asked.
"""

import asyncio
import json
import time
import uuid
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Self

from aiohttp import WSMsgType, web

from tests.support.script import Close, Drop, Pause, Script, Until

COOKIE: Final = "11111111-1111-4111-8111-111111111111"
OTHER_COOKIE: Final = "22222222-2222-4222-8222-222222222222"
MODEL_ID: Final = "0b6c4d1e-8f2a-4c55-9a57-3f1f0a9be001"
MODEL: Final = "monkeycode/BaiZhiCloud/scripted"
_SESSION: Final = "monkeycode_ai_session"
_ZERO_TIME: Final = -62135596800  # Go's zero time in unix seconds: a task that is not over


@dataclass(frozen=True)
class Refuse:
    """Answer a create with HTTP 200 and this code; `leaves` a pending task behind (§5.2)."""

    code: int
    leaves: bool = False


@dataclass(frozen=True)
class Page:
    """Answer a create with a proxy's page of this status, though the task may be `made`."""

    status: int
    made: bool = False


@dataclass(frozen=True)
class HangUp:
    """Cut the connection in place of an answer to a create, though the task may be `made`."""

    made: bool = False


@dataclass(frozen=True)
class Slow:
    """Make the task, and answer so many seconds later."""

    seconds: float


Fault = Refuse | Page | HangUp | Slow


@dataclass
class ScriptedTask:
    """A task; `status` is what its info says, `user` whose it is, `created_at` in unix seconds."""

    id: str
    content: str
    user: str
    status: str = "pending"
    created_at: int = field(default_factory=lambda: int(time.time()))
    body: dict[str, Any] = field(default_factory=dict)
    looked_at: int = 0
    up: asyncio.Event = field(default_factory=asyncio.Event)  # its VM runs


@dataclass(frozen=True)
class Request:
    """One HTTP request that came in; `body` is its JSON, None without one."""

    method: str
    path: str
    cookie: str
    body: Any


class ScriptedSocket:
    """One stream socket: what was heard on it, and how it ended."""

    def __init__(self, task_id: str, mode: str) -> None:
        self.task_id = task_id
        self.mode = mode
        self.heard: list[str] = []
        self.closed = asyncio.Event()
        self._news = asyncio.Condition()

    def types(self) -> list[str]:
        """Return the types of the frames that the client sent, in order."""
        return [json.loads(frame)["type"] for frame in self.heard]

    async def take(self, frame: str) -> None:
        """Keep a frame of the client."""
        async with self._news:
            self.heard.append(frame)
            self._news.notify_all()

    async def until(self, *types: str) -> None:
        """Return once the client sent a frame of one of these types."""
        async with self._news:
            await self._news.wait_for(lambda: any(name in self.types() for name in types))


class Scripted:
    """The upstream. Everything that it does next can be set between the calls.

    `attach` and `new` are the scripts of the sockets of that mode, one each in turn; the last one
    stays. `creates` are the faults of the creates to come; without one a create succeeds.
    `boot` are the VM's conditions told, one look each, before a task's status is `boots_to`; until that
    is `processing` an attached socket keeps silent (§6.8), and with `hears_early` False for ever.
    `sessions` maps the cookies that are valid to their users, `passwords` e-mails to a password and its user.
    `refuses` maps a call on tasks (list, info, stop) to the code that it is answered with.
    """

    def __init__(self) -> None:
        self.attach: list[Script] = [()]
        self.new: list[Script] = [()]
        self.creates: list[Fault] = []
        self.boot: list[dict[str, Any]] = []
        self.boots_to = "processing"
        self.hears_early = True
        self.sessions = {COOKIE: "user-1", OTHER_COOKIE: "user-2"}
        self.passwords: dict[str, tuple[str, str]] = {}
        self.refuses: dict[str, int] = {}
        self.tasks: dict[str, ScriptedTask] = {}
        self.requests: list[Request] = []
        self.sockets: list[ScriptedSocket] = []
        self.url = ""
        self._runner: web.AppRunner

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=64 << 20)
        tasks = "/api/v1/users/tasks"
        app.router.add_get("/api/v1/server/config", self._config)
        app.router.add_post("/api/v1/users/password-login", self._login)
        app.router.add_get("/api/v1/users/status", self._status)
        for offer in ("models", "images", "hosts"):
            app.router.add_get(f"/api/v1/users/{offer}", self._offers)
        app.router.add_post(tasks, self._create)
        app.router.add_get(tasks, self._list)
        app.router.add_put(f"{tasks}/stop", self._stop)
        app.router.add_get(f"{tasks}/stream", self._stream)
        app.router.add_get(tasks + "/{id}", self._info)
        app.router.add_delete(tasks + "/{id}", self._delete)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    def asked(self, method: str, path: str) -> list[Request]:
        """Return the requests of a method whose path, from `users/` on, is `path` or begins `path/`."""
        path = f"/api/v1/users/{path}"
        return [
            request
            for request in self.requests
            if request.method == method and (request.path == path or request.path.startswith(f"{path}/"))
        ]

    async def _take(self, request: web.Request) -> str:
        """Keep the request and return its cookie. Raises HTTP 401 as the platform does: plain text."""
        raw = await request.read()
        cookie = request.cookies.get(_SESSION, "")
        self.requests.append(Request(request.method, request.path, cookie, json.loads(raw) if raw else None))
        if cookie not in self.sessions:
            raise web.HTTPUnauthorized(text="Unauthorized")
        return cookie

    async def _config(self, _: web.Request) -> web.Response:
        return _says({"captcha_enabled": False})

    async def _login(self, request: web.Request) -> web.Response:
        given = await request.json()
        self.requests.append(Request("POST", request.path, "", given))
        password, user = self.passwords.get(given["email"], ("", ""))
        if not password or password != given["password"]:
            return _refuses(10606)
        cookie = str(uuid.uuid4())
        self.sessions[cookie] = user
        response = _says({"id": user, "email": given["email"], "role": "individual"})
        response.set_cookie(_SESSION, cookie)
        return response

    async def _status(self, request: web.Request) -> web.Response:
        user = self.sessions[await self._take(request)]
        return _says({"user": {"id": user, "name": user, "role": "individual"}, "teams": []})

    async def _offers(self, request: web.Request) -> web.Response:
        await self._take(request)
        public = {"id": "admin", "type": "public", "name": "MonkeyCode-AI"}
        name = request.path.rpartition("/")[2]
        rows: dict[str, list[dict[str, Any]]] = {
            "models": [
                {"id": MODEL_ID, "provider": "BaiZhiCloud", "model": "scripted", "owner": public, "weight": 1}
            ],
            "images": [{"id": str(uuid.UUID(int=7)), "name": "devbox", "remark": "devbox", "owner": public}],
            "hosts": [{"id": "public_host_a_b_c", "name": "MonkeyCode-AI", "status": "online"}],
        }
        return _says({name: rows[name], "page": {"has_next_page": False}})

    async def _create(self, request: web.Request) -> web.StreamResponse:
        cookie = await self._take(request)
        fault = self.creates.pop(0) if self.creates else None
        match fault:
            case None | Slow() | Refuse(leaves=True) | Page(made=True) | HangUp(made=True):
                body = self.requests[-1].body
                task = ScriptedTask(str(uuid.uuid4()), body["content"], self.sessions[cookie], body=body)
                self.tasks[task.id] = task
        match fault:
            case Refuse(code=code):
                return _refuses(code)
            case Page(status=status):
                return web.Response(status=status, text="<html>from a proxy</html>", content_type="text/html")
            case HangUp():
                assert request.transport is not None
                request.transport.abort()
                return web.Response()
            case Slow(seconds):
                await asyncio.sleep(seconds)
        return _says(_row(task))

    async def _list(self, request: web.Request) -> web.Response:
        cookie = await self._take(request)
        if code := self.refuses.get("list"):
            return _refuses(code)
        statuses = request.query["status"].split(",")
        mine = [
            task
            for task in self.tasks.values()
            if task.user == self.sessions[cookie] and task.status in statuses
        ]
        mine.sort(key=lambda task: task.created_at, reverse=True)
        page = {"has_next_page": False, "total_count": len(mine)}
        return _says({"tasks": [_row(task) for task in mine], "page_info": page})

    async def _info(self, request: web.Request) -> web.Response:
        task = self._of(await self._take(request), request.match_info["id"])
        if task is None or "info" in self.refuses:
            return _refuses(self.refuses.get("info", 500))
        row = _row(task)
        if task.status == "pending":
            if task.looked_at < len(self.boot):
                conditions = self.boot[: task.looked_at + 1]
                row["virtualmachine"] = {"id": "agent_1", "status": "pending", "conditions": conditions}
            else:
                row["status"] = task.status = self.boots_to
                if self.boots_to == "processing":
                    task.up.set()
            task.looked_at += 1
        return _says(row)

    async def _stop(self, request: web.Request) -> web.Response:
        cookie = await self._take(request)
        task = self._of(cookie, self.requests[-1].body["id"])
        if task is None or "stop" in self.refuses:
            return _refuses(self.refuses.get("stop", 500))
        task.status = "finished"
        return _says()

    async def _delete(self, request: web.Request) -> web.Response:
        task = self._of(await self._take(request), request.match_info["id"])
        if task is None:
            return _refuses(10002)
        del self.tasks[task.id]
        return _says()

    def _of(self, cookie: str, task_id: str) -> ScriptedTask | None:
        task = self.tasks.get(task_id)
        return task if task is not None and task.user == self.sessions[cookie] else None

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        task_id, mode = request.query["id"], request.query["mode"]
        task = self._of(await self._take(request), task_id)
        if task is None:
            return _refuses(500)
        connection = web.WebSocketResponse(compress=False, max_msg_size=32_768, timeout=0.1)
        await connection.prepare(request)
        socket = ScriptedSocket(task_id, mode)
        self.sockets.append(socket)
        player = asyncio.create_task(self._play(connection, request, socket, task))
        try:
            async for message in connection:
                if message.type is WSMsgType.TEXT:
                    await socket.take(message.data)
        finally:
            player.cancel()
            await asyncio.wait([player])
            socket.closed.set()
        return connection

    async def _play(
        self,
        connection: web.WebSocketResponse,
        request: web.Request,
        socket: ScriptedSocket,
        task: ScriptedTask,
    ) -> None:
        if socket.mode == "attach" and (self.boot or self.boots_to != "processing") and not task.up.is_set():
            await (task.up if self.hears_early else asyncio.Event()).wait()
        scripts = self.new if socket.mode == "new" else self.attach
        script = scripts.pop(0) if len(scripts) > 1 else scripts[0]
        if socket.mode == "new":  # nothing is told before the prompt (§6.7)
            await socket.until("user-input", "user_input")
        await _say(connection, request, socket, script)


async def _say(
    connection: web.WebSocketResponse, request: web.Request, socket: ScriptedSocket, script: Script
) -> None:
    try:
        for step in script:
            match step:
                case str():
                    await connection.send_str(step)
                case Pause(seconds):
                    await asyncio.sleep(seconds)
                case Until(name):
                    await socket.until(name)
                case Close(code):
                    await connection.close(code=code)
                    return
                case Drop():
                    assert request.transport is not None
                    request.transport.abort()
                    return
    except ConnectionError:
        return  # the client hung up: what is left of the script is said to nobody


def _row(task: ScriptedTask) -> dict[str, Any]:
    return {
        "id": task.id,
        "content": task.content,
        "status": task.status,
        "created_at": task.created_at,
        "completed_at": _ZERO_TIME,
        "virtualmachine": None,
        "model": {"id": MODEL_ID},
    }


def _says(data: Any = None) -> web.Response:
    body = {"code": 0, "message": "success"}
    return web.json_response(body if data is None else {**body, "data": data})


def _refuses(code: int) -> web.Response:
    return web.json_response({"code": code, "message": f"no [trace_id: {'0' * 32}]"})
