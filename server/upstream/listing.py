"""Asks every account of the pool for its models and its plan, and makes one list of them."""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final, Protocol

from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.model.v1.model_service_pb2 import Model
from howler.pool.v1.pool_service_pb2 import Account, AccountState, Lease, LeaseMode

from server.catalog.listing import Listing, Offer, merged
from server.catalog.plans import plan_needed
from server.errors import ServiceError, reason_name
from server.pool.account import AccountId, Session
from server.upstream.subscription import Subscription

_log = logging.getLogger(__name__)
_E = ErrorReason

_AT_ONCE: Final = 8
_LIVE: Final = (AccountState.ACCOUNT_STATE_CREATED, AccountState.ACCOUNT_STATE_ACTIVE)
_WAIT: Final = 10.0  # seconds for a shared lease; only a login keeps one waiting


class Accounts(Protocol):
    """What is needed of the pool."""

    async def usable(self) -> list[AccountId]:
        """Return the accounts that can be granted."""

    async def acquire(
        self, mode: LeaseMode, *, holder: str, purpose: str, wait: float, account_id: AccountId | None = None
    ) -> Lease:
        """Grant a lease."""

    async def release(self, lease_id: str, token: int) -> None:
        """End a lease."""

    def session(self, account_id: AccountId) -> Session:
        """Return an account's session."""

    async def report(
        self,
        account_id: AccountId,
        error: ServiceError,
        upstream_model_id: str = "",
        session: Session | None = None,
    ) -> None:
        """Treat an account for what the platform said to it."""

    async def accounts(self) -> list[Account]:
        """Return every account, in the order of registration."""


class Market(Protocol):
    """What is needed of the platform."""

    async def models(self, session: Session) -> list[Model]:
        """Return an account's models."""

    async def subscription(self, session: Session) -> Subscription | None:
        """Return an account's plan, None where the platform knows of no plans."""


class Offers:
    """What the accounts of the pool are offered.

    Each load asks every usable account. What an account was offered before stands where it does not answer or
    cannot be asked, until it is removed: its models keep their meaning while it is logged in again, and a
    turn that names one is told that its account is out of use rather than that there is no such model.
    `now` is unix seconds.
    """

    def __init__(self, pool: Accounts, platform: Market, now: Callable[[], float] = time.time) -> None:
        self._pool = pool
        self._platform = platform
        self._now = now
        self._known: dict[str, Offer] = {}
        self._gate = asyncio.Semaphore(_AT_ONCE)

    async def load(self) -> Listing:
        """Return the models of all accounts, merged.

        An account that fails is reported to the pool. Raises the first failure
        when all fail, NO_ACCOUNT when there is none.
        """
        accounts: list[AccountId | None] = [*await self._pool.usable()]
        # None asks for any account: the pool says why there is none, or logs one in.
        fetched = await asyncio.gather(*map(self._fetch, accounts or [None]))
        failures = [result for result in fetched if isinstance(result, ServiceError)]
        if len(failures) == len(fetched):
            raise failures[0]
        if failures:
            _log.info("%d of %d accounts did not list their models", len(failures), len(fetched))
        known = self._known | {result.account_id: result for result in fetched if isinstance(result, Offer)}
        self._known = {
            account.account_id: replace(known[account.account_id], in_play=_in_play(account))
            for account in await self._pool.accounts()
            if account.account_id in known
        }
        return merged(list(self._known.values()), self._now(), complete=not failures)

    async def _fetch(self, account_id: AccountId | None) -> Offer | ServiceError:
        async with self._gate:
            try:
                return await self._ask(account_id)
            except ServiceError as error:
                if error.reason != _E.ERROR_REASON_SESSION_EXPIRED:
                    return error
                expired = error
            try:  # the pool may have logged it in again
                return await self._ask(account_id)
            except ServiceError:
                return expired

    async def _ask(self, account_id: AccountId | None) -> Offer:
        pool = self._pool
        lease = await pool.acquire(
            LeaseMode.LEASE_MODE_SHARED, holder="howler", purpose="models", wait=_WAIT, account_id=account_id
        )
        granted = AccountId(lease.account_id)
        try:
            session = pool.session(granted)
            try:
                models = await self._platform.models(session)
                return Offer(granted, tuple(models), await self._plan(session, models))
            except ServiceError as error:
                await pool.report(granted, error, session=session)
                raise
        finally:
            await pool.release(lease.lease_id, lease.token)

    async def _plan(self, session: Session, models: list[Model]) -> str:
        """Return the account's plan, "" where nothing depends on it or the platform does not say."""
        if not any(plan_needed(model) or model.access_level for model in models):
            return ""
        try:
            told = await self._platform.subscription(session)
        except ServiceError as error:
            if error.reason == _E.ERROR_REASON_SESSION_EXPIRED:
                raise
            told = None
        before = self._known.get(session.account_id)
        return told.plan if told is not None else before.plan if before is not None else ""


def _in_play(account: Account) -> bool:
    """Say whether turns may come to an account, perhaps after a login that the pool makes by itself."""
    mends = account.has_password and account.state_reason != reason_name(_E.ERROR_REASON_CAPTCHA_REQUIRED)
    expired = account.state == AccountState.ACCOUNT_STATE_EXPIRED
    return account.enabled and (account.state in _LIVE or (expired and mends))
