"""The sandbox's settings: HOWLER_SANDBOX_* and nothing else.

docs/configuration.md lists them; a test compares.
"""

import ipaddress
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final, Literal, get_args

_PREFIX: Final = "HOWLER_SANDBOX_"
_ACCOUNTS: Final = Path(__file__).with_name("accounts.json")


class SettingsError(ValueError):
    """A setting is wrong; the message is one line that names it."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What can be set. Each field is the setting HOWLER_SANDBOX_<NAME>."""

    addr: str = "127.0.0.1:8090"  # host:port; port 0 takes a free one
    accounts: str = str(_ACCOUNTS)  # the accounts file
    basic_auth: str = ""  # user:password demanded by the proxy in front; empty = none
    dialect: Literal["native", "text", "legacy"] = "native"  # of its sockets (protocol §10)
    runs_content: Literal["true", "false"] = "true"  # whether a task's content runs as its first turn
    storage: Literal["true", "false"] = "true"  # whether there is an object storage for uploads
    boot_ms: float = 300.0  # from create until a task is `processing`
    ping_s: float = 10.0  # between two JSON pings on a socket
    sleep_s: float = 900.0  # idle time after which a machine hibernates
    recycle_s: float = 259_200.0  # idle time after which a machine is recycled
    question_s: float = 300.0  # after which an unanswered question expires

    @property
    def host(self) -> str:
        """The address to listen on."""
        return self.addr.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        """The port to listen on, 0 for a free one."""
        return int(self.addr.rpartition(":")[2])


def read(environ: Mapping[str, str | None]) -> Settings:
    """Read the settings; SettingsError if one is unknown or wrong. An empty one counts as not said."""
    known = {_PREFIX + field.name.upper(): field for field in fields(Settings)}
    values: dict[str, str | float] = {}
    for name, text in environ.items():
        if not name.startswith(_PREFIX):
            continue
        if name not in known:
            raise SettingsError(f"{name}: no such setting; known: {', '.join(sorted(known))}")
        if not text:
            continue
        field = known[name]
        values[field.name] = _seconds(name, text) if field.type is float else _word(name, text, field.type)
    settings = Settings(**values)  # type: ignore[arg-type]  # the names and types come from its own fields
    _check_addr(settings.addr)
    if settings.ping_s == 0:
        raise SettingsError(f"{_PREFIX}PING_S: pings cannot be 0 s apart; the fault stop_pings ends them")
    return settings


def _word(name: str, text: str, kind: object) -> str:
    """Return the text of a setting, one of its choices where it has some."""
    choices = get_args(kind)
    if choices and text not in choices:
        raise SettingsError(f"{name}: {text!r} is none of {', '.join(choices)}")
    return text


def _seconds(name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise SettingsError(f"{name}: {text!r} is not a number of 0 or more")
    return value


def _check_addr(addr: str) -> None:
    host, _, port = addr.rpartition(":")
    try:
        if host != "localhost":
            ipaddress.ip_address(host.strip("[]"))
        valid = 0 <= int(port) <= 65_535
    except ValueError:
        valid = False
    if not valid:
        raise SettingsError(f"{_PREFIX}ADDR: {addr!r} is not host:port with a numeric host")
