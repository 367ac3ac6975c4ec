"""The calls of the control socket, by kind (protocol §8)."""

import base64
import uuid
from collections.abc import Awaitable, Callable
from typing import Final

from sandbox.wire.body import BindError, Body, parse_uuid
from sandbox.world import catalog
from sandbox.world.backend import Backend
from sandbox.world.files import NoSuchPathError, Repository
from sandbox.world.session import AgentSession, Context
from sandbox.world.task import Task

Payload = dict[str, object]
Call = Callable[[Backend, Task, str, Body], Awaitable[Payload]]
_READ: Final = 1_048_576  # bytes that a read returns when no length is asked for


class CallFailedError(Exception):
    """The call failed as a whole; the message is its `error`."""


def _agent(task: Task) -> AgentSession:
    if task.machine is None or task.agent is None or not task.machine.is_on:
        raise CallFailedError("virtual machine is offline")
    return task.agent


def _repository(task: Task) -> Repository:
    if task.machine is None or not task.machine.is_on:
        raise CallFailedError("virtual machine is offline")
    return task.machine.repository


def _context(body: Body) -> Context:
    return Context.KEEP if body.flag("load_session") else Context.CLEAR


async def restart(_backend: Backend, task: Task, request_id: str, body: Body) -> Payload:
    """Restart the agent."""
    session_id = await _agent(task).restart(_context(body))
    return {
        "id": task.id,
        "request_id": request_id,
        "success": True,
        "message": "",
        "session_id": session_id,
    }


async def switch_model(_backend: Backend, task: Task, request_id: str, body: Body) -> Payload:
    """Change the task's model, which restarts the agent."""
    if task.status != "processing":
        raise CallFailedError("task is not processing")
    if task.order.cli_name != "opencode":
        raise CallFailedError("switch model only supports opencode runtime")
    try:
        model = catalog.model(parse_uuid(body.text("model_id")), task.account)
    except BindError:
        model = None
    if model is None or not model.open_to(task.account):
        raise CallFailedError("model not accessible")
    session_id = await _agent(task).restart(_context(body))
    task.model = model
    return {
        "id": str(uuid.uuid4()),
        "request_id": request_id,
        "success": True,
        "message": "",
        "session_id": session_id,
        "model": model.brief(),
    }


async def switch_agent_resources(_backend: Backend, task: Task, request_id: str, body: Body) -> Payload:
    """Change the agent's skills and plugins, which restarts it."""
    if task.order.cli_name != "opencode":
        raise CallFailedError("switch agent resources only supports opencode runtime")
    body.texts("skill_ids")
    body.texts("plugin_ids")
    session_id = await _agent(task).restart(Context.KEEP)
    return {"request_id": request_id, "success": True, "message": "", "session_id": session_id}


async def repo_file_list(_backend: Backend, task: Task, request_id: str, body: Body) -> Payload:
    """List a folder."""
    path = body.text("path")
    hidden = "shown" if body.flag("include_hidden") else "left out"
    try:
        files = _repository(task).entries(path, body.text("glob_pattern"), hidden)
    except NoSuchPathError:
        return _refused(request_id, path, "no such directory")
    payload: Payload = {"request_id": request_id, "path": path}
    return payload | ({"files": files} if files else {}) | {"success": True}


async def repo_read_file(_backend: Backend, task: Task, request_id: str, body: Body) -> Payload:
    """Read a file, or a part of it."""
    path, offset = body.text("path"), max(body.integer("offset"), 0)
    length = body.integer("length")
    try:
        data = _repository(task).read(path)
    except NoSuchPathError:
        return _refused(request_id, path, "no such file")
    part = data[offset : offset + (length if length > 0 else _READ)]
    payload: Payload = {"request_id": request_id, "path": path}
    if part:
        payload["content"] = base64.b64encode(part).decode("ascii")
    return payload | {
        "total_size": len(data),
        "offset": offset,
        "length": len(part),
        "is_truncated": offset + len(part) < len(data),
        "success": True,
    }


async def repo_file_diff(_backend: Backend, task: Task, request_id: str, body: Body) -> Payload:
    """Tell how a file differs from the last commit."""
    path = body.text("path")
    context = body.integer("context_lines")
    try:
        diff = _repository(task).diff(path, context if context > 0 else 3)
    except NoSuchPathError:
        return _refused(request_id, path, "no such file")
    payload: Payload = {"request_id": request_id, "path": path}
    return payload | ({"diff": diff} if diff else {}) | {"success": True}


async def repo_file_changes(_backend: Backend, task: Task, request_id: str, _body: Body) -> Payload:
    """Tell which files differ from the last commit."""
    repository = _repository(task)
    changes = repository.changes()
    payload: Payload = {"request_id": request_id}
    return (
        payload
        | ({"changes": changes} if changes else {})
        | {"branch": task.order.branch or "master", "commit_hash": repository.commit_hash, "success": True}
    )


async def port_forward_list(_backend: Backend, task: Task, request_id: str, _body: Body) -> Payload:
    """List the ports that the machine opened."""
    _agent(task)
    ports = task.machine.ports if task.machine else []
    payload: Payload = {"request_id": request_id}
    return payload | ({"ports": list(ports)} if ports else {})


def _refused(request_id: str, path: str, error: str) -> Payload:
    """A failure inside a normal reply."""
    return {"request_id": request_id, "path": path, "success": False, "error": error}


CALLS: Final[dict[str, Call]] = {
    call.__name__: call
    for call in (
        restart,
        switch_model,
        switch_agent_resources,
        repo_file_list,
        repo_read_file,
        repo_file_diff,
        repo_file_changes,
        port_forward_list,
    )
}
