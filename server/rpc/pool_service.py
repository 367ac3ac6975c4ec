"""PoolService: checks what callers say and passes it to the pool."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any, Final, TypeAlias

import grpc
from howler.pool.v1 import pool_service_pb2 as pb
from howler.pool.v1.pool_service_pb2_grpc import PoolServiceServicer

from server.errors import ServiceError, reason_name
from server.pool.account import AccountId, Credentials
from server.pool.accounts_file import AccountsListError, parse_accounts
from server.pool.pool import Pool
from server.rpc.checks import check_priority, check_size, invalid, seconds_of

_Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"  # generic in the stubs alone
_MAX_NAME_BYTES: Final = 128
_MAX_CREDENTIAL_BYTES: Final = 4096
_MAX_LIST_BYTES: Final = 1 << 20
_MIN_TTL, _MAX_TTL = 1.0, 3600.0  # seconds
_MAX_SLOTS: Final = 1000


class PoolService(PoolServiceServicer):
    """The door to the pool. Credentials go in and never come out."""

    def __init__(self, pool: Pool, queue_timeout: float, lease_ttl: float) -> None:
        """`queue_timeout` (seconds) is how long a caller waits for a lease, by default and at most.

        `lease_ttl` is how long it lasts by default.
        """
        self._pool = pool
        self._queue_timeout = queue_timeout
        self._lease_ttl = lease_ttl

    async def Acquire(self, request: pb.AcquireRequest, context: _Context) -> pb.AcquireResponse:
        """Wait for a lease and grant it."""
        if request.mode not in pb.LeaseMode.values():
            raise invalid("mode is none of LeaseMode")
        for name in ("holder", "purpose", "account_id"):
            check_size(name, getattr(request, name), _MAX_NAME_BYTES)
        check_priority("priority", request.priority)
        wait = self._queue_timeout
        if request.HasField("wait"):
            wait = min(seconds_of(request.wait), wait)
            if wait < 0:
                raise invalid("wait must not be negative")
        lease = await self._pool.acquire(
            request.mode,
            holder=request.holder,
            purpose=request.purpose,
            wait=wait,
            ttl=self._ttl(request),
            account_id=AccountId(request.account_id) if request.account_id else None,
            place=self._pool.place(request.priority),
        )
        return pb.AcquireResponse(lease=lease)

    async def Renew(self, request: pb.RenewRequest, context: _Context) -> pb.RenewResponse:
        """Move a lease's end."""
        lease = await self._pool.renew(request.lease_id, request.token, self._ttl(request))
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
            check_size(name, getattr(request, name), _MAX_CREDENTIAL_BYTES)
        if not 0 <= request.slots <= _MAX_SLOTS:
            raise invalid(f"slots must be between 0 and {_MAX_SLOTS}")
        account, created = await self._pool.import_account(
            Credentials(request.email, request.password, request.cookie, request.slots)
        )
        return pb.ImportAccountResponse(account=account, created=created)

    async def ImportAccounts(
        self, request: pb.ImportAccountsRequest, context: _Context
    ) -> pb.ImportAccountsResponse:
        """Try the credentials of a list on the platform and keep those that it takes."""
        check_size("json", request.json, _MAX_LIST_BYTES)
        try:
            entries = parse_accounts(request.json)
        except AccountsListError as error:
            raise invalid(f"json {error}") from None
        results = await self._pool.import_accounts(entries)
        return pb.ImportAccountsResponse(results=map(_imported, results))

    async def EnableAccount(
        self, request: pb.EnableAccountRequest, context: _Context
    ) -> pb.EnableAccountResponse:
        """Let an account be granted."""
        account = await self._pool.enable_account(AccountId(request.account_id))
        return pb.EnableAccountResponse(account=account)

    async def DisableAccount(
        self, request: pb.DisableAccountRequest, context: _Context
    ) -> pb.DisableAccountResponse:
        """Keep an account from being granted."""
        account = await self._pool.disable_account(AccountId(request.account_id))
        return pb.DisableAccountResponse(account=account)

    async def CheckAccount(
        self, request: pb.CheckAccountRequest, context: _Context
    ) -> pb.CheckAccountResponse:
        """Ask the platform about an account's session."""
        account = await self._pool.check_account(AccountId(request.account_id))
        return pb.CheckAccountResponse(account=account)

    async def ResetCooldown(
        self, request: pb.ResetCooldownRequest, context: _Context
    ) -> pb.ResetCooldownResponse:
        """End cooldowns."""
        if request.upstream_model_id and not request.account_id:
            raise invalid("upstream_model_id needs its account_id")
        ended = await self._pool.reset_cooldown(AccountId(request.account_id), request.upstream_model_id)
        return pb.ResetCooldownResponse(cooldowns=ended)

    async def RemoveAccount(
        self, request: pb.RemoveAccountRequest, context: _Context
    ) -> pb.RemoveAccountResponse:
        """Stop an account's tasks and forget it."""
        await self._pool.remove_account(AccountId(request.account_id))
        return pb.RemoveAccountResponse()

    async def Watch(self, request: pb.WatchRequest, context: _Context) -> AsyncIterator[pb.WatchResponse]:
        """Tell what changes in the pool."""
        async with aclosing(self._pool.watch(request.after)) as events:
            async for event in events:
                yield event

    def _ttl(self, request: pb.AcquireRequest | pb.RenewRequest) -> float:
        """Return how long the lease shall last, in seconds."""
        if not request.HasField("ttl"):
            return self._lease_ttl
        ttl = seconds_of(request.ttl)
        if not _MIN_TTL <= ttl <= _MAX_TTL:
            raise invalid("ttl must be between 1 s and 1 h")
        return ttl


def _imported(result: tuple[pb.Account, bool] | ServiceError) -> pb.ImportedAccount:
    if isinstance(result, ServiceError):
        return pb.ImportedAccount(refusal=reason_name(result.reason), message=result.message)
    account, created = result
    return pb.ImportedAccount(account=account, created=created)
