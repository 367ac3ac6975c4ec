"""Reads lists of accounts, as HOWLER_ACCOUNTS_FILE names and ImportAccounts takes: JSON."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
from howler.error.v1.error_reason_pb2 import ErrorReason

from server.errors import ServiceError
from server.pool.account import Credentials

_E = ErrorReason


class AccountsFileError(ValueError):
    """The file cannot be meant. The message is one line that names the file and the entry, and no secret."""


class AccountsListError(ValueError):
    """The text is no list of accounts at all. The message is one line without the text."""


class _Entry(msgspec.Struct, forbid_unknown_fields=True):
    """An entry as it stands in the list. `mode` is the TypeScript proxy's, `name` for people only."""

    email: str = ""
    password: str = ""
    cookie: str = ""
    mode: str = "user"
    slots: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 0
    name: str = ""


_NULLABLE: Final = ("email", "password", "cookie", "mode", "slots", "name")


def read_accounts(path: str | Path) -> list[Credentials]:
    """Return the accounts of the file, in its order. Raises AccountsFileError for the first mistake."""
    try:
        entries = parse_accounts(Path(path).read_bytes())
    except OSError as error:
        raise AccountsFileError(f"{path} cannot be read: {error.strerror}") from None
    except AccountsListError as error:
        raise AccountsFileError(f"{path} {error}") from None
    accounts: list[Credentials] = []
    for number, entry in enumerate(entries, start=1):
        if isinstance(entry, ServiceError):
            raise AccountsFileError(f"{path}, entry {number}: {entry.message}")
        accounts.append(entry)
    return accounts


def parse_accounts(text: bytes | str) -> list[Credentials | ServiceError]:
    """Return what each entry of a JSON list says, checked, or why it is refused, in the list's order.

    An entry is refused with INVALID_REQUEST, or with TEAM_SESSION where it is a team administrator's, which
    cannot run tasks (upstream-protocol §2.1). Raises AccountsListError where this is no list.
    """
    try:
        entries = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise AccountsListError(f"is not JSON: {error}") from None
    if not isinstance(entries, list):
        raise AccountsListError("must hold a list of accounts")
    emails: dict[str, int] = {}
    return [_checked(number, entry, emails) for number, entry in enumerate(entries, start=1)]


def _checked(number: int, entry: Any, emails: dict[str, int]) -> Credentials | ServiceError:
    """Read an entry; `emails` holds in which entry each e-mail came first."""
    try:
        account = _account(entry)
    except ServiceError as error:
        return error
    if account.email and (first := emails.setdefault(account.email.casefold(), number)) != number:
        return _invalid(f"the e-mail of entry {first} again")
    return account


def _account(entry: Any) -> Credentials:
    if not isinstance(entry, Mapping):
        raise _invalid("must be an object")
    given = {key: value for key, value in entry.items() if not (key in _NULLABLE and value is None)}
    try:
        read = msgspec.convert(given, _Entry)
    except msgspec.ValidationError as error:
        raise _invalid(str(error)) from None
    if read.mode == "team":
        raise ServiceError(
            _E.ERROR_REASON_TEAM_SESSION,
            "mode team is a team administrator's session, which cannot run tasks; give one of mode user",
        )
    if read.mode not in ("", "user"):
        raise _invalid("mode must be user")
    return Credentials(read.email, read.password, read.cookie, read.slots).checked()


def _invalid(text: str) -> ServiceError:
    return ServiceError(_E.ERROR_REASON_INVALID_REQUEST, text)
