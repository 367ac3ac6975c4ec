"""The platform, one method per call (upstream-protocol §1-8)."""

from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Final, Literal, Self, TypeVar
from urllib.parse import quote, urlsplit

from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.model.v1.model_service_pb2 import Model

from server.errors import ServiceError
from server.pool.account import USER_COOKIE, Session, TaskId
from server.upstream.address import basic, checked_url, trusting
from server.upstream.connections import Connections
from server.upstream.control import Control
from server.upstream.errors import Refusal, Undecided, of_task
from server.upstream.headers import PLAIN, Profiles, spoken
from server.upstream.http import API, Call, Http
from server.upstream.models import read_model
from server.upstream.opening import Asked, Opening
from server.upstream.pages import rows
from server.upstream.places import Places
from server.upstream.sessions import log_in, user_of
from server.upstream.shapes import objects_in
from server.upstream.socket import Socket
from server.upstream.subscription import Subscription, Wallet, subscription_of, wallet_of
from server.upstream.tasks import (
    Chunk,
    NewTask,
    TaskInfo,
    create_body,
    read_chunks,
    read_created,
    read_task,
)
from server.upstream.uploads import Uploads
from server.upstream.users import User

__all__ = [
    "Chunk",
    "Control",
    "NewTask",
    "Opening",
    "Platform",
    "Socket",
    "Subscription",
    "TaskInfo",
    "User",
    "Wallet",
]

_E = ErrorReason
_T = TypeVar("_T")
_TASKS: Final = "/users/tasks"
_STALE_CHOICE: Final = (
    _E.ERROR_REASON_HOST_UNAVAILABLE,
    _E.ERROR_REASON_IMAGE_NOT_FOUND,
    _E.ERROR_REASON_UPSTREAM_ERROR,
    _E.ERROR_REASON_UPSTREAM_REJECTED,
)


