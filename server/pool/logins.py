"""Logs accounts in by their passwords: one login per account at a time, over all replicas."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from server.errors import ServiceError, reason_name
from server.pool.account import AccountId, Member
from server.pool.desk import Desk
from server.pool.pieces import Seat
from server.pool.sessions import Authenticator, Sessions
from server.pool.treatment import Demote, treatment

_log = logging.getLogger(__name__)

LOGIN_PAUSE: Final = 10.0  # seconds between two logins of an account: a herd's late reports start none
LOGIN_BACKOFF: Final = 30.0  # after one that the platform refused
LOGIN_CLAIM: Final = LOGIN_PAUSE
"""Seconds for which a replica may log an account in; the others wait for the new session meanwhile."""
_LOGIN_MOMENT: Final = 2.0  # seconds


class Logins:
    """The logins under way. `changed` is called when one is over, then `failed` where it made no session."""

    def __init__(
        self,
        desk: Desk,
        sessions: Sessions,
        authenticator: Authenticator,
        *,
        changed: Callable[[], None],
        failed: Callable[[], Awaitable[None]],
    ) -> None:
        self._desk = desk
        self._board = desk.board
        self._sessions = sessions
        self._authenticator = authenticator
        self._changed = changed
        self._failed = failed
        self._logins: dict[AccountId, asyncio.Task[None]] = {}
        self._news = asyncio.Event()

    def noticed(self) -> None:
        """Wake who waits for another replica's login: accounts may have changed."""
        self._news.set()
        self._news = asyncio.Event()

    async def settled(self) -> None:
        """Wait for the first session or until no login is under way; then a moment for the other logins."""
        while self._logins and not any(seat.usable for seat in self._board.seats.values()):
            await asyncio.wait(list(self._logins.values()), return_when=asyncio.FIRST_COMPLETED)
        if self._logins:
            await asyncio.wait(list(self._logins.values()), timeout=_LOGIN_MOMENT)

    def under_way(self, account_id: AccountId) -> asyncio.Task[None] | None:
        """Return the login of an account that is under way."""
        return self._logins.get(account_id)

    def log_in(self, account_id: AccountId) -> asyncio.Task[None]:
        """Log an account in by its password, in the background; who comes meanwhile gets the same login."""
        task = self._logins.get(account_id)
        if task is None:
            if seat := self._board.seats.get(account_id):
                seat.logging_in = True
            task = self._logins[account_id] = self._desk.chores.spawn(self._log_in(account_id))
            task.add_done_callback(lambda _: self._logins.pop(account_id, None))
        return task

    async def _log_in(self, account_id: AccountId) -> None:
        seat = self._board.seats.get(account_id)
        if seat is None:
            return
        pause, before, failed = LOGIN_BACKOFF, seat.member, False
        try:
            if not await self._desk.ledger.claim_login(account_id, LOGIN_CLAIM):
                await self._elsewhere(seat, before)
                pause = LOGIN_PAUSE
                return
            async with self._sessions.gate:
                member = seat.member
                if member.has_session and member.cookie != before.cookie:  # another replica was faster
                    pause = LOGIN_PAUSE
                    return
                cookie = await self._authenticator.login(member.email, member.password)
                user = None if member.user_id else await self._authenticator.whoami(cookie)
            pause = LOGIN_PAUSE
            self._sessions.took()
            await self._sessions.welcome(account_id, cookie, user, begun=True)
        except ServiceError as error:
            pause, failed = await self._login_failed(seat, error), True
        finally:
            seat.logging_in, seat.login_after = False, self._desk.now() + pause
            self._changed()
        if failed:
            await self._failed()

    async def _elsewhere(self, seat: Seat, before: Member) -> None:
        """Wait until another replica has logged the account in, or has failed to."""
        try:
            async with asyncio.timeout(LOGIN_CLAIM):
                while seat.member.version == before.version and seat.id in self._board.seats:
                    await self._news.wait()
        except TimeoutError:
            _log.warning("account %s: another replica claimed its login, and was not heard of", seat.id)

    async def _login_failed(self, seat: Seat, error: ServiceError) -> float:
        """Record it; return how many seconds the next login has to wait."""
        cure = treatment(error.reason, failed_logins=seat.member.failed_logins)
        if seat.member.has_session:  # it was to be renewed before its end: it works yet
            _log.warning("account %s: its session was not renewed: %s", seat.id, reason_name(error.reason))
            return LOGIN_BACKOFF
        if isinstance(cure, Demote):
            await self._sessions.demote(seat.id, cure.state, error.reason)
            return LOGIN_BACKOFF
        _log.warning("account %s: no login: %r", seat.id, error)  # the platform could not say
        return LOGIN_PAUSE
