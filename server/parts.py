"""Builds from the settings what the server and the commands share: the store, the platform, the pool.

A piece of the composition root: only `__main__` may import it.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from howler.pool.v1.pool_service_pb2 import Lease
from howler.task.v1.task_service_pb2 import Task

from server.config import Misconfigured, Settings
from server.errors import ServiceError
from server.pool.account import Credentials
from server.pool.accounts_file import read_accounts
from server.pool.pool import Pool
from server.pool.terms import Terms
from server.store.keyring import GivenKeys, KeyFile, KeyRing
from server.store.open import AnyStore, key_file_of, store_at
from server.turn.stopper import Stopper
from server.upstream.headers import PROFILES
from server.upstream.platform import Platform


@dataclass(frozen=True, slots=True)
class Parts:
    """What server and commands share. The pool is not open yet: a server looks after it, a command visits."""

    store: AnyStore
    platform: Platform
    pool: Pool
    stopper: Stopper


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Parts]:
    """Open what server and commands share. Raises Misconfigured and StoreError."""
    platform = platform_of(settings)
    async with store_of(settings) as store, platform:

        async def evict(task: Task, lease: Lease | None = None) -> None:
            await stopper.stop_upstream(task, lease)

        pool = Pool(store, platform, evict=evict, terms=terms_of(settings))
        stopper = Stopper(pool, platform)
        yield Parts(store, platform, pool, stopper)


def store_of(settings: Settings) -> AnyStore:
    """Return the store that the settings name. Raises Misconfigured and StoreError."""
    ring = KeyRing(keys_of(settings))
    return store_at(settings.database_url, ring, settings.account_slots, settings.lease_reclaim)


def terms_of(settings: Settings) -> Terms:
    """Return how leases are given."""
    return Terms(
        slots=settings.account_slots,
        ttl=settings.lease_ttl,
        renew=settings.lease_renew,
        margin=settings.lease_margin,
        reclaim=settings.lease_reclaim,
        session_check=settings.session_check,
        session_warn=settings.session_warn_days * 86_400,
        free_slots=settings.free_slots,
    )


def keys_of(settings: Settings) -> GivenKeys | KeyFile:
    """Return where the keys come from that seal secrets. Raises Misconfigured and StoreError."""
    given = settings.secrets_key.get_secret_value()
    if given and settings.secrets_key_file:
        raise Misconfigured("HOWLER_SECRETS_KEY and HOWLER_SECRETS_KEY_FILE: give one of them")
    if given:
        return GivenKeys(given)
    if settings.secrets_key_file:
        return KeyFile(Path(settings.secrets_key_file))
    return KeyFile(key_file_of(settings.database_url))


def platform_of(settings: Settings) -> Platform:
    """Return the platform that the settings name. Raises Misconfigured."""
    if not settings.upstream_url:
        raise Misconfigured(
            "HOWLER_UPSTREAM_URL is not set: name the platform, or use `make run`, which brings a sandbox"
        )
    try:
        return Platform(
            settings.upstream_url,
            connect_timeout=settings.connect_timeout,
            image_id=settings.upstream_image_id,
            host_id=settings.upstream_host_id,
            basic_auth=settings.upstream_basic_auth.get_secret_value(),
            ca_file=settings.upstream_ca_file,
            profiles=PROFILES[settings.upstream_headers],
        )
    except ValueError as error:
        raise Misconfigured(f"HOWLER_UPSTREAM_URL or HOWLER_UPSTREAM_CA_FILE: {error}") from None


def credentials(settings: Settings) -> list[Credentials]:
    """Return the accounts that the settings name. Raises Misconfigured."""
    cookie = settings.upstream_cookie.get_secret_value()
    password = settings.upstream_password.get_secret_value()
    own = []
    if cookie or password or settings.upstream_email:
        own = [Credentials(email=settings.upstream_email, password=password, cookie=cookie)]
    try:
        for given in own:
            given.checked()
    except ServiceError as error:
        raise Misconfigured(
            f"HOWLER_UPSTREAM_COOKIE, HOWLER_UPSTREAM_EMAIL, HOWLER_UPSTREAM_PASSWORD: {error.message}"
        ) from None
    try:
        return own + (read_accounts(settings.accounts_file) if settings.accounts_file else [])
    except ValueError as error:
        raise Misconfigured(f"HOWLER_ACCOUNTS_FILE: {error}") from None
