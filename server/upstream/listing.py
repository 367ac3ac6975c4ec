"""Fetches the models of every account of the pool and makes one list of them."""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from typing import Final, Protocol

from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.model.v1.model_service_pb2 import Model
from howler.pool.v1.pool_service_pb2 import Lease, LeaseMode, PoolEvent, WatchResponse

from server.catalog.cache import Catalog
from server.catalog.listing import Listing
from server.catalog.names import named
from server.errors import ServiceError
from server.pool.account import AccountId, Session

_log = logging.getLogger(__name__)

_AT_ONCE: Final = 8
_CHANGES: Final = (
    PoolEvent.POOL_EVENT_IMPORTED,
    PoolEvent.POOL_EVENT_CHANGED,
    PoolEvent.POOL_EVENT_REMOVED,
)
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

    def watch(self) -> AsyncIterator[WatchResponse]:
        """Yield what changes. Raises SLOW_CONSUMER, and SHUTTING_DOWN at the end."""


class Models(Protocol):
    """What is needed of the platform."""

    async def models(self, session: Session) -> list[Model]:
        """Return an account's models."""


async def load(pool: Accounts, platform: Models, now: Callable[[], float] = time.time) -> Listing:
    """Return the models of all usable accounts, merged by upstream id in the order in which they come.

    An account that fails is reported to the pool and left out. Raises the
    first failure when all fail, NO_ACCOUNT when there is none.
    """
    accounts: list[AccountId | None] = [*await pool.usable()]
    gate = asyncio.Semaphore(_AT_ONCE)

    async def fetch(account_id: AccountId | None) -> tuple[AccountId, list[Model]] | ServiceError:
        async with gate:
            try:
                return await _models_of(pool, platform, account_id)
            except ServiceError as error:
                if error.reason != ErrorReason.ERROR_REASON_SESSION_EXPIRED:
                    return error
                expired = error
            try:  # the pool may have logged it in again
                return await _models_of(pool, platform, account_id)
            except ServiceError:
                return expired

    # None asks for any account: the pool says why there is none, or logs one in.
    fetched = await asyncio.gather(*map(fetch, accounts or [None]))
    lists = [result for result in fetched if not isinstance(result, ServiceError)]
    failures = [result for result in fetched if isinstance(result, ServiceError)]
    if not lists:
        raise failures[0]
    if failures:
        _log.info("%d of %d accounts did not list their models", len(failures), len(fetched))
    return _merged(lists, now())


async def _models_of(
    pool: Accounts, platform: Models, account_id: AccountId | None
) -> tuple[AccountId, list[Model]]:
    lease = await pool.acquire(
        LeaseMode.LEASE_MODE_SHARED, holder="howler", purpose="models", wait=_WAIT, account_id=account_id
    )
    granted = AccountId(lease.account_id)
    try:
        session = pool.session(granted)
        try:
            return granted, await platform.models(session)
        except ServiceError as error:
            await pool.report(granted, error, session=session)
            raise
    finally:
        await pool.release(lease.lease_id, lease.token)


def _merged(lists: list[tuple[AccountId, list[Model]]], fetched_at: float) -> Listing:
    merged: dict[str, Model] = {}
    owners: defaultdict[str, set[str]] = defaultdict(set)
    for account_id, models in lists:
        for model in models:
            kept = merged.setdefault(model.upstream_id, model)
            kept.is_default |= model.is_default
            owners[model.upstream_id].add(account_id)
    return Listing(
        models=named(merged.values()),
        accounts={upstream_id: frozenset(holders) for upstream_id, holders in owners.items()},
        fetched_at=fetched_at,
    )


async def keep_current(pool: Accounts, catalog: Catalog) -> None:
    """Renew the catalogue whenever an account comes, goes or changes, until the pool closes."""
    while True:
        try:
            async for change in pool.watch():
                if change.event in _CHANGES:
                    catalog.renew()
        except ServiceError as error:
            if error.reason != ErrorReason.ERROR_REASON_SLOW_CONSUMER:
                return
            catalog.renew()  # what was missed may have been a change
        else:
            return
