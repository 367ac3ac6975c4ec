"""The control socket (protocol §8)."""

import asyncio

from aiohttp import web

from sandbox.routes.caller import account_of, backend_of, id_of, task_of
from sandbox.routes.calls import CALLS, CallFailedError, Payload
from sandbox.routes.socket import GoneError, Socket, accept, now_ms
from sandbox.wire import gojson
from sandbox.wire.body import BindError
from sandbox.wire.frame import Frame, MalformedFrameError
from sandbox.wire.prompt import read_call
from sandbox.world.backend import Backend
from sandbox.world.channel import Live
from sandbox.world.task import Task

routes = web.RouteTableDef()


@routes.get("/api/v1/users/tasks/control")
async def control(request: web.Request) -> web.StreamResponse:
    """Open a task's control socket: wakes its machine and keeps it awake."""
    account_of(request)
    task = task_of(request, id_of(request.query.get("id", "")))
    backend = backend_of(request)
    async with accept(request, "control", "control", task) as socket:
        task.control_sockets += 1
        backend.lifecycle.resume(task)
        backend.lifecycle.postpone_sleep(task)
        try:
            await _serve(backend, task, socket)
        except GoneError:
            pass
        finally:
            task.control_sockets -= 1
            if task.is_active:
                backend.lifecycle.postpone_sleep(task)
        return socket.response


async def _serve(backend: Backend, task: Task, socket: Socket) -> None:
    with task.channel.listen() as queue:
        beside = (
            asyncio.create_task(socket.ping(backend.settings.ping_s)),
            asyncio.create_task(_tell_events(socket, queue)),
        )
        try:
            async for raw in socket.messages():
                outcome = await _handle(backend, task, socket, raw)
                backend.oracle.frame(socket.record, raw, outcome)
        finally:
            for one in beside:
                one.cancel()


async def _tell_events(socket: Socket, queue: "asyncio.Queue[Live]") -> None:
    try:
        while True:
            live = await queue.get()
            if live.type == "task-event":
                await socket.send_text(live.text)
    except GoneError:
        return


async def _handle(backend: Backend, task: Task, socket: Socket, raw: bytes) -> str:
    """Serve one frame before the next is read; return what became of it."""
    try:
        frame = socket.dialect.parse(raw)
    except MalformedFrameError as error:
        return f"dropped: {error}"
    if frame.type == "sync-my-ip":
        return _note_ip(task, frame)
    if frame.type != "call":
        return "ignored: unknown type"
    body, call = read_call(frame.data), CALLS.get(frame.kind)
    if body is None or call is None:
        return "dropped: unknown kind or unparsable data"
    try:
        request_id = body.text("request_id")
    except BindError:
        return "dropped: unknown kind or unparsable data"
    payload: Payload | None
    try:
        payload = await call(backend, task, request_id, body)
    except (CallFailedError, BindError) as error:
        payload = {"request_id": request_id, "success": False, "error": str(error)}
    if backend.faults.platform.empty_calls:
        payload = None
    answer = Frame("call-response", gojson.dumps(payload).encode(), frame.kind, timestamp=now_ms())
    await socket.send(answer)
    return "answered"


def _note_ip(task: Task, frame: Frame) -> str:
    body = read_call(frame.data)
    if body is None:
        return "dropped: unparsable data"
    try:
        task.client_ips.append(body.text("client_ip"))
    except BindError:
        return "dropped: unparsable data"
    return "done"
