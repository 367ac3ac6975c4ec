"""Which accounts there are: registers, imports, enables, disables and forgets them."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Final

from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.pool.v1.pool_event_pb2 import PoolEvent
from howler.pool.v1.pool_service_pb2 import Account, AccountState
from howler.task.v1.task_service_pb2 import Task

from server.errors import ServiceError
from server.pool import show
from server.pool.account import AccountId, Credentials, Member, digest
from server.pool.desk import Desk
from server.pool.health import Health
from server.pool.pieces import Seat

_log = logging.getLogger(__name__)
_E = ErrorReason
_AT_ONCE: Final = 4  # accounts of a list that are tried on the platform at a time


class Roster:
    """The accounts' coming and going, one at a time."""

    def __init__(self, desk: Desk, health: Health, evict: Callable[[Task], Awaitable[None]]) -> None:
        self._desk = desk
        self._board = desk.board
        self._health = health
        self._sessions = health.sessions
        self._evict = evict
        self._lock = asyncio.Lock()

    async def register(self, accounts: Sequence[Credentials]) -> None:
        """Add accounts without asking the platform, or renew those with the same e-mail or cookie.

        Every account that is not known to be good is then checked in the background.
        Raises INVALID_REQUEST and TEAM_SESSION before anything is changed.
        """
        checked = [given.checked() for given in accounts]
        async with self._lock:
            for given in checked:
                await self._register(given, self._desk.now_us())
        self.check()

    async def _register(self, given: Credentials, now_us: int) -> None:
        seat = self._known(given)
        if seat is None:
            await self._add(Member(AccountId("")).renewed(given, now_us))
        else:
            await self._renew(seat.id, lambda member: member.renewed(given, now_us))

    async def sweep(self) -> None:
        """Forget accounts that turned out to be another's twin and have no task left."""
        for seat in list(self._board.seats.values()):
            if seat.member.reason == _E.ERROR_REASON_ALREADY_EXISTS and not seat.used:
                await self._desk.ledger.remove_account(seat.id, self._desk.now_us())
                self._board.remove(seat.id)

    def check(self) -> None:
        """Check, in the background, every account that is not known to be good, nor to be bad for good."""
        for seat in self._board.seats.values():
            member = seat.member
            good = member.state == AccountState.ACCOUNT_STATE_ACTIVE and member.user_id
            if not good and member.state != AccountState.ACCOUNT_STATE_INVALID:
                self._desk.chores.spawn(self._health.check(seat.id))

    async def import_account(self, given: Credentials) -> tuple[Account, bool]:
        """Try credentials on the platform, then add the account or renew it. True says that it is new.

        Raises what Credentials.checked and the platform say; nothing is changed then.
        """
        given = given.checked()
        cookie, user, begun = await self._sessions.verify(given)
        now_us = self._desk.now_us()

        def renewed(member: Member) -> Member:
            result = replace(
                member.renewed(given, now_us).active(cookie),
                user_id=user.user_id,
                name=user.name,
                email=given.email or member.email or user.email,
                offer=digest(given.cookie) or member.offer,
            )
            if cookie != member.cookie:
                result = replace(result, session_us=now_us, session_dated=begun)
            return result

        async with self._lock:
            known = self._board.user(user.user_id) or self._known(given)
            if known is None:
                seat = await self._add(renewed(Member(AccountId(""))))
                if seat is not None:
                    return show.account(self._board, seat), True
                known = self._board.user(user.user_id)
            seat = await self._renew(known.id, renewed) if known is not None else None
            if seat is None:
                raise ServiceError(_E.ERROR_REASON_ALREADY_EXISTS, "the account is being changed; try again")
            return show.account(self._board, seat), False

    async def import_accounts(
        self, accounts: Sequence[Credentials | ServiceError]
    ) -> list[tuple[Account, bool] | ServiceError]:
        """Import each account of a list; return what became of each: a refusal stops no other."""
        gate = asyncio.Semaphore(_AT_ONCE)

        async def one(given: Credentials | ServiceError) -> tuple[Account, bool] | ServiceError:
            if isinstance(given, ServiceError):
                return given
            async with gate:
                try:
                    return await self.import_account(given)
                except ServiceError as error:
                    return error

        return list(await asyncio.gather(*map(one, accounts)))

    async def enable(self, account_id: AccountId) -> Account:
        """Let an account be granted, and check it where it is not known to be good.

        Raises ACCOUNT_NOT_FOUND.
        """
        seat = await self._flag(account_id, enabled=True)
        if not seat.usable and seat.member.state != AccountState.ACCOUNT_STATE_INVALID:
            self._desk.chores.spawn(self._health.check(account_id))
        return show.account(self._board, seat)

    async def disable(self, account_id: AccountId) -> Account:
        """Keep an account from being granted; what runs on it goes on. Raises ACCOUNT_NOT_FOUND."""
        return show.account(self._board, await self._flag(account_id, enabled=False))

    async def _flag(self, account_id: AccountId, *, enabled: bool) -> Seat:
        await self._sessions.change(account_id, lambda member: replace(member, enabled=enabled))
        return self.seat(account_id)

    async def check_now(self, account_id: AccountId) -> Account:
        """Ask the platform about an account's session, log in where it is over, and tell what was found.

        Raises ACCOUNT_NOT_FOUND.
        """
        self.seat(account_id)
        await self._health.check(account_id)
        seat = self.seat(account_id)
        captcha = seat.member.reason == _E.ERROR_REASON_CAPTCHA_REQUIRED
        if captcha and seat.member.password and seat.login_after <= self._desk.now():
            await self._health.logins.log_in(account_id)  # an operator may know better than the last refusal
        return show.account(self._board, self.seat(account_id))

    async def remove(self, account_id: AccountId) -> None:
        """Stop an account's tasks where the platform lets us, then forget it.

        Raises ACCOUNT_NOT_FOUND.
        """
        seat = await self._flag(account_id, enabled=False)  # nothing more is granted meanwhile
        tasks = [self._board.tasks[task_id].task for task_id in seat.tasks]
        results = await asyncio.gather(*map(self._evict, tasks), return_exceptions=True)
        for task, result in zip(tasks, results, strict=True):
            if isinstance(result, BaseException):
                _log.warning(
                    "task %s of the removed account was not stopped: %s", task.task_id, type(result).__name__
                )
        async with self._lock:
            if account_id in self._board.seats:
                await self._desk.ledger.remove_account(account_id, self._desk.now_us())
                if self._board.remove(account_id):  # else the books brought the news already
                    self._desk.tell(PoolEvent.POOL_EVENT_REMOVED, account_id)

    def seat(self, account_id: AccountId) -> Seat:
        """Return an account. Raises ACCOUNT_NOT_FOUND."""
        seat = self._board.seats.get(account_id)
        if seat is None:
            raise ServiceError(_E.ERROR_REASON_ACCOUNT_NOT_FOUND, "no such account")
        return seat

    def _known(self, given: Credentials) -> Seat | None:
        """Return the account with the same e-mail, else with the same cookie."""
        seats = self._board.seats.values()
        email, offer = given.email.casefold(), digest(given.cookie)
        by_email = (seat for seat in seats if email and seat.member.email.casefold() == email)
        by_cookie = (
            seat
            for seat in seats
            if offer and (seat.member.offer == offer or seat.member.cookie == given.cookie)
        )
        return next(by_email, None) or next(by_cookie, None)

    async def _add(self, member: Member) -> Seat | None:
        """Record a new account; None where another replica was first, whose account is on the board then."""
        member = replace(
            member, account_id=AccountId(self._desk.new_id("acc")), create_us=self._desk.now_us()
        )
        if not await self._desk.ledger.add_account(member):
            await self._desk.mirror.refresh()
            return None
        seat = self._board.put(member)
        self._desk.tell(PoolEvent.POOL_EVENT_IMPORTED, seat.id)
        return seat

    async def _renew(self, account_id: AccountId, change: Callable[[Member], Member]) -> Seat | None:
        """Change an account as an operator wants; None when it was removed meanwhile."""
        if await self._desk.edit(account_id, change) is None:
            return None
        self._desk.tell(PoolEvent.POOL_EVENT_IMPORTED, account_id)
        return self._board.seats.get(account_id)
