"""Task creation (protocol §5.1, §5.2): each check in the platform's order."""

import uuid
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from sandbox.routes.caller import account_of, backend_of, body_of
from sandbox.routes.envelope import Failure, answer, bad_request
from sandbox.wire.body import NIL_UUID, BindError, Body, parse_uuid
from sandbox.wire.prompt import Attachment, read_attachments
from sandbox.world import catalog
from sandbox.world.accounts import Account
from sandbox.world.backend import Backend
from sandbox.world.channel import Channel
from sandbox.world.lifecycle import now
from sandbox.world.machine import Machine
from sandbox.world.storage import BadAttachmentError, check_attachments
from sandbox.world.task import Order, Task

routes = web.RouteTableDef()
_LONGEST_LIFE: Final = 10_800  # seconds on a public host
_INTERFACES: Final = {"openai_chat", "openai_responses", "anthropic"}  # what opencode runs (§3.3)


@dataclass(frozen=True, slots=True)
class _Request:
    """The bound and validated body."""

    content: str
    host_id: str
    image_id: str
    model_id: str
    cli_name: str
    core: int
    memory: int
    life: int
    repo: Body
    extra: Body
    task_type: str
    sub_type: str
    system_prompt: str
    git_identity_id: str
    attachments: tuple[Attachment, ...]


@routes.post("/api/v1/users/tasks")
async def create(request: web.Request) -> web.Response:
    """Create a task; its content runs as the first turn once the machine is ready."""
    account, backend = account_of(request), backend_of(request)
    try:
        wanted = _bind(await body_of(request))
        order = _check(backend, account, wanted)
    except BindError:
        raise bad_request() from None
    task = Task(str(uuid.uuid4()), account, order, now(), order.model, Channel(backend.dialect))
    backend.tasks.add(task)  # committed: what fails from here on leaves a stray task (§5.2)
    if order.cli_name not in {"opencode", "claude", "codex"}:
        raise Failure(500)
    if order.cli_name == "opencode" and order.model.interface_type not in _INTERFACES:
        raise Failure(500)
    backend.lifecycle.start(task, Machine(str(uuid.uuid4()), now(), order.host))
    return answer(task.created())


def _bind(body: Body) -> _Request:
    resource = body.object("resource")
    if resource is None:
        raise BindError("resource is required")
    wanted = _Request(
        content=body.text("content"),
        host_id=body.text("host_id"),
        image_id=body.uuid("image_id") or NIL_UUID,
        model_id=body.text("model_id"),
        cli_name=body.text("cli_name"),
        core=resource.integer("core"),
        memory=resource.unsigned("memory"),
        life=resource.integer("life"),
        repo=body.object("repo") or Body(None),
        extra=body.object("extra") or Body(None),
        task_type=body.text("task_type"),
        sub_type=body.text("sub_type"),
        system_prompt=body.text("system_prompt"),
        git_identity_id=body.uuid("git_identity_id") or NIL_UUID,
        attachments=read_attachments(body),
    )
    for name in ("repo_url", "branch", "repo_filename", "zip_url"):
        wanted.repo.text(name)
    for name in ("project_id", "issue_id"):
        wanted.extra.uuid(name)
    if not wanted.content or not wanted.host_id or not wanted.model_id or wanted.image_id == NIL_UUID:
        raise BindError("a required field is empty")
    return wanted


def _check(backend: Backend, account: Account, wanted: _Request) -> Order:
    """Check in the order of §5.1; the first thing that is wrong is told."""
    host = _pick_host(backend, wanted)
    try:
        check_attachments(wanted.attachments, account)
    except BadAttachmentError:
        raise bad_request() from None
    if host is None or host.status != "online":
        raise Failure(10205)
    model = catalog.model(wanted.model_id.lower(), account)
    if model is not None and not model.open_to(account):
        raise Failure(10812)
    if wanted.git_identity_id != NIL_UUID or (wanted.extra.uuid("project_id") or NIL_UUID) != NIL_UUID:
        raise Failure(500)  # there are no projects and no git identities here
    _check_uuid(wanted.model_id)
    image = catalog.image(wanted.image_id)
    if model is None or image is None:
        raise Failure(500)
    if backend.tasks.active(account) >= account.slots:
        raise Failure(10811)
    return Order(
        content=wanted.content,
        cli_name=wanted.cli_name,
        model=model,
        image=image,
        host=host.fields(),
        system_prompt=wanted.system_prompt,
        task_type=wanted.task_type,
        sub_type=wanted.sub_type,
        core=wanted.core,
        memory=wanted.memory,
        repo_url=wanted.repo.text("repo_url"),
        branch=wanted.repo.text("branch"),
        repo_filename=wanted.repo.text("repo_filename"),
        attachments=wanted.attachments,
        skill_ids=_ids(wanted.extra, "skill_ids"),
        plugin_ids=_ids(wanted.extra, "plugin_ids"),
    )


def _pick_host(backend: Backend, wanted: _Request) -> catalog.Host | None:
    if wanted.host_id != catalog.PUBLIC_HOST:
        return catalog.host(wanted.host_id)
    if wanted.life > _LONGEST_LIFE:
        raise Failure(10230)
    if backend.faults.platform.no_public_host:
        raise Failure(10204)
    return next(one for one in catalog.HOSTS if one.owner == "public")


def _check_uuid(model_id: str) -> None:
    try:
        parse_uuid(model_id)
    except BindError:
        raise Failure(10812) from None


def _ids(extra: Body, name: str) -> tuple[str, ...] | None:
    """Return a list of uuids, skipping silently what is none (§5.1)."""
    if extra.raw(name) is None:
        return None
    found = []
    for text in extra.texts(name):
        try:
            found.append(parse_uuid(text))
        except BindError:
            continue
    return tuple(found)
