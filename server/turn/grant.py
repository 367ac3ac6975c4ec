"""Gets a turn what it needs before the platform accepts it: model, lease, task.

Before the commit point a failure may be tried again on another account; the
account that failed is reported to the pool, which treats it.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, NamedTuple, cast

from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.model.v1.model_service_pb2 import MatchedBy, Model
from howler.pool.v1.pool_service_pb2 import LEASE_MODE_EXCLUSIVE, Lease
from howler.task.v1.task_service_pb2 import Task

from server.catalog.listing import Listing
from server.catalog.resolve import resolve
from server.errors import ServiceError
from server.pool.account import AccountId, Session, TaskId
from server.pool.fence import Fence
from server.pool.queue import Place
from server.store.errors import StoreError
from server.turn.enclosures import Enclosures
from server.turn.live import Cause, LiveTurn
from server.turn.rooms import Rooms
from server.turn.stream import Stream
from server.turn.totals import NOTHING
from server.upstream.platform import NewTask, TaskInfo
from server.upstream.tasks import Tokens

_log = logging.getLogger(__name__)
_E = ErrorReason

HOLDER: Final = "howler"
_ATTEMPTS: Final = 4
_NO_TASK: Final = TaskId("")

Claim = Callable[[Lease], Awaitable[None]]
"""Told the lease that a task is about to be made under; what it raises is raised, and no task made."""

_ELSEWHERE: Final = frozenset(
    {
        _E.ERROR_REASON_SESSION_EXPIRED,
        _E.ERROR_REASON_LOGIN_FAILED,
        _E.ERROR_REASON_ACCOUNT_BLOCKED,
        _E.ERROR_REASON_CONCURRENCY_LIMIT,
        _E.ERROR_REASON_QUOTA_EXHAUSTED,
        _E.ERROR_REASON_RATE_LIMITED,
        _E.ERROR_REASON_MODEL_ACCESS_DENIED,
        _E.ERROR_REASON_HOST_UNAVAILABLE,
        _E.ERROR_REASON_IMAGE_NOT_FOUND,
        _E.ERROR_REASON_UPSTREAM_ERROR,
        _E.ERROR_REASON_UPSTREAM_UNAVAILABLE,
        _E.ERROR_REASON_CONNECT_TIMEOUT,
    }
)
"""Failures before the commit point after which another account is worth a try (upstream-protocol §1.4)."""

_MAY_MEND: Final = (_E.ERROR_REASON_SESSION_EXPIRED, _E.ERROR_REASON_CONCURRENCY_LIMIT)
"""Failures that the pool may mend while the turn waits: it logs in again, it stops an idle task."""


_NOT_LISTED: Final = (
    _E.ERROR_REASON_MODEL_NOT_FOUND,
    _E.ERROR_REASON_MODEL_ACCESS_DENIED,
    _E.ERROR_REASON_NO_ACCOUNT,
)
"""What a list of models says no with."""

_AWAY: Final = (_E.ERROR_REASON_UPSTREAM_UNAVAILABLE, _E.ERROR_REASON_CONNECT_TIMEOUT)
"""Failures that are not one account's."""


@dataclass(slots=True)
class Grant:
    """The right to run a turn: a lease, and the task once there is one.

    `held` is True for a lease of the caller's own: it is neither renewed nor released here. `fence` is what
    everything that is sent under the lease must pass. `active_at` is the platform's time, in unix seconds,
    at which the task was last at work before this turn; `before` is what it had used by then, None where
    that is not known.
    """

    lease: Lease
    fence: Fence
    held: bool
    task_id: TaskId
    active_at: int = 0
    before: Tokens | None = None

    @property
    def account_id(self) -> AccountId:
        """The account of the lease."""
        return AccountId(self.lease.account_id)


class Choice(NamedTuple):
    """The model of a turn, how its name was found, and the accounts that have it (None: any)."""

    model: Model
    matched_by: MatchedBy
    among: frozenset[AccountId] | None


class Wanted(NamedTuple):
    """A task to make: on which model, what its agent is told, and its files."""

    choice: Choice
    prompt: str
    instructions: str
    enclosures: Enclosures
    claim: Claim


