"""The accounts' sessions: tried on the platform, recorded, and taken from an account that lost its own."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Final, Protocol

from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.pool.v1.pool_event_pb2 import PoolEvent
from howler.pool.v1.pool_service_pb2 import AccountState

from server.errors import ServiceError, reason_name
from server.pool.account import AccountId, Credentials, Member
from server.pool.desk import Desk
from server.pool.outage import Refusals
from server.pool.pieces import Seat

_log = logging.getLogger(__name__)
_E = ErrorReason
_S = AccountState

_AT_ONCE: Final = 4  # logins and checks, over all accounts


class Identity(Protocol):
    """Who the platform says a session's user is."""

    @property
    def user_id(self) -> str:
        """The platform's id."""

    @property
    def name(self) -> str:
        """The name; may be empty."""

    @property
    def email(self) -> str:
        """The e-mail; may be empty."""


class Authenticator(Protocol):
    """The two calls to the platform that sessions need. Failures are ServiceErrors."""

    async def login(self, email: str, password: str) -> str:
        """Return the cookie of a new session."""

    async def whoami(self, cookie: str) -> Identity:
        """Return the session's user."""


class Sessions:
    """Tries and records sessions.

    `changed` is called when something changed that may matter to those who wait. `refusals` remembers whose
    sessions the platform did not take lately; `taken` is set whenever it took one. `gate` bounds how many
    calls are made at a time.
    """

    def __init__(self, desk: Desk, authenticator: Authenticator, *, changed: Callable[[], None]) -> None:
        self._desk = desk
        self._board = desk.board
        self._authenticator = authenticator
        self._changed = changed
        self.gate = asyncio.Semaphore(_AT_ONCE)
        self.refusals = Refusals()
        self.taken = asyncio.Event()

    def took(self) -> None:
        """Take note that the platform took a session."""
        self.refusals.taken()
        self.taken.set()

    async def whoami(self, cookie: str) -> Identity:
        """Return a session's user. Raises what the platform says."""
        async with self.gate:
            user = await self._authenticator.whoami(cookie)
        self.took()
        return user

    async def verify(self, given: Credentials) -> tuple[str, Identity, bool]:
        """Try credentials on the platform: the cookie, else the password.

        Returns a cookie that works, its user, and whether a login made it; raises what the platform says.
        """
        if given.cookie:
            try:
                return given.cookie, await self.whoami(given.cookie), False
            except ServiceError as error:
                if error.reason != _E.ERROR_REASON_SESSION_EXPIRED or not given.password:
                    raise
        cookie = await self._authenticator.login(given.email, given.password)
        return cookie, await self.whoami(cookie), True

    async def change(self, account_id: AccountId, change: Callable[[Member], Member]) -> bool:
        """Change an account's record and tell who watches; False where nothing is to be changed."""
        changed = False

        def noted(member: Member) -> Member:
            nonlocal changed
            result = change(member)
            changed = result != member
            return result

        if await self._desk.edit(account_id, noted) is None or not changed:
            return False
        self._desk.tell(PoolEvent.POOL_EVENT_CHANGED, account_id)
        return True

    async def demote(
        self, account_id: AccountId, state: AccountState, reason: ErrorReason, cookie: str | None = None
    ) -> None:
        """Record that an account's session is no good; not where a session took the place of `cookie`'s."""

        def change(member: Member) -> Member:
            if member.state == _S.ACCOUNT_STATE_INVALID or cookie not in (None, member.cookie):
                return member
            if reason == _E.ERROR_REASON_SESSION_EXPIRED and member.state == state:
                return member  # why its login failed is worth more
            failed = member.failed_logins + (reason == _E.ERROR_REASON_LOGIN_FAILED)
            return replace(member, state=state, reason=reason, failed_logins=failed)

        if await self.change(account_id, change):
            _log.warning("account %s: %s", account_id, reason_name(reason))

    async def restore(self, account_id: AccountId) -> None:
        """Take back that a session is over: it was the platform that took none."""

        def change(member: Member) -> Member:
            over = member.state == _S.ACCOUNT_STATE_EXPIRED
            return member.active(member.cookie) if over and member.cookie else member

        await self.change(account_id, change)

    async def welcome(
        self, account_id: AccountId, cookie: str, user: Identity | None, *, begun: bool
    ) -> None:
        """Record a session that works; `user` is None where it is known whose it is.

        `begun` says that a login of ours began it now; else it is the one that was tried.
        """
        seat = self._board.seats.get(account_id)
        if seat is None:
            return
        if user is not None and await self._is_twin(seat, user.user_id, cookie):
            return
        now_us = self._desk.now_us()

        def change(member: Member) -> Member:
            if begun:
                member = replace(member.active(cookie), session_us=now_us, session_dated=True)
            elif member.cookie == cookie:
                member = member.active(cookie)
            else:
                return member
            if user is None:
                return member
            return replace(member, user_id=user.user_id, name=user.name, email=member.email or user.email)

        try:
            await self.change(account_id, change)
        except ServiceError as error:  # another replica has just registered the user
            twin = user is not None and await self._is_twin(seat, user.user_id, cookie)
            if error.reason != _E.ERROR_REASON_ALREADY_EXISTS or not twin:
                raise
        self._changed()

    async def _is_twin(self, seat: Seat, user_id: str, cookie: str) -> bool:
        """Tell whether the user has another account here, which gets the session then."""
        elder = self._board.user(user_id)
        if elder is None or elder is seat:
            return False
        await self._unite(seat, elder, cookie)
        return True

    async def _unite(self, newer: Seat, elder: Seat, cookie: str) -> None:
        """Give a session to the account that is its user's already: one user's slots count once.

        The newer account is switched off; it stays for the tasks that it may have.
        """
        _log.warning("account %s is the same user as %s, which takes its session", newer.id, elder.id)
        given = newer.member
        await self.change(
            newer.id,
            lambda member: replace(
                member,
                email="",
                password="",
                offer="",
                state=_S.ACCOUNT_STATE_INVALID,
                reason=_E.ERROR_REASON_ALREADY_EXISTS,
            ),
        )
        await self.change(
            elder.id,
            lambda member: replace(
                member.active(cookie),
                email=member.email or given.email,
                password=given.password or member.password,
                offer=given.offer or member.offer,
                session_us=given.session_us,
                session_dated=given.session_dated,
            ),
        )
        self._changed()
