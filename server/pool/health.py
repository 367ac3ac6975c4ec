"""What a failure met on an account does to it, and whether it is the account's at all."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.pool.v1.pool_service_pb2 import ACCOUNT_STATE_CREATED, AccountState

from server.errors import ServiceError, reason_name
from server.pool import age
from server.pool.account import AccountId, LeaseId, Session
from server.pool.cooldowns import Cooldowns
from server.pool.desk import Desk
from server.pool.logins import Logins
from server.pool.pieces import PLATFORM_KEY, Seat
from server.pool.sessions import Authenticator, Sessions
from server.pool.treatment import Cool, Demote, Trip, treatment

_log = logging.getLogger(__name__)
_E = ErrorReason
_S = AccountState
_EXPIRED: Final = _E.ERROR_REASON_SESSION_EXPIRED

_PAUSES: Final = (5.0, 60.0)  # seconds between two looks at a platform that takes no session: first, longest
_LOOK: Final = 5.0  # seconds that a look may take before turns are let through again
_BATCH: Final = 4  # accounts per look


class Health:
    """Treats accounts by the table of server/pool/treatment.py.

    `changed` is called when something changed that may matter to those who wait.
    """

    def __init__(self, desk: Desk, authenticator: Authenticator, *, changed: Callable[[], None]) -> None:
        self._desk = desk
        self._board = desk.board
        self.sessions = self._sessions = Sessions(desk, authenticator, changed=changed)
        self.logins = self._logins = Logins(
            desk, self.sessions, authenticator, changed=changed, failed=self._login_failed
        )
        self.cooldowns = self._cooldowns = Cooldowns(desk, changed=changed)
        self._changed = changed
        self._outlasting: asyncio.Task[None] | None = None
        self._asking: set[AccountId] = set()

    async def report(
        self,
        account_id: AccountId,
        error: ServiceError,
        upstream_model_id: str = "",
        session: Session | None = None,
    ) -> None:
        """Treat an account for a failure met on it. `session` is the one that was used, where known."""
        seat = self._board.seats.get(account_id)
        if seat is None:
            return
        cure = treatment(error.reason, error.retry_after, upstream_model_id, seat.member.failed_logins)
        match cure:
            case Demote(relogin=True):
                await self._expired(seat, session)
            case Demote(state):
                await self._sessions.demote(
                    account_id, state, error.reason, session.cookie if session else None
                )
                self._changed()
            case Cool():
                await self._cooldowns.cool(account_id, error.reason, cure, upstream_model_id)
            case Trip():
                await self._cooldowns.trip(error.reason)

    async def _expired(self, seat: Seat, session: Session | None) -> None:
        """Demote an account whose session was refused, and log it in; not where the platform takes none."""
        member = seat.member
        if member.state == _S.ACCOUNT_STATE_INVALID or self._mended(seat, session):
            return  # worse is known already, or better
        if await self._is_outage(seat):
            return
        await self._sessions.demote(seat.id, _S.ACCOUNT_STATE_EXPIRED, _EXPIRED, member.cookie)
        if seat.member.can_log_in and seat.login_after <= self._desk.now():
            self._logins.log_in(seat.id)
        self._changed()

    def _mended(self, seat: Seat, session: Session | None) -> bool:
        """The report is of a session that a login has replaced since.

        Where the session is not told, one that comes right after a login is taken for that.
        """
        if session is not None and session.cookie != seat.member.cookie:
            return True
        fresh = seat.member.state == _S.ACCOUNT_STATE_ACTIVE and self._desk.now() < seat.login_after
        return session is None and fresh

    async def _is_outage(self, seat: Seat) -> bool:
        """Take note of a refused session, and tell whether it is the platform that takes none.

        An account that never worked proves nothing, nor one whose session has reached its fixed end.
        Once a second session is refused the other accounts are asked, so that the answer does not wait for
        their next turns.
        """
        now, refusals = self._desk.now(), self._sessions.refusals
        if self._held():
            return True
        over = age.end_us(seat.member) <= self._desk.now_us()
        if seat.member.state == _S.ACCOUNT_STATE_ACTIVE and not over:
            refusals.refused(seat.id, now)
        if await self._judge():
            return True
        lately = refusals.lately(now)
        if len(lately) > 1:
            for account_id in self._working() - lately - self._asking:
                self._asking.add(account_id)
                self._desk.chores.spawn(self._ask(account_id))
        return False

    def _working(self) -> set[AccountId]:
        """Return the accounts whose sessions the platform took until now."""
        active = _S.ACCOUNT_STATE_ACTIVE
        return {seat.id for seat in self._board.seats.values() if seat.usable and seat.member.state == active}

    async def _judge(self) -> bool:
        """Tell whether it is an outage; not while a login may prove yet that sessions really ended."""
        now, refusals = self._desk.now(), self._sessions.refusals
        for account_id in refusals.lately(now):
            seat = self._board.seats.get(account_id)
            if seat is not None and seat.member.can_log_in and (seat.logging_in or seat.login_after <= now):
                return False
        if not refusals.judge(self._working(), now):
            return False
        await self._begin_outage()
        return True

    async def _login_failed(self) -> None:
        """Judge again what a login did not prove."""
        if not self._held():
            await self._judge()

    def _held(self) -> bool:
        """Some replica has found out that the platform takes no session."""
        cooling = self._board.coolings.get(PLATFORM_KEY)
        return cooling is not None and cooling.cooldown.reason == reason_name(_EXPIRED)

    async def _ask(self, account_id: AccountId) -> None:
        try:
            await self.check(account_id)
        finally:
            self._asking.discard(account_id)

    async def _begin_outage(self) -> None:
        if self._outlasting is not None and not self._outlasting.done():
            return
        _log.error("the platform takes no account's session: taken for its own outage, not for expiries")
        self._sessions.taken.clear()
        refused = self._sessions.refusals.lately(self._desk.now())
        self._outlasting = self._desk.chores.spawn(self._outlast())
        await self._cooldowns.hold(_EXPIRED, _PAUSES[0] + _LOOK)
        for account_id in refused:
            await self._sessions.restore(account_id)

    async def _outlast(self) -> None:
        """Ask the platform about the sessions, ever more seldom, until it takes one or a login."""
        taken = self._sessions.taken
        pause, last = _PAUSES
        turn = 0
        while not taken.is_set():
            try:
                async with asyncio.timeout(pause):
                    await taken.wait()
            except TimeoutError:
                seats = [seat for seat in self._board.seats.values() if seat.usable]
                if not seats:
                    break
                batch = [seats[(turn + step) % len(seats)] for step in range(min(_BATCH, len(seats)))]
                turn += len(batch)
                pause = min(pause * 2, last)
                await self._cooldowns.hold(_EXPIRED, pause + _LOOK)
                await self._look(batch)
        _log.warning("the platform takes sessions again")
        await self._cooldowns.release(_EXPIRED)
        for seat in list(self._board.seats.values()):
            if seat.usable:
                self._desk.chores.spawn(self.check(seat.id))

    async def _look(self, batch: list[Seat]) -> None:
        """Try some sessions, and one password where its session is refused: no storm of logins."""
        tries = (self._sessions.whoami(seat.member.cookie) for seat in batch)
        results = await asyncio.gather(*tries, return_exceptions=True)
        for seat, result in zip(batch, results, strict=True):
            if isinstance(result, BaseException) and not isinstance(result, ServiceError):
                raise result
            refused = isinstance(result, ServiceError) and result.reason == _EXPIRED
            if refused and seat.member.can_log_in and seat.login_after <= self._desk.now():
                await self._logins.log_in(seat.id)
                return

    async def proven(self, account_id: AccountId, lease_id: LeaseId) -> None:
        """Take note that the platform took a turn on an account under a lease."""
        self._sessions.took()
        await self._cooldowns.proven(lease_id)
        seat = self._board.seats.get(account_id)
        if seat is not None and seat.member.state == ACCOUNT_STATE_CREATED:
            await self._sessions.change(account_id, lambda member: member.active(member.cookie))

    async def check(self, account_id: AccountId) -> None:
        """Find out whether the platform takes the account's session, and log in where it does not."""
        seat = self._board.seats.get(account_id)
        if seat is None:
            return
        session = Session(account_id, seat.member.cookie)
        if not session.cookie:
            if seat.member.can_log_in:
                await self._logins.log_in(account_id)
            return
        try:
            user = await self._sessions.whoami(session.cookie)
        except ServiceError as error:
            await self.report(account_id, error, session=session)
            if login := self._logins.under_way(account_id):
                await asyncio.wait([login])
        else:
            await self._sessions.welcome(account_id, session.cookie, user, begun=False)
