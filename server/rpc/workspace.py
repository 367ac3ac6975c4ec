"""Checks what callers ask of a task's workspace and passes it on. The three calls are TaskService's."""

from typing import Final

from howler.task.v1 import workspace_pb2 as pb

from server.pool.account import TaskId
from server.rpc.checks import check_size, invalid
from server.turn.workspaces import Workspaces

_MAX_PATH_BYTES: Final = 4096


async def list_files(workspaces: Workspaces, request: pb.ListFilesRequest) -> pb.ListFilesResponse:
    """List a folder. Raises INVALID_REQUEST and what Workspaces raises."""
    _check_path("path", request.path)
    check_size("glob", request.glob, _MAX_PATH_BYTES)
    return await workspaces.list_files(
        TaskId(request.task_id), request.path, request.glob, include_hidden=request.include_hidden
    )


async def read_file(workspaces: Workspaces, request: pb.ReadFileRequest) -> pb.ReadFileResponse:
    """Read a piece of a file. Raises INVALID_REQUEST and what Workspaces raises."""
    if not request.path:
        raise invalid("path is empty")
    _check_path("path", request.path)
    for name in ("offset", "length"):
        if getattr(request, name) < 0:
            raise invalid(f"{name} must not be negative")
    return await workspaces.read_file(TaskId(request.task_id), request.path, request.offset, request.length)


async def diff(workspaces: Workspaces, request: pb.DiffRequest) -> pb.DiffResponse:
    """Tell what was changed. Raises INVALID_REQUEST and what Workspaces raises."""
    _check_path("path", request.path)
    if request.context_lines < 0:
        raise invalid("context_lines must not be negative")
    return await workspaces.diff(TaskId(request.task_id), request.path, request.context_lines)


def _check_path(name: str, path: str) -> None:
    """Refuse what leads out of a workspace."""
    check_size(name, path, _MAX_PATH_BYTES)
    if path.startswith("/") or "\x00" in path or ".." in path.split("/"):
        raise invalid(f"{name} must be relative to the workspace, without `..`")
