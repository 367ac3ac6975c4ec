"""Reports as short aligned lines, for people."""

from collections.abc import Iterable, Sequence
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp
from howler.pool.v1.pool_service_pb2 import Account

from server.catalog.plans import plan_needed
from server.commands.findings import Findings
from server.commands.report import Report, state_of
from server.errors import ServiceError, reason_name
from server.upstream.platform import Subscription, Wallet

_UNTOLD: Final = "the platform does not tell"
_NONE_YET: Final = "no accounts yet: `python -m server accounts import --help` says how to add them"


class Lines:
    """Tells reports to people. See Form."""

    def whole(self, report: Report) -> Iterable[str]:
        """Tell a fact in each line; nothing of a refusal, which is said on stderr."""
        if report.account is None:
            return
        yield f"{report.outcome} {report.account.account_id}"
        for name, text in _facts(report.account, report.findings):
            yield f"  {name:<9}{text}"

    def entry(self, number: int, total: int, report: Report) -> str:
        """Tell the most important in one line, behind the entry's number."""
        return f"{number:>{len(str(total))}}/{total}  {_line(report)}"

    def table(self, accounts: Sequence[Account]) -> Iterable[str]:
        """Tell each account in a row."""
        if not accounts:
            yield _NONE_YET
            return
        rows = [("ID", "E-MAIL", "NAME", "STATE", "SLOTS", "LAST USED", "")]
        rows += [_row(account) for account in accounts]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            yield "  ".join(map(str.ljust, row, widths)).rstrip()


def _row(account: Account) -> tuple[str, str, str, str, str, str, str]:
    return (
        account.account_id,
        account.email or "-",
        account.name or "-",
        state_of(account),
        f"{account.slots_used}/{account.slots}",
        _minute(account.last_used_time) if account.HasField("last_used_time") else "never",
        ", ".join(_remarks(account)),
    )


def _remarks(account: Account) -> Iterable[str]:
    if not account.enabled:
        yield "disabled"
    for cooldown in account.cooldowns:
        yield f"cooling until {_minute(cooldown.until_time)} ({cooldown.reason})"
    if account.slots_closed:
        yield f"{account.slots_closed} of its slots closed for a moment"


def _line(report: Report) -> str:
    if report.refusal is not None:
        return f"{report.outcome:<8}  {reason_name(report.refusal.reason)}: {report.refusal.message}"
    assert report.account is not None
    account, found = report.account, report.findings
    parts = [account.email or account.name or "-", state_of(account), f"slots {account.slots}"]
    if found is not None:
        within, beyond = len(found.within_plan), len(found.beyond_plan)
        parts += [f"plan {found.plan or 'not told'}", f"{within} of {within + beyond} models"]
        if isinstance(found.wallet, Wallet):
            parts.append(f"balance {found.wallet.balance:,.2f}")
    return f"{report.outcome:<8}  {account.account_id}  {', '.join(parts)}"


def _facts(account: Account, found: Findings | None) -> Iterable[tuple[str, str]]:
    """Yield what is known of an account and what was found, each with its name."""
    email = f"<{account.email}>" if account.email else ""
    yield "user", f"{account.name} {email}".strip() or "-"
    yield "state", ", ".join([state_of(account), *_remarks(account)])
    if account.HasField("session_expire_time"):
        yield "session", f"ends by {account.session_expire_time.ToDatetime():%Y-%m-%d}"
    if found is None:
        yield "slots", f"{account.slots_used} of {account.slots} in use"
        return
    yield "plan", _plan(found.subscription)
    yield "slots", _slots(account, found)
    yield "balance", _balance(found.wallet)
    if isinstance(found.models, ServiceError):
        yield "models", f"not told: {found.models.message}"
        return
    yield "models", f"{len(found.within_plan)} of {len(found.models)} may be used:"
    for model in found.within_plan:
        yield "", model.id
    for model in found.beyond_plan:
        yield "", f"{model.id} (needs the plan {plan_needed(model)})"


def _plan(told: Subscription | ServiceError | None) -> str:
    match told:
        case Subscription(plan, expires, auto_renew):
            until = f", until {expires:%Y-%m-%d}" if expires else ""
            return f"{plan or _UNTOLD}{until}{', renews itself' if auto_renew else ''}"
        case ServiceError():
            return f"not told: {told.message}"
        case None:
            return _UNTOLD


def _slots(account: Account, found: Findings) -> str:
    used = f"{account.slots_used} of {account.slots} in use"
    usual = found.tasks_at_a_time
    if usual is None:
        return f"{used}; how many tasks the platform allows at a time is not told"
    if account.slots > usual:
        return (
            f"{used}; its plan usually allows {usual} tasks at a time: import it again with --slots {usual}"
        )
    return f"{used}; its plan usually allows {usual} tasks at a time"


def _balance(told: Wallet | ServiceError | None) -> str:
    match told:
        case Wallet(balance, tokens, limit):
            daily = f"; {tokens:,} of {limit:,} tokens left today" if limit else ""
            return f"{balance:,.2f}{daily}"
        case ServiceError():
            return f"not told: {told.message}"
        case None:
            return _UNTOLD


def _minute(moment: Timestamp) -> str:
    return f"{moment.ToDatetime():%Y-%m-%d %H:%M}Z"
