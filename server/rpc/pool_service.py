"""PoolService: checks what callers say and passes it to the pool."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any, Final, TypeAlias

import grpc
from google.protobuf.duration_pb2 import Duration
from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.pool.v1 import pool_service_pb2 as pb
from howler.pool.v1.pool_service_pb2_grpc import PoolServiceServicer

from server.errors import ServiceError
from server.pool.account import AccountId, Credentials
from server.pool.pool import Pool

_Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"  # generic in the stubs alone
_MAX_NAME_BYTES: Final = 128
_MAX_CREDENTIAL_BYTES: Final = 4096
_MIN_TTL, _TTL, _MAX_TTL = 1.0, 15.0, 3600.0  # seconds
_MAX_SLOTS: Final = 1_000_000


class PoolService(PoolServiceServicer):
    """The door to the pool. Credentials go in and never come out."""

    def __init__(self, pool: Pool, queue_timeout: float) -> None:
        """`queue_timeout` (seconds) is how long a caller waits for a lease, by default and at most."""
        self._pool = pool
        self._queue_timeout = queue_timeout

    async def Acquire(self, request: pb.AcquireRequest, context: _Context) -> pb.AcquireResponse:
        """Wait for a lease and grant it."""
        if request.mode not in pb.LeaseMode.values():
            raise _invalid("mode is none of LeaseMode")
        for name in ("holder", "purpose", "account_id"):
            _check_size(name, getattr(request, name), _MAX_NAME_BYTES)
        wait = self._queue_timeout
        if request.HasField("wait"):
            wait = min(_seconds(request.wait), wait)
            if wait < 0:
                raise _invalid("wait must not be negative")
        lease = await self._pool.acquire(
            request.mode,
            holder=request.holder,
            purpose=request.purpose,
            wait=wait,
            ttl=_ttl(request),
            account_id=AccountId(request.account_id) if request.account_id else None,
        )
        return pb.AcquireResponse(lease=lease)

    async def Renew(self, request: pb.RenewRequest, context: _Context) -> pb.RenewResponse:
        """Move a lease's end."""
        lease = await self._pool.renew(request.lease_id, request.token, _ttl(request))
        return pb.RenewResponse(lease=lease)

    async def Release(self, request: pb.ReleaseRequest, context: _Context) -> pb.ReleaseResponse:
        """End a lease."""
        await self._pool.release(request.lease_id, request.token)
        return pb.ReleaseResponse()

    async def ListAccounts(
        self, request: pb.ListAccountsRequest, context: _Context
    ) -> pb.ListAccountsResponse:
        """Return every account."""
        return pb.ListAccountsResponse(accounts=await self._pool.accounts())

    async def GetPool(self, request: pb.GetPoolRequest, context: _Context) -> pb.GetPoolResponse:
        """Return the pool's counts."""
        return await self._pool.status()

    async def ImportAccount(
        self, request: pb.ImportAccountRequest, context: _Context
    ) -> pb.ImportAccountResponse:
        """Try credentials on the platform and keep them."""
        for name in ("cookie", "email", "password"):
            _check_size(name, getattr(request, name), _MAX_CREDENTIAL_BYTES)
        if not 0 <= request.slots <= _MAX_SLOTS:
            raise _invalid(f"slots must be between 0 and {_MAX_SLOTS}")
        account, created = await self._pool.import_account(
            Credentials(request.email, request.password, request.cookie, request.slots)
        )
        return pb.ImportAccountResponse(account=account, created=created)

    async def RemoveAccount(
        self, request: pb.RemoveAccountRequest, context: _Context
    ) -> pb.RemoveAccountResponse:
        """Stop an account's tasks and forget it."""
        await self._pool.remove_account(AccountId(request.account_id))
        return pb.RemoveAccountResponse()

    async def Watch(self, request: pb.WatchRequest, context: _Context) -> AsyncIterator[pb.WatchResponse]:
        """Tell what changes in the pool."""
        async with aclosing(self._pool.watch()) as events:
            async for event in events:
                yield event


def _ttl(request: pb.AcquireRequest | pb.RenewRequest) -> float:
    """Return how long the lease shall last, in seconds."""
    if not request.HasField("ttl"):
        return _TTL
    ttl = _seconds(request.ttl)
    if not _MIN_TTL <= ttl <= _MAX_TTL:
        raise _invalid("ttl must be between 1 s and 1 h")
    return ttl


def _seconds(duration: Duration) -> float:
    return duration.seconds + duration.nanos / 1e9


def _check_size(name: str, value: str, limit: int) -> None:
    if len(value.encode()) > limit:
        raise _invalid(f"{name} is longer than {limit} bytes")


def _invalid(text: str) -> ServiceError:
    return ServiceError(ErrorReason.ERROR_REASON_INVALID_REQUEST, text)
