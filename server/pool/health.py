"""What is known of the accounts' sessions, and what is done about it: checks, logins, cooldowns."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Final, Protocol

from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.pool.v1.pool_service_pb2 import AccountState, Cooldown, CooldownScope, PoolEvent

from server.errors import ServiceError, reason_name
from server.pool.account import AccountId, Credentials, Member, Session
from server.pool.board import PLATFORM, Cooling, Seat
from server.pool.desk import Desk
from server.pool.show import timestamp
from server.pool.treatment import Cool, Demote, treatment

_log = logging.getLogger(__name__)
_E = ErrorReason
_S = AccountState

LOGIN_PAUSE: Final = 10.0  # seconds between two logins of an account: a herd's late reports start none
LOGIN_BACKOFF: Final = 30.0  # after one that the platform refused
_LOGIN_MOMENT: Final = 2.0  # seconds
_LOGINS: Final = 8  # at a time, over all accounts


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


class Health:
    """Keeps the accounts' sessions alive, one login per account at a time.

    `changed` is called when something changed that may matter to those who wait.
    """

    def __init__(self, desk: Desk, authenticator: Authenticator, *, changed: Callable[[], None]) -> None:
        self._desk = desk
        self._board = desk.board
        self._authenticator = authenticator
        self._changed = changed
        self._logins: dict[AccountId, asyncio.Task[None]] = {}
        self._gate = asyncio.Semaphore(_LOGINS)

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
            case Demote() if seat.member.state == _S.ACCOUNT_STATE_INVALID:
                return  # worse is known already, and only an operator mends that
            case Demote() if cure.relogin and self._mended(seat, session):
                return
            case Demote(state, relogin):
                await self._demote(seat, state, error.reason)
                if relogin and seat.member.can_log_in and seat.login_after <= self._desk.now():
                    self.log_in(account_id)
                self._changed()
            case Cool(scope, seconds):
                at = PLATFORM if scope == CooldownScope.COOLDOWN_SCOPE_UPSTREAM else account_id
                by_model = scope == CooldownScope.COOLDOWN_SCOPE_ACCOUNT_MODEL
                cooldown = Cooldown(
                    reason=reason_name(error.reason),
                    scope=scope,
                    until_time=timestamp(self._desk.now_us() + int(seconds * 1e6)),
                    upstream_model_id=upstream_model_id if by_model else "",
                )
                await self._cool(at, cooldown, seconds)

    def _mended(self, seat: Seat, session: Session | None) -> bool:
        """The report is of a session that a login has replaced since.

        Where the session is not told, one that comes right after a login is taken for that.
        """
        if session is not None and session.cookie != seat.member.cookie:
            return True
        fresh = seat.member.state == _S.ACCOUNT_STATE_ACTIVE and self._desk.now() < seat.login_after
        return session is None and fresh

    async def _demote(self, seat: Seat, state: AccountState, reason: ErrorReason) -> None:
        member = seat.member
        failed = member.failed_logins + (reason == _E.ERROR_REASON_LOGIN_FAILED)
        if (member.state, member.reason, member.failed_logins) == (state, reason, failed):
            return
        _log.warning("account %s: %s", seat.id, reason_name(reason))
        await self._put(replace(member, state=state, reason=reason, failed_logins=failed))

    async def _put(self, member: Member) -> None:
        """Change an account's record, unless the account was removed meanwhile."""
        written = await self._desk.edit(
            member.account_id,
            lambda now: replace(member, version=now.version, last_used_us=now.last_used_us),
        )
        if written is not None:
            self._desk.tell(PoolEvent.POOL_EVENT_CHANGED, member.account_id)

    async def _cool(self, at: AccountId, cooldown: Cooldown, seconds: float) -> None:
        _log.info("account %s: cooling, %s", at or "(all)", cooldown.reason)
        cooling = await self._desk.cool(at, cooldown, seconds)
        self._tell_cooldown(PoolEvent.POOL_EVENT_COOLING, cooling)
        self._changed()

    async def warm(self, cooling: Cooling) -> None:
        """End a cooldown, unless a later one has taken its place."""
        if self._board.coolings.get(cooling.key) is cooling:
            await self._desk.warm(cooling.key)
            self.tell_cooled(cooling)
            self._changed()

    def tell_cooled(self, cooling: Cooling) -> None:
        """Tell who watches that a cooldown ended."""
        self._tell_cooldown(PoolEvent.POOL_EVENT_COOLED, cooling)

    def _tell_cooldown(self, event: PoolEvent, cooling: Cooling) -> None:
        covered = list(self._board.seats) if cooling.account_id == PLATFORM else [cooling.account_id]
        for account_id in covered:
            self._desk.tell(event, account_id)

    async def proven(self, account_id: AccountId) -> None:
        """Take note that the platform took the account's session."""
        seat = self._board.seats.get(account_id)
        if seat is not None and seat.member.state == _S.ACCOUNT_STATE_CREATED:
            await self._put(seat.member.active(seat.member.cookie))

    async def verify(self, given: Credentials) -> tuple[str, Identity]:
        """Try credentials on the platform: the cookie, else the password.

        Returns a cookie that works and its user; raises what the platform says.
        """
        if given.cookie:
            try:
                return given.cookie, await self._authenticator.whoami(given.cookie)
            except ServiceError as error:
                if error.reason != _E.ERROR_REASON_SESSION_EXPIRED or not given.password:
                    raise
        cookie = await self._authenticator.login(given.email, given.password)
        return cookie, await self._authenticator.whoami(cookie)

    async def check(self, account_id: AccountId) -> None:
        """Find out whether the platform takes the account's session, and log in where it does not."""
        seat = self._board.seats.get(account_id)
        if seat is None:
            return
        session = Session(account_id, seat.member.cookie)
        if not session.cookie:
            if seat.member.can_log_in:
                self.log_in(account_id)
            return
        try:
            async with self._gate:
                user = await self._authenticator.whoami(session.cookie)
        except ServiceError as error:
            await self.report(account_id, error, session=session)
        else:
            await self._welcome(account_id, session.cookie, user)

    async def logins_settled(self) -> None:
        """Wait for the first session or until no login is under way; then a moment for the other logins."""
        while self._logins and not any(seat.usable for seat in self._board.seats.values()):
            await asyncio.wait(list(self._logins.values()), return_when=asyncio.FIRST_COMPLETED)
        if self._logins:
            await asyncio.wait(list(self._logins.values()), timeout=_LOGIN_MOMENT)

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
        try:
            async with self._gate:
                member = seat.member
                cookie = await self._authenticator.login(member.email, member.password)
                user = None if member.user_id else await self._authenticator.whoami(cookie)
        except ServiceError as error:
            self._login_over(seat, LOGIN_BACKOFF)
            await self._login_failed(seat, error)
        except Exception:
            self._login_over(seat, LOGIN_BACKOFF)
            self._changed()
            raise
        else:
            self._login_over(seat, LOGIN_PAUSE)
            await self._welcome(account_id, cookie, user)

    def _login_over(self, seat: Seat, pause: float) -> None:
        seat.logging_in, seat.login_after = False, self._desk.now() + pause

    async def _login_failed(self, seat: Seat, error: ServiceError) -> None:
        match treatment(error.reason, failed_logins=seat.member.failed_logins):
            case Demote(state):
                await self._demote(seat, state, error.reason)
            case _:  # the platform could not say
                _log.warning("account %s: no login: %r", seat.id, error)
                seat.login_after = self._desk.now() + LOGIN_PAUSE
        self._changed()

    async def _welcome(self, account_id: AccountId, cookie: str, user: Identity | None) -> None:
        """Record a session that works; `user` is None where it is known whose it is."""
        seat = self._board.seats.get(account_id)
        if seat is None:
            return
        member = seat.member.active(cookie)
        if user is not None:
            twin = self._board.user(user.user_id)
            if twin is not None and twin is not seat:
                await self._unite(seat, twin, cookie)
                return
            member = replace(member, user_id=user.user_id, name=user.name, email=member.email or user.email)
        await self._put(member)
        self._changed()

    async def _unite(self, newer: Seat, elder: Seat, cookie: str) -> None:
        """Give a session to the account that is its user's already: one user's slots count once.

        The newer account is switched off; it stays for the tasks that it may have.
        """
        _log.warning("account %s is the same user as %s, which takes its session", newer.id, elder.id)
        given, kept = newer.member, elder.member.active(cookie)
        await self._put(
            replace(
                given,
                email="",
                password="",
                offer="",
                state=_S.ACCOUNT_STATE_INVALID,
                reason=_E.ERROR_REASON_ALREADY_EXISTS,
            )
        )
        await self._put(
            replace(
                kept,
                email=kept.email or given.email,
                password=given.password or kept.password,
                offer=given.offer or kept.offer,
            )
        )
        self._changed()
