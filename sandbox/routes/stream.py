"""The task stream (protocol §6): modes new and attach."""

import asyncio
from contextlib import ExitStack
from typing import Literal

from aiohttp import web

from sandbox.routes.caller import account_of, backend_of, id_of, task_of
from sandbox.routes.envelope import Failure
from sandbox.routes.socket import GoneError, Socket, accept, now_ms
from sandbox.wire import gojson
from sandbox.wire.frame import Frame, MalformedFrameError
from sandbox.wire.prompt import Prompt, read_prompt, read_reply, write_prompt
from sandbox.world import replay
from sandbox.world.backend import Backend
from sandbox.world.channel import Live
from sandbox.world.machine import Power
from sandbox.world.storage import BadAttachmentError, check_attachments
from sandbox.world.task import Task
from sandbox.world.turn import Ending

routes = web.RouteTableDef()
Mode = Literal["new", "attach", "public"]


@routes.get("/api/v1/users/tasks/stream")
async def stream(request: web.Request) -> web.StreamResponse:
    """Open a task's stream; a mode that is not new is attach (§6.1)."""
    account_of(request)
    task = task_of(request, id_of(request.query.get("id", "")))
    mode: Mode = "new" if request.query.get("mode", "") in {"", "new"} else "attach"
    return await _serve(request, task, mode)


@routes.get("/api/v1/users/tasks/public-stream")
async def public_stream(request: web.Request) -> web.StreamResponse:
    """Watch a task: read only, by anyone who knows its id."""
    task = backend_of(request).tasks.get(id_of(request.query.get("id", "")))
    if task is None:
        raise Failure(10002)
    return await _serve(request, task, "public")


async def _serve(request: web.Request, task: Task, mode: Mode) -> web.StreamResponse:
    async with accept(request, "stream", mode, task) as socket:
        await Stream(backend_of(request), task, mode, socket).run()
        return socket.response


class Stream:
    """One stream socket. After its turn's end it is over: silent, but not closed (§6.10).

    Older dialects close it then.
    """

    def __init__(self, backend: Backend, task: Task, mode: Mode, socket: Socket) -> None:
        self._backend, self._task, self._mode, self._socket = backend, task, mode, socket
        self._over = False
        self._follower: asyncio.Task[None] | None = None
        self._pinger: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Serve the socket until the client leaves or a rule closes it."""
        with ExitStack() as stack:
            stack.callback(self._stop)
            try:
                await self._serve(stack)
            except GoneError:
                return

    async def _serve(self, stack: ExitStack) -> None:
        self._pinger = asyncio.create_task(self._socket.ping(self._backend.settings.ping_s))
        machine = self._task.machine
        if machine is None or machine.power is Power.RECYCLED:
            await self._tell_error("no virtual machine or host for task")
            await self._socket.close(1000)
            return
        if self._mode != "new":
            queue = stack.enter_context(self._task.channel.listen())
            self._follower = asyncio.create_task(self._attach(queue))
        async for raw in self._socket.messages():
            if self._over:
                # Its context is cancelled: the frame is lost, and the handler ends.
                self._backend.oracle.frame(self._socket.record, raw, "lost: the turn is over")
                await self._socket.close(1000, b"close")
                return
            outcome = await self._handle(raw, stack)
            self._backend.oracle.frame(self._socket.record, raw, outcome)

    def _stop(self) -> None:
        for task in (self._follower, self._pinger):
            if task is not None:
                task.cancel()

    def _end(self) -> None:
        """Cancel the socket's context: pings stop, nothing is sent any more."""
        self._over = True
        if self._pinger is not None:
            self._pinger.cancel()

    async def _end_turn(self) -> None:
        self._end()
        if self._socket.dialect.hangs_up:
            await self._socket.close(1000)

    async def _tell_error(self, text: str) -> None:
        await self._socket.send(Frame("error", gojson.dumps(text).encode()))

    # What the server tells.

    async def _attach(self, queue: "asyncio.Queue[Live]") -> None:
        """Replay the latest turn, then go on live behind it (§6.8)."""
        try:
            if self._socket.fault.attach_fails:
                await self._tell_error("failed to attach stream: task not found")
                return
            if await self._subscription_fails():
                return
            seam_ns = self._task.channel.now_ns()
            behaviour = self._backend.faults.platform
            if self._task.channel.turns > 1:
                cursor = {"cursor": str(self._task.channel.turns), "has_more": True}
                await self._socket.send(Frame("cursor", gojson.dumps(cursor).encode(), timestamp=now_ms()))
            for frame in replay.latest_turn(self._task, behaviour):
                if frame.type == "task-ended":
                    if self._socket.fault.drop_task_ended != "always":
                        await self._socket.send(frame)
                        await self._end_turn()
                        return
                    continue
                await self._socket.send(frame)
            await self._pump(queue, seam_ns)
        except GoneError:
            self._end()

    async def _follow(self, queue: "asyncio.Queue[Live]") -> None:
        try:
            await self._pump(queue, 0)
        except GoneError:
            self._end()

    async def _pump(self, queue: "asyncio.Queue[Live]", seam_ns: int) -> None:
        """Send what is told live after the seam, until the turn ends."""
        fault = self._socket.fault
        while True:
            live = await queue.get()
            if live.at_ns <= seam_ns:
                continue
            if live.type != "task-ended":
                await self._socket.send_text(live.text)
                continue
            if fault.close_at_task_ended:
                await self._socket.cut()
            if fault.drop_task_ended is None:
                await self._socket.send_text(live.text)
                await self._end_turn()
                return

    async def _subscription_fails(self) -> bool:
        if not self._socket.fault.subscribe_fails:
            return False
        await self._tell_error("failed to subscribe realtime stream: unavailable")
        self._end()
        return True

    # What the client says.

    async def _handle(self, raw: bytes, stack: ExitStack) -> str:
        """Act on a frame without a word of acknowledgement (§6.5); return what became of it."""
        if self._mode == "public":
            return "ignored: read only"
        try:
            frame = self._socket.dialect.parse(raw)
        except MalformedFrameError as error:
            return f"dropped: {error}"
        match frame.type:
            case "user-input":
                return await self._take_input(read_prompt(frame.data), stack)
            case "user-cancel":
                if self._task.agent:
                    await self._task.agent.interrupt(Ending.CANCELLED)
            case "user-stop":
                await self._backend.lifecycle.stop(self._task)
            case "auto-approve" | "disable-auto-approve":
                self._task.auto_approve = frame.type == "auto-approve"
            case "reply-question":
                reply = read_reply(frame.data)
                if reply is None:
                    return "dropped: the reply is not JSON"
                if self._task.agent is None or not self._task.agent.answer(reply):
                    return "dropped: no such question"
            case _:
                return "ignored: unknown type"
        return "done"

    async def _take_input(self, prompt: Prompt, stack: ExitStack) -> str:
        if self._mode == "new" and self._follower is None:
            queue = stack.enter_context(self._task.channel.listen())
            if await self._subscription_fails():
                return "lost: no subscription"
            await self._socket.send(Frame("user-input", write_prompt(prompt), timestamp=now_ms()))
            self._follower = asyncio.create_task(self._follow(queue))
        if prompt.is_blank:
            return "refused: blank prompt"
        try:
            check_attachments(prompt.attachments, self._task.account)
        except BadAttachmentError as error:
            return f"refused: {error}"
        if self._task.agent is None or not self._task.agent.submit(prompt, self._mode):
            return "refused: no agent is online"
        return "forwarded"