class Platform:
    """The platform's HTTP and WebSocket surface; a context that owns its connections.

    Timeouts in seconds. `image_id` and `host_id` fix where tasks run, empty
    ones leave it to be picked. `basic_auth` is `user:password` of a proxy in
    front of it, `ca_file` a PEM file to trust in place of the system's.
    `profiles` are the headers that its calls carry.

    Every method raises ServiceError and nothing else: UPSTREAM_UNAVAILABLE,
    CONNECT_TIMEOUT, UPSTREAM_PROTOCOL and what server/upstream/errors.py makes
    of a refusal (SESSION_EXPIRED above all). Calls that may be repeated are
    tried twice. A session that carries a fence sends nothing once that is lost: LEASE_LOST.
    """

    def __init__(
        self,
        base_url: str,
        *,
        connect_timeout: float = 10.0,
        read_timeout: float = 35.0,
        image_id: str = "",
        host_id: str = "",
        basic_auth: str = "",
        ca_file: str = "",
        profiles: Profiles = PLAIN,
    ) -> None:
        """Raises ValueError for a base_url or a ca_file that cannot be meant, naming no secret."""
        self._base_url = checked_url(base_url)
        self._read_timeout = read_timeout
        passing = {"Authorization": basic(basic_auth)} if basic_auth else {}
        self._handshake = spoken(profiles.websocket, self._base_url) | passing
        self._sockets = f"{urlsplit(self._base_url).path}{API}{_TASKS}/"
        tls = trusting(ca_file) if self._base_url.startswith("https:") else None
        headers = spoken(profiles.api, self._base_url) | passing
        self._connections = Connections(self._base_url, tls, connect_timeout)
        self._http = Http(self._base_url, headers, self._connections, read_timeout)
        self._places = Places(self._http, image_id, host_id)
        agent = profiles.api["User-Agent"]
        self._uploads = Uploads(self._http, self._base_url, agent, passing, connect_timeout, tls)

    async def __aenter__(self) -> Self:
        self._uploads.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._uploads.close()
        self._connections.close()

    async def login(self, email: str, password: str) -> str:
        """Log in by password and return the session cookie's value.

        Raises CAPTCHA_REQUIRED, untried where the server says so beforehand
        (§2.3), LOGIN_FAILED, ACCOUNT_BLOCKED, and TEAM_SESSION for a session that cannot run tasks.
        """
        return await log_in(self._http, email, password)

    async def whoami(self, cookie: str) -> User:
        """Return the user of a session.

        Raises SESSION_EXPIRED, and TEAM_SESSION for a team administrator's, which looks expired here (§2.1).
        """
        return await user_of(self._http, cookie)

    async def models(self, session: Session) -> list[Model]:
        """Return the account's models in the platform's order, hidden ones dropped, `id` left empty."""
        found: dict[str, Model] = {}  # the platform may repeat models on every page (§3.1)
        for row in await rows(self._http, session, "/users/models", "models"):
            model = read_model(row)
            if model is not None:
                found.setdefault(model.upstream_id, model)
        return list(found.values())

    async def subscription(self, session: Session) -> Subscription | None:
        """Return the account's plan, None where the platform knows of no plans."""
        return await subscription_of(self._http, session)

    async def wallet(self, session: Session) -> Wallet | None:
        """Return what the account has left, None where the platform keeps no count."""
        return await wallet_of(self._http, session)

    async def pick_image(self, session: Session) -> str:
        """Return the image for a new task of the account; kept for five minutes. Raises IMAGE_NOT_FOUND."""
        return await self._places.image(session)

    async def pick_host(self, session: Session) -> str:
        """Return the host for a new task of the account; kept for five minutes."""
        return await self._places.host(session)

    async def create_task(self, session: Session, task: NewTask) -> TaskId:
        """Create a task, which runs its first turn from `content` by itself.

        Never tried twice. A refusal is raised as what it is (after UPSTREAM_ERROR
        a stray pending task may remain, §5.2). Raises UPSTREAM_UNAVAILABLE or
        CONNECT_TIMEOUT when the request surely never reached the platform and
        ACCEPTANCE_UNKNOWN when it may have. Meanwhile a connection is opened for the task's stream.
        """
        body = create_body(task, await self.pick_image(session), await self.pick_host(session))
        secrets = (task.content, task.system_prompt)
        return await self._ahead_of_stream(self._create(session, body, secrets))

    async def _ahead_of_stream(self, call: Awaitable[_T]) -> _T:
        """Return what a call returns; meanwhile a connection is opened for the stream that comes next."""
        self._connections.prepare()
        try:
            return await call
        except BaseException:
            self._connections.spare()
            raise

    async def _create(self, session: Session, body: dict[str, Any], secrets: tuple[str, ...]) -> TaskId:
        try:
            data = await self._http.once(
                Call("POST", _TASKS, session.cookie, body=body, secrets=secrets, fence=session.fence)
            )
        except Refusal as refusal:
            if refusal.reason in _STALE_CHOICE:
                self._places.forget(session.account_id)
            raise
        except Undecided as undecided:
            raise _unknown(undecided.message) from None
        task_id = read_created(data)
        if task_id is None:
            raise _unknown("the answer names no task")
        return task_id

    async def upload(self, session: Session, filename: str, data: bytes) -> str:
        """Store a file for the account's prompts and return its address there (§5.9).

        A file of the same name is overwritten. Raises UNSUPPORTED_VALUE where the platform has no storage.
        """
        return await self._uploads.upload(session, filename, data)

    async def task(self, session: Session, task_id: TaskId) -> TaskInfo:
        """Return a task. Raises TASK_NOT_FOUND for one that is not the account's."""
        return read_task(
            await self._of_task(Call("GET", _path_of(task_id), session.cookie, fence=session.fence))
        )

    async def task_of_turn(self, session: Session, task_id: TaskId) -> TaskInfo:
        """Return a task, as `task` does, whose stream is opened next: its connection is opened meanwhile."""
        return await self._ahead_of_stream(self.task(session, task_id))

    async def tasks(self, session: Session, statuses: Sequence[str], size: int = 100) -> list[TaskInfo]:
        """Return the account's newest tasks in these states, at most `size` of them."""
        query = {"page": "1", "size": str(size), "status": ",".join(statuses)}
        data = await self._http.repeatable(Call("GET", _TASKS, session.cookie, query, fence=session.fence))
        return [read_task(row) for row in objects_in(data, "tasks")]

    async def stop_task(self, session: Session, task_id: TaskId) -> None:
        """Stop a task for good; its slot is free then. Raises TASK_NOT_FOUND."""
        await self._of_task(
            Call("PUT", f"{_TASKS}/stop", session.cookie, body={"id": task_id}, fence=session.fence)
        )

    async def delete_task(self, session: Session, task_id: TaskId) -> None:
        """Delete a task, running or not. Raises TASK_NOT_FOUND, also for one that was deleted before."""
        try:
            await self._http.once(Call("DELETE", _path_of(task_id), session.cookie, fence=session.fence))
        except Refusal as refusal:
            raise of_task(refusal) from None

    async def rounds(self, session: Session, task_id: TaskId, limit: int = 1) -> list[Chunk]:
        """Return the stored messages of the task's newest turns, oldest first. Raises TASK_NOT_FOUND."""
        query = {"id": str(task_id), "limit": str(limit)}
        return read_chunks(
            await self._of_task(Call("GET", f"{_TASKS}/rounds", session.cookie, query, fence=session.fence))
        )

    async def _of_task(self, call: Call) -> Any:
        try:
            return await self._http.repeatable(call)
        except Refusal as refusal:
            raise of_task(refusal) from None

    def stream(self, session: Session, task_id: TaskId, mode: Literal["attach", "new"]) -> Opening:
        """Open the task's stream for a while. Raises TASK_NOT_FOUND for a task that is not the account's."""
        return self._opening(session, f"stream?id={quote(task_id, safe='')}&mode={mode}")

    @asynccontextmanager
    async def control(self, session: Session, task_id: TaskId) -> AsyncIterator[Control]:
        """Open the task's control socket for a while (§8): it wakes the task's VM and keeps it awake.

        A VM that hibernates needs a moment; its calls fail until then. Raises as `stream` does.
        """
        async with self._opening(session, f"control?id={quote(task_id, safe='')}") as socket:
            with Control.over(socket, timeout=self._read_timeout) as control:
                yield control

    def _opening(self, session: Session, name: str) -> Opening:
        headers = {**self._handshake, "Cookie": f"{USER_COOKIE}={session.cookie}"}
        asked = Asked(self._sockets + name, headers, (session.cookie,), session.fence)
        return Opening(asked, self._connections)


def _path_of(task_id: TaskId) -> str:
    return f"{_TASKS}/{quote(task_id, safe='')}"


def _unknown(why: str) -> ServiceError:
    return ServiceError(
        _E.ERROR_REASON_ACCEPTANCE_UNKNOWN, f"it is not known whether the platform made the task: {why}"
    )
