"""The command line, read into types: which command is meant, and with what."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from server.pool.account import AccountId

_COOKIE_HELP: Final = (
    "an account by its session cookie, the value of monkeycode_ai_session; - reads it from stdin. "
    "Prefer that, or --file: every user of this machine can see the arguments of its processes"
)
_FILE_HELP: Final = (
    "a JSON list of accounts with email, password, cookie and slots, as of HOWLER_ACCOUNTS_FILE; - is stdin"
)
_EPILOG: Final = (
    "The settings are those of the server (docs/configuration.md). Exit code 1 means that something was "
    "refused, 2 that a setting or an argument is wrong."
)


@dataclass(frozen=True, slots=True)
class Serve:
    """Serve gRPC until a signal ends it."""


@dataclass(frozen=True, slots=True)
class Import:
    """Import one account by its cookie, or a list from a file. `-` stands for stdin.

    `stdin` means that stdin holds either: what begins with a bracket is a list.
    """

    cookie: str = field(default="", repr=False)
    file: str = ""
    stdin: bool = False
    slots: int = 0


@dataclass(frozen=True, slots=True)
class List:
    """List the accounts."""


@dataclass(frozen=True, slots=True)
class Check:
    """Ask the platform about an account, or about all."""

    account_id: AccountId | None


@dataclass(frozen=True, slots=True)
class Enable:
    """Let an account be granted again."""

    account_id: AccountId


@dataclass(frozen=True, slots=True)
class Disable:
    """Keep an account from being granted."""

    account_id: AccountId


@dataclass(frozen=True, slots=True)
class Remove:
    """Stop an account's tasks and forget it."""

    account_id: AccountId


@dataclass(frozen=True, slots=True)
class Rotate:
    """Seal every secret with a new key."""


OnAccounts = Import | List | Check | Enable | Disable | Remove
Command = Serve | OnAccounts | Rotate


@dataclass(frozen=True, slots=True)
class Order:
    """A command, and whether it shall be answered for machines: one JSON object per line."""

    command: Command
    json: bool = False


def read_order(arguments: Sequence[str]) -> Order:
    """Return what the arguments mean. Ends the process, as argparse does, where they mean nothing."""
    parser = _parser()
    given, rest = parser.parse_known_args(arguments)
    if rest:  # one of them may be a cookie, which is not for the terminal's history of errors
        parser.error(f"{len(rest)} more than the command takes; --help tells what it takes")
    as_json = bool(getattr(given, "json", False))
    match getattr(given, "group", None), getattr(given, "command", None):
        case "accounts", "import":
            return Order(_import(given, parser), as_json)
        case "accounts", "list":
            return Order(List(), as_json)
        case "accounts", "check":
            return Order(Check(AccountId(given.account_id) if given.account_id else None), as_json)
        case "accounts", "enable":
            return Order(Enable(AccountId(given.account_id)), as_json)
        case "accounts", "disable":
            return Order(Disable(AccountId(given.account_id)), as_json)
        case "accounts", "remove":
            return Order(Remove(AccountId(given.account_id)), as_json)
        case "secrets", _:
            return Order(Rotate(), as_json)
        case _:
            return Order(Serve())


def _import(given: argparse.Namespace, parser: argparse.ArgumentParser) -> Import:
    if given.stdin not in (None, "-"):
        parser.error(
            "accounts import: a cookie goes behind --cookie, a file behind --file, or both come by -"
        )
    if sum(bool(one) for one in (given.cookie, given.file, given.stdin)) != 1:
        parser.error("accounts import: give one of --cookie, --file and -")
    if given.slots and given.file:
        parser.error("accounts import: --slots goes with a cookie; in a list each account has its own")
    return Import(given.cookie or "", given.file or "", bool(given.stdin), given.slots)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m server", description="Howler's gRPC server and its accounts.", epilog=_EPILOG
    )
    groups = parser.add_subparsers(dest="group", metavar="COMMAND")
    groups.add_parser("serve", help="serve gRPC (what happens without a command)", epilog=_EPILOG)
    accounts = groups.add_parser("accounts", help="see to the accounts", epilog=_EPILOG)
    _accounts(accounts.add_subparsers(dest="command", metavar="COMMAND", required=True))
    secrets = groups.add_parser("secrets", help="see to the key that seals cookies and passwords")
    rotate = secrets.add_subparsers(dest="command", metavar="COMMAND", required=True).add_parser(
        "rotate",
        help="seal everything with a new key",
        description="Make a new key in HOWLER_SECRETS_KEY_FILE, seal every cookie and password with it, and "
        "drop the old key; servers go on meanwhile. Where HOWLER_SECRETS_KEY is set, seal everything with "
        "the first of its keys.",
    )
    _machines(rotate)
    return parser


def _accounts(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    adding = commands.add_parser(
        "import",
        help="try accounts on the platform and keep them",
        description="Try accounts on the platform, keep those that it takes, and say what was found of each.",
    )
    adding.add_argument("--cookie", metavar="VALUE", help=_COOKIE_HELP)
    adding.add_argument("--file", metavar="PATH", help=_FILE_HELP)
    adding.add_argument("stdin", nargs="?", metavar="-", help="stdin: a cookie, or a JSON list as of --file")
    adding.add_argument(
        "--slots",
        type=_slots,
        default=0,
        metavar="N",
        help="how many active tasks the account may have, with a cookie (default: HOWLER_ACCOUNT_SLOTS)",
    )
    _machines(adding)
    _machines(commands.add_parser("list", help="list the accounts"))
    checking = commands.add_parser("check", help="ask the platform about an account, or about all")
    checking.add_argument("account_id", nargs="?", metavar="ID", help="as `accounts list` shows it")
    _machines(checking)
    for name, text in (
        ("enable", "let an account be used again"),
        ("disable", "keep an account from being used; turns that run go on"),
        ("remove", "stop an account's tasks and forget it"),
    ):
        one = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        one.add_argument("account_id", metavar="ID", help="as `accounts list` shows it")
        _machines(one)


def _machines(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="answer with one JSON object per line")


def _slots(text: str) -> int:
    slots = int(text)
    if not 1 <= slots <= 1000:
        raise ValueError(text)
    return slots
