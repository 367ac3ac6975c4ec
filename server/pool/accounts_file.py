"""Reads HOWLER_ACCOUNTS_FILE: a JSON list of accounts."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec

from server.errors import ServiceError
from server.pool.account import Credentials


class AccountsFileError(ValueError):
    """The file cannot be meant. The message is one line that names the file and the entry, and no secret."""


class _Entry(msgspec.Struct, forbid_unknown_fields=True):
    """An entry as it stands in the file. `mode` is the TypeScript proxy's, `name` for people only."""

    email: str = ""
    password: str = ""
    cookie: str = ""
    mode: str = "user"
    slots: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 0
    name: str = ""


_NULLABLE = ("email", "password", "cookie", "mode", "slots", "name")


def read_accounts(path: str | Path) -> list[Credentials]:
    """Return the accounts of the file, in its order. Raises AccountsFileError for the first mistake."""
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise AccountsFileError(f"{path} cannot be read: {error.strerror}") from None
    try:
        entries = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise AccountsFileError(f"{path} is not JSON: {error}") from None
    if not isinstance(entries, list):
        raise AccountsFileError(f"{path} must hold a list of accounts")
    accounts: list[Credentials] = []
    emails: dict[str, int] = {}
    for number, entry in enumerate(entries, start=1):
        account = _account(f"{path}, entry {number}", entry)
        if account.email and (first := emails.setdefault(account.email.casefold(), number)) != number:
            raise AccountsFileError(f"{path}, entry {number}: the e-mail of entry {first} again")
        accounts.append(account)
    return accounts


def _account(where: str, entry: Any) -> Credentials:
    if not isinstance(entry, Mapping):
        raise AccountsFileError(f"{where} must be an object")
    given = {key: value for key, value in entry.items() if not (key in _NULLABLE and value is None)}
    try:
        read = msgspec.convert(given, _Entry)
    except msgspec.ValidationError as error:
        raise AccountsFileError(f"{where}: {error}") from None
    if read.mode == "team":
        raise AccountsFileError(
            f"{where}: mode team is a team administrator's session, which cannot run tasks; "
            "give an account of mode user"
        )
    if read.mode not in ("", "user"):
        raise AccountsFileError(f"{where}: mode must be user")
    try:
        return Credentials(read.email, read.password, read.cookie, read.slots).checked()
    except ServiceError as error:
        raise AccountsFileError(f"{where}: {error.message}") from None
