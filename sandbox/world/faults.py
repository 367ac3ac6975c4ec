"""The faults that a test can order, as they stand in PUT /__sandbox/faults."""

from fnmatch import fnmatchcase
from typing import Literal

from msgspec import UNSET, Struct, UnsetType


class SocketFault(Struct, forbid_unknown_fields=True, frozen=True):
    """What goes wrong on a socket that opens from now on."""

    mode: Literal["attach", "new"] | None = None  # only sockets of this mode; null = both
    sockets: int | None = None  # only for the next so many sockets; null = all
    cut_after_bytes: int | None = None  # WebSocket bytes sent, frame headers included; may cut inside a frame
    cut_after_frames: int | None = None
    cut: Literal["fin", "rst", "close"] = "fin"  # close = WebSocket close 1011
    drop_task_ended: Literal["live", "always"] | None = None  # always = in replays too
    close_at_task_ended: bool = False  # the socket is cut where task-ended would stand
    delay_ms: float = 0  # before each frame
    stop_pings: bool = False
    attach_fails: bool = False  # "failed to attach stream", pings go on (§6.10)
    subscribe_fails: bool = False  # "failed to subscribe realtime stream", pings stop


class RouteFault(Struct, forbid_unknown_fields=True):
    """What goes wrong with the next `times` requests of a route."""

    path: str  # may hold * as in a file pattern
    method: str = "*"
    account: str = "*"  # the e-mail of the session's user, "" of a request without one
    times: int = 1
    when: Literal["before", "after"] = "before"  # the route's effect
    do: Literal["status", "code", "unauthorized", "hang", "drop"] = "status"
    status: int = 500
    code: int = 500
    message: str = ""
    seconds: float = 3600  # of a hang, after which the connection drops

    def matches(self, method: str, path: str, account: str) -> bool:
        """Tell whether a request of an account meets this fault."""
        return (
            self.times > 0
            and fnmatchcase(method, self.method)
            and fnmatchcase(path, self.path)
            and fnmatchcase(account, self.account)
        )


class PlatformFault(Struct, forbid_unknown_fields=True, frozen=True):
    """How the platform as a whole behaves; the defaults are the usual ways."""

    no_public_host: bool = False
    captcha: bool = False
    fold: bool = True  # false = replays hold each chunk as it was told
    fold_seed: int | None = None  # each read merges neighbours at random, in any way that §6.8 allows
    repeat_input: bool = True  # the live stream repeats user-input with a seq (§6.7, 3)
    log_first_input: bool = True  # false = the first turn's input is synthesized (§6.8, 1)
    ingest_lag_ms: float = 0  # before a told frame can be replayed: a gap at the seam
    empty_calls: bool = False  # a control call is answered with `null`, whichever it was (§8)
    silent_stop: bool = False  # a stopped task's open sockets get no task-ended
    stats_lag_ms: float | None = None  # before info tells what a turn used (§5.3); null = never


class AccountFault(Struct, forbid_unknown_fields=True, frozen=True):
    """Done at once: e-mails, or "*" for all; `plans` maps them to plans."""

    expire: list[str] = []
    block: list[str] = []  # the next login answers 10605; sessions live on (§2.1)
    plans: dict[str, str] = {}  # basic, pro, ultra, flagship (§3.5)


class MachineFault(Struct, forbid_unknown_fields=True, frozen=True):
    """Done at once: task ids, or "*" for all."""

    kill: list[str] = []  # the machine is lost: offline, nothing is told
    hibernate: list[str] = []


class FaultOrder(Struct, forbid_unknown_fields=True):
    """The body of PUT /__sandbox/faults: a part that is absent stays as it was."""

    stream: SocketFault | UnsetType = UNSET
    control: SocketFault | UnsetType = UNSET
    routes: list[RouteFault] | UnsetType = UNSET
    platform: PlatformFault | UnsetType = UNSET
    accounts: AccountFault | UnsetType = UNSET
    machines: MachineFault | UnsetType = UNSET


class Faults:
    """The faults in force."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Let everything go well again."""
        self._sockets: dict[str, SocketFault] = {}
        self._left: dict[str, int | None] = {}
        self._routes: list[RouteFault] = []
        self.platform = PlatformFault()

    def order(self, order: FaultOrder) -> None:
        """Put the standing parts of an order in force."""
        for name, part in (("stream", order.stream), ("control", order.control)):
            if isinstance(part, SocketFault):
                self._sockets[name] = part
                self._left[name] = part.sockets
        if isinstance(order.routes, list):
            self._routes = order.routes
        if isinstance(order.platform, PlatformFault):
            self.platform = order.platform

    def for_socket(self, name: Literal["stream", "control"], mode: str) -> SocketFault:
        """Return what goes wrong on a socket that opens now."""
        fault = self._sockets.get(name)
        left = self._left.get(name)
        if fault is None or left == 0 or fault.mode not in {None, mode}:
            return SocketFault()
        if left is not None:
            self._left[name] = left - 1
        return fault

    def for_request(self, method: str, path: str, account: str) -> RouteFault | None:
        """Return the fault that a request meets, and count it."""
        for fault in self._routes:
            if fault.matches(method, path, account):
                fault.times -= 1
                return fault
        return None