class Grants:
    """Gets and gives back what one turn runs on. `current` is what it holds now, `stream` is the turn's."""

    def __init__(self, live: LiveTurn, rooms: Rooms, stream: Stream) -> None:
        self._live = live
        self._rooms = rooms
        self._stream = stream
        self.current: Grant | None = None

    async def choice(self, usual: str = "") -> Choice:
        """Resolve the model asked for, else the `usual` one.

        The list of models is waited for only where it says no and accounts have come or changed since.
        Raises MODEL_NOT_FOUND, MODEL_ACCESS_DENIED, NO_ACCOUNT and the platform's failures.
        """
        catalog = self._rooms.catalog
        try:
            choice = self._choose(await catalog.listing(), usual)
        except ServiceError as error:
            if error.reason not in _NOT_LISTED:
                raise
        else:
            if choice.among is None or self._rooms.pool.serves(choice.among):
                return choice
        return self._choose(await catalog.settled(), usual)

    def _choose(self, listing: Listing, usual: str) -> Choice:
        start = self._live.start
        model, matched_by = resolve(listing, start.model or usual, strict=start.strict_model)
        among = listing.accounts.get(model.upstream_id)
        return Choice(model, matched_by, cast("frozenset[AccountId] | None", among))

    async def create_task(self, wanted: Wanted) -> Grant:
        """Create a task on some account that has the model; when this returns the turn is accepted.

        The files are uploaded as each account that is tried. Raises what the claim does, Interrupted,
        POOL_EXHAUSTED, NO_ACCOUNT, ACCEPTANCE_UNKNOWN and what the last account tried was refused with.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + self._rooms.limits.queue
        place = self._rooms.pool.place(self._live.start.priority)
        avoid: set[AccountId] = set()
        refusal: ServiceError | None = None
        tries = 0
        while tries < _ATTEMPTS:
            wait = max(0.0, until - loop.time())
            if refusal is not None and refusal.reason in _AWAY:
                wait = 0.0  # another account that is free now is worth a try; no queue mends the platform
            try:
                grant = await self._lease(wanted.choice, frozenset(avoid), wait, place)
            except ServiceError as error:
                raise refusal or error from None
            try:
                await wanted.claim(grant.lease)
                return await self._create_on(grant, wanted)
            except ServiceError as error:
                await self.give_back(refusal=error)
                if error.reason not in _ELSEWHERE or grant.held:
                    raise
                refusal = error
                if error.reason not in _MAY_MEND:
                    avoid.add(grant.account_id)
                # What the pool mends it takes out first: an idle task is stopped or a slot closed, a session
                # demoted; these run out.
                tries += error.reason not in _MAY_MEND
                _log.info("turn %s: %r, trying another account", self._live.id, error)
        assert refusal is not None
        raise refusal

    async def _lease(self, choice: Choice, avoid: frozenset[AccountId], wait: float, place: Place) -> Grant:
        held = self._live.start.lease
        if held.lease_id:
            return self._hold(
                await self._rooms.pool.claim(held.lease_id, held.token, _NO_TASK, self._live.id), _NO_TASK
            )
        with self._live.waiting():
            lease = await self._rooms.pool.acquire(
                LEASE_MODE_EXCLUSIVE,
                holder=HOLDER,
                purpose=self._live.id,
                wait=wait,
                place=place,
                among=choice.among,
                avoid=avoid,
                upstream_model_id=choice.model.upstream_id,
            )
        return self._hold(lease, _NO_TASK)

    def _hold(self, lease: Lease, task_id: TaskId) -> Grant:
        """Hold a lease; when it is lost the turn is interrupted at once. Raises LEASE_LOST."""
        held = bool(self._live.start.lease.lease_id)
        self.current = Grant(lease, self._rooms.pool.fence(lease), held, task_id)
        self.current.fence.watch(self._lost)
        return self.current

    def adopt(self, lease: Lease, task_id: TaskId, active_at: int) -> Grant:
        """Hold a lease on a task that another process left in the middle of the turn. Raises LEASE_LOST."""
        self.current = Grant(lease, self._rooms.pool.fence(lease), held=False, task_id=task_id)
        self.current.active_at = active_at
        self.current.fence.watch(self._lost)
        return self.current

    def _lost(self) -> None:
        _log.warning("turn %s: its lease is lost", self._live.id)
        self._live.interrupt(Cause.LEASE_LOST)

    def session(self) -> Session:
        """Return what the turn's calls to the platform need, fenced by its lease.

        Raises ACCOUNT_NOT_FOUND, SESSION_EXPIRED and LEASE_LOST.
        """
        grant = self.current
        if grant is None:
            raise Cause.LEASE_LOST.error
        return self._rooms.pool.session(grant.account_id, grant.lease)

    async def _create_on(self, grant: Grant, wanted: Wanted) -> Grant:
        """Create the task and record it. Once it is created no failure may lead to another try.

        Its stream is asked for first: the platform answers while the store writes.
        """
        rooms, live, model = self._rooms, self._live, wanted.choice.model
        await live.begin(grant.lease, wanted.prompt, wanted.instructions)
        session = self.session()
        try:
            with live.waiting():
                enclosed = await wanted.enclosures.uploaded(session)
            task = NewTask(wanted.prompt, model.upstream_id, wanted.instructions, enclosed)
            grant.task_id = await rooms.creator.create(session, task)
            grant.before = NOTHING
        except ServiceError as error:
            await rooms.pool.report(grant.account_id, error, model.upstream_id, session)
            raise
        self._stream.ask(rooms.platform.stream(session, grant.task_id, "attach"))
        record = Task()
        record.task_id, record.account_id, record.model = grant.task_id, grant.account_id, model.id
        record.principal, record.turn_id = live.start.principal, live.id
        now = record.create_time
        now.seconds, now.nanos = divmod(time.time_ns(), 1_000_000_000)
        record.last_used_time.CopyFrom(now)
        try:
            await rooms.pool.record_task(record, grant.lease)
        except Exception:
            with suppress(Exception):  # recorded or not, it must not run unwatched; what failed is raised
                await rooms.stopper.stop_upstream(record, grant.lease)
                await rooms.pool.task_ended(grant.task_id)
            raise
        finally:
            rooms.creator.settled(grant.task_id)
        return grant

    async def take_task(self, task_id: TaskId) -> tuple[Model, TaskInfo]:
        """Take a task that Howler holds for its next turn; return what it runs and how it is.

        Raises TASK_NOT_FOUND, TASK_BUSY, TASK_ENDED, UNSUPPORTED_VALUE when
        another model is asked for, and the platform's failures.
        """
        rooms, start = self._rooms, self._live.start
        task = await rooms.store.task(task_id)
        if task is None:
            raise ServiceError(_E.ERROR_REASON_TASK_NOT_FOUND, "Howler holds no such task")
        model = await self._model_of(task)
        if start.lease.lease_id:
            lease = await rooms.pool.claim(start.lease.lease_id, start.lease.token, task_id, self._live.id)
            return model, await self._use(self._hold(lease, task_id))
        return model, await self.use_task(task_id)

    async def use_task(self, task_id: TaskId, wait: float = 0.0) -> TaskInfo:
        """Take an idle task, and return how it is; the wait is for its account's login only.

        Raises TASK_NOT_FOUND, TASK_BUSY, TASK_ENDED, NO_ACCOUNT, SESSION_EXPIRED and the platform's failures.
        """
        pool = self._rooms.pool
        lease = await pool.acquire_task(task_id, holder=HOLDER, purpose=self._live.id, wait=wait)
        return await self._use(self._hold(lease, task_id))

    async def _use(self, grant: Grant) -> TaskInfo:
        """Return how the platform says that a task is; a turn begins on it then.

        Raises TASK_ENDED, and records it, where the platform has ended the task.
        """
        pool, session = self._rooms.pool, self.session()
        try:
            info = await self._rooms.platform.task_of_turn(session, grant.task_id)
        except ServiceError as error:
            if error.reason != _E.ERROR_REASON_TASK_NOT_FOUND:
                await pool.report(grant.account_id, error, session=session)
                raise
            status = "gone"
        else:
            grant.active_at, grant.before = info.last_active_at, self._rooms.counting.before(info)
            if info.status == "processing":
                await pool.touch_task(grant.task_id, turn_id=self._live.id)
                return info
            status = info.status
        await pool.task_ended(grant.task_id)
        raise ServiceError(_E.ERROR_REASON_TASK_ENDED, f"the platform says that the task is {status}")

    async def _model_of(self, task: Task) -> Model:
        """Return the task's model; refuse a request for another one."""
        listing = await self._rooms.catalog.listing()
        own = next((model for model in listing.models if model.id == task.model), Model(id=task.model))
        if self._live.start.model:
            asked, _ = resolve(listing, self._live.start.model, strict=True)
            if asked.id != task.model:
                raise ServiceError(
                    _E.ERROR_REASON_UNSUPPORTED_VALUE,
                    f"model: the task runs {task.model}; leave the model empty or make a new task",
                )
        return own

    async def give_up(self) -> None:
        """End the lease, and leave the task in the middle of the turn."""
        grant, self.current = self.current, None
        if grant is not None:
            grant.fence.unwatch(self._lost)
            with suppress(StoreError):  # it lapses by itself
                await self._rooms.pool.give_up(grant.lease)

    async def give_back(self, *, ended_task: TaskId = _NO_TASK, refusal: ServiceError | None = None) -> None:
        """End the lease, or leave it to the caller whose own it is; nothing is held then.

        `ended_task` was stopped on the platform; `refusal` is why it made none. See Pool.give_back.
        """
        grant, self.current = self.current, None
        if grant is None:
            return
        pool = self._rooms.pool
        grant.fence.unwatch(self._lost)
        if not grant.held:
            await pool.give_back(grant.lease, ended_task=ended_task, refusal=refusal)
            return
        if ended_task:
            await pool.task_ended(ended_task)
        await pool.unclaim(grant.lease.lease_id, self._live.id, refusal=refusal)
