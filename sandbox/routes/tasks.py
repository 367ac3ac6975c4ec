"""Tasks after their creation: info, list, stop, delete, update (protocol §5.3-5.6)."""

from aiohttp import web

from sandbox.routes.caller import account_of, backend_of, body_of, id_of, number_of, task_of
from sandbox.routes.envelope import Failure, answer, bad_request, ok
from sandbox.wire.body import BindError
from sandbox.world.lifecycle import now

routes = web.RouteTableDef()
_SIZE = 10


@routes.get("/api/v1/users/tasks")
async def listing(request: web.Request) -> web.Response:
    """List tasks, newest first."""
    account = account_of(request)
    page = max(number_of(request, "page", 1), 1)
    size = number_of(request, "size", _SIZE)
    size = size if size > 0 else _SIZE
    project = request.query.get("project_id", "")
    statuses = {word for word in request.query.get("status", "").split(",") if word}
    tasks = [] if project and id_of(project) else backend_of(request).tasks.of(account, statuses)
    shown = tasks[(page - 1) * size : page * size]
    return answer(
        {
            "tasks": [task.listed(now()) for task in shown],
            "page_info": {"has_next_page": page * size < len(tasks), "total_count": len(tasks)},
        }
    )


@routes.put("/api/v1/users/tasks/stop")
async def stop(request: web.Request) -> web.Response:
    """Finish a task and recycle its machine."""
    account_of(request)
    try:
        task_id = (await body_of(request)).uuid("id")
    except BindError:
        raise bad_request() from None
    if task_id is None:
        raise bad_request()
    task = task_of(request, task_id)
    if task.is_deleted:
        raise Failure(500)
    await backend_of(request).lifecycle.stop(task)
    return ok()


@routes.get("/api/v1/users/tasks/{id}")
async def info(request: web.Request) -> web.Response:
    """Return one task, a deleted one too."""
    account_of(request)
    return answer(task_of(request, id_of(request.match_info["id"])).told(now()))


@routes.delete("/api/v1/users/tasks/{id}")
async def delete(request: web.Request) -> web.Response:
    """Recycle and delete a task; its slot is free at once."""
    account, backend = account_of(request), backend_of(request)
    task = backend.tasks.owned(id_of(request.match_info["id"]), account)
    if task is None or task.is_deleted:
        raise Failure(10002)
    task.is_deleted = True
    await backend.lifecycle.stop(task)
    return ok()


@routes.put("/api/v1/users/tasks/{id}")
async def update(request: web.Request) -> web.Response:
    """Set a task's title."""
    account_of(request)
    task = task_of(request, id_of(request.match_info["id"]))
    try:
        task.title = (await body_of(request)).text("title")
    except BindError:
        raise bad_request() from None
    return ok()
