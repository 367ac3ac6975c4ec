"""What became of an account, and how it is told: to people or to machines."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from howler.pool.v1.pool_service_pb2 import Account, AccountState

from server.commands.findings import Findings
from server.errors import ServiceError

_STATE: Final = "ACCOUNT_STATE_"


@dataclass(frozen=True, slots=True)
class Report:
    """What became of one account. `outcome` is a word; one that is refused has a `refusal` and no account."""

    outcome: str
    account: Account | None = None
    findings: Findings | None = None
    refusal: ServiceError | None = None


class Form(Protocol):
    """How reports are told. No line holds a secret."""

    def whole(self, report: Report) -> Iterable[str]:
        """Tell all of one account."""

    def entry(self, number: int, total: int, report: Report) -> str:
        """Tell of one account among many, in a line."""

    def table(self, accounts: Sequence[Account]) -> Iterable[str]:
        """Tell what is recorded of all accounts."""


def state_of(account: Account) -> str:
    """Return an account's state with its reason: `ACTIVE`, `EXPIRED (SESSION_EXPIRED)`."""
    state = AccountState.Name(account.state).removeprefix(_STATE)
    return f"{state} ({account.state_reason})" if account.state_reason else state
