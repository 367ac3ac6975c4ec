"""`accounts …`: the same pool and the same platform as the server's, for as long as the command takes."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final

from howler.pool.v1.pool_service_pb2 import Account, AccountState

from server.commands import orders
from server.commands.entries import Entry
from server.commands.findings import Findings, look
from server.commands.report import Form, Report, state_of
from server.errors import ServiceError
from server.pool.account import AccountId
from server.pool.pool import Pool
from server.upstream.platform import Platform

_AT_ONCE: Final = 4  # accounts that are tried at a time
_MEND: Final = "`python -m server accounts import --cookie -` gives it a new session"


class Refused(Exception):
    """Something was refused; the message is one line for people."""


class Accounts:
    """Carries out orders on accounts. `say` takes what shall be read on stdout, line by line.

    Every order raises Refused, and ServiceError where the platform or the pool refuses it as a whole.
    """

    def __init__(self, pool: Pool, platform: Platform, form: Form, say: Callable[[str], None]) -> None:
        self._pool = pool
        self._platform = platform
        self._form = form
        self._say = say

    async def carry_out(self, order: orders.OnAccounts, entries: Sequence[Entry]) -> None:
        """Carry out an order; `entries` are what is to be imported."""
        match order:
            case orders.Import():
                await self._import(entries)
            case orders.List():
                self._say_all(self._form.table(await self._pool.accounts()))
            case orders.Check():
                await (self._check(order.account_id) if order.account_id else self._check_all())
            case orders.Enable(account_id):
                await self._known(account_id)
                self._say_one(Report("enabled", await self._pool.enable_account(account_id)))
            case orders.Disable(account_id):
                await self._known(account_id)
                self._say_one(Report("disabled", await self._pool.disable_account(account_id)))
            case orders.Remove(account_id):
                account = await self._known(account_id)
                await self._pool.remove_account(account_id)
                self._say_one(Report("removed", account))

    async def _import(self, entries: Sequence[Entry]) -> None:
        if not entries:
            raise Refused("the list holds no account")
        if len(entries) == 1:
            self._say_one(await self._import_one(entries[0]))
            return
        refused = await self._each(
            [self._import_one(entry) for entry in entries], lambda report: report.refusal is not None
        )
        if refused:
            raise Refused(f"{refused} of {len(entries)} accounts were refused")

    async def _import_one(self, entry: Entry) -> Report:
        if isinstance(entry, ServiceError):
            return Report("refused", refusal=entry)
        try:
            account, created = await self._pool.import_account(entry)
        except ServiceError as error:
            return Report("refused", refusal=error)
        return Report("imported" if created else "renewed", account, await self._look(account))

    async def _check(self, account_id: AccountId) -> None:
        await self._known(account_id)
        report = await self._check_one(account_id)
        self._say_one(report)
        if _broken(report):
            state = f" ({state_of(report.account)})" if report.account else ""
            raise Refused(f"{account_id} has no session that works{state}: {_MEND}")

    async def _check_all(self) -> None:
        accounts = await self._pool.accounts()
        if not accounts:
            self._say_all(self._form.table(accounts))
            return
        broken = await self._each(
            [self._check_one(AccountId(account.account_id)) for account in accounts], _broken
        )
        if broken:
            raise Refused(f"{broken} of {len(accounts)} accounts have no session that works: {_MEND}")

    async def _check_one(self, account_id: AccountId) -> Report:
        try:
            account = await self._pool.check_account(account_id)
        except ServiceError as error:  # it was removed meanwhile
            return Report("refused", refusal=error)
        return Report("checked", account, await self._look(account))

    async def _look(self, account: Account) -> Findings | None:
        """Return what the platform says of an account, None where its session does not work."""
        if account.state != AccountState.ACCOUNT_STATE_ACTIVE:
            return None
        try:
            session = self._pool.session(AccountId(account.account_id))
        except ServiceError:  # a server found out otherwise meanwhile
            return None
        return await look(self._platform, session)

    async def _each(self, works: Sequence[Awaitable[Report]], wrong: Callable[[Report], bool]) -> int:
        """Do all, a few at a time, telling each when it is done; return how many went wrong."""
        gate = asyncio.Semaphore(_AT_ONCE)
        wrongs = 0

        async def one(number: int, work: Awaitable[Report]) -> None:
            nonlocal wrongs
            async with gate:
                report = await work
            wrongs += wrong(report)
            self._say(self._form.entry(number, len(works), report))

        await asyncio.gather(*(one(number, work) for number, work in enumerate(works, start=1)))
        return wrongs

    async def _known(self, account_id: AccountId) -> Account:
        """Return an account. Raises Refused where there is none, with what shows those that there are."""
        for account in await self._pool.accounts():
            if account.account_id == account_id:
                return account
        raise Refused(f"there is no account {account_id}: `python -m server accounts list` shows all")

    def _say_one(self, report: Report) -> None:
        """Tell of one account. Raises the refusal of one that was refused, once machines have read it."""
        self._say_all(self._form.whole(report))
        if report.refusal is not None:
            raise report.refusal

    def _say_all(self, lines: Iterable[str]) -> None:
        for line in lines:
            self._say(line)


def _broken(report: Report) -> bool:
    return report.account is None or report.account.state != AccountState.ACCOUNT_STATE_ACTIVE
