"""Which accounts there are: registers, imports and forgets them."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace

from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.pool.v1.pool_service_pb2 import Account, AccountState, PoolEvent

from server.errors import ServiceError
from server.pool import show
from server.pool.account import AccountId, Credentials, Member, digest
from server.pool.board import Seat
from server.pool.desk import Desk
from server.pool.health import Health
from server.pool.tasks import Evict

_log = logging.getLogger(__name__)
_E = ErrorReason


class Roster:
    """The accounts' coming and going, one at a time."""

    def __init__(self, desk: Desk, health: Health, evict: Evict) -> None:
        self._desk = desk
        self._board = desk.board
        self._health = health
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
                seat = self._known(given)
                if seat is None:
                    await self._add(Member(AccountId("")).renewed(given))
                elif (member := seat.member.renewed(given)) != seat.member:
                    await self._renew(member)
        self.check()

    async def sweep(self) -> None:
        """Forget accounts that turned out to be another's twin and have no task left."""
        for seat in list(self._board.seats.values()):
            if seat.member.reason == _E.ERROR_REASON_ALREADY_EXISTS and not seat.used:
                await self._desk.ledger.remove_account(seat.id, self._desk.now_us())
                self._board.remove(seat.id)

    def check(self) -> None:
        """Check, in the background, every account that is not known to be good."""
        for seat in self._board.seats.values():
            member = seat.member
            good = member.state == AccountState.ACCOUNT_STATE_ACTIVE and member.user_id
            if not good and member.reason != _E.ERROR_REASON_ALREADY_EXISTS:
                self._desk.chores.spawn(self._health.check(seat.id))

    async def import_account(self, given: Credentials) -> tuple[Account, bool]:
        """Try credentials on the platform, then add the account or renew it. True says that it is new.

        Raises what Credentials.checked and the platform say; nothing is changed then.
        """
        given = given.checked()
        cookie, user = await self._health.verify(given)
        async with self._lock:
            seat = self._board.user(user.user_id) or self._known(given)
            member = seat.member if seat is not None else Member(AccountId(""))
            member = replace(
                member.renewed(given).active(cookie),
                user_id=user.user_id,
                name=user.name,
                email=given.email or member.email or user.email,
                offer=digest(given.cookie) or member.offer,
            )
            if seat is None:
                seat = await self._add(member)
                return show.account(self._board, seat), True
            await self._renew(member)
            return show.account(self._board, seat), False

    async def remove(self, account_id: AccountId) -> None:
        """Stop an account's tasks where the platform lets us, then forget it.

        Raises ACCOUNT_NOT_FOUND.
        """
        seat = self._board.seats.get(account_id)
        if seat is None:
            raise ServiceError(_E.ERROR_REASON_ACCOUNT_NOT_FOUND, "no such account")
        await self._desk.edit(account_id, lambda member: replace(member, enabled=False))  # nor elsewhere
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
                self._board.remove(account_id)
                self._desk.tell(PoolEvent.POOL_EVENT_REMOVED, account_id)

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

    async def _add(self, member: Member) -> Seat:
        member = replace(
            member, account_id=AccountId(self._desk.new_id("acc")), create_us=self._desk.now_us()
        )
        if not await self._desk.ledger.add_account(member):
            await self._desk.mirror.refresh()
            raise ServiceError(
                _E.ERROR_REASON_ALREADY_EXISTS, "another replica registered this user just now"
            )
        seat = self._board.put(member)
        self._desk.tell(PoolEvent.POOL_EVENT_IMPORTED, seat.id)
        return seat

    async def _renew(self, member: Member) -> None:
        await self._desk.edit(
            member.account_id,
            lambda now: replace(member, version=now.version, last_used_us=now.last_used_us),
        )
        self._desk.tell(PoolEvent.POOL_EVENT_IMPORTED, member.account_id)
