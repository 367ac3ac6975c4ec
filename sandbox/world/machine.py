"""The VM of a task: conditions, power, files and ports (protocol §5.3)."""

import enum
from dataclasses import dataclass, field
from typing import Final

from sandbox.world.files import Repository

PENDING_SECONDS: Final = 180  # a VM that never connected counts as pending so long (§9)


class Power(enum.Enum):
    """What is known of the machine's agent."""

    NEVER_ON = "never on"
    ON = "on"
    LOST = "lost"
    RECYCLED = "recycled"


class Progress(enum.IntEnum):
    """`status` of a condition."""

    UNKNOWN = 0
    IN_PROGRESS = 1
    DONE = 2
    FAILED = 3


@dataclass(slots=True)
class Machine:
    """A VM. `number` is its uuid, times are unix seconds."""

    number: str
    created_at: int
    host: dict[str, object]
    power: Power = Power.NEVER_ON
    conditions: list[dict[str, object]] = field(default_factory=list)
    repository: Repository = field(default_factory=Repository)
    ports: list[dict[str, object]] = field(default_factory=list)

    @property
    def id(self) -> str:
        """The VM's id."""
        return f"agent_{self.number}"

    @property
    def is_on(self) -> bool:
        """Tell whether an agent can run: connected and not asleep."""
        return self.power is Power.ON and not self.is_asleep

    @property
    def is_asleep(self) -> bool:
        """Tell whether the machine hibernates."""
        return bool(self.conditions) and self.conditions[-1]["type"] == "Hibernated"

    def condition(self, kind: str, status: Progress, at: int, progress: int = 0, message: str = "") -> None:
        """Make this the current condition, replacing the last one of the same kind."""
        if self.conditions and self.conditions[-1]["type"] == kind:
            self.conditions.pop()
        self.conditions.append(
            {
                "type": kind,
                "status": int(status),
                "reason": kind if status is not Progress.FAILED else "BootFailed",
                "message": message,
                "last_transition_time": at,
                "progress": progress,
            }
        )

    def status(self, now: int) -> str:
        """Return pending, online, offline or hibernated, as of unix second `now`."""
        if self.power is Power.RECYCLED:
            return "offline"
        if self.is_on:
            return "online"
        current = self.conditions[-1]["type"] if self.conditions else ""
        if current == "Failed":
            return "offline"
        if current == "Hibernated":
            return "hibernated"
        pending = self.power is Power.NEVER_ON and now - self.created_at < PENDING_SECONDS
        return "pending" if pending else "offline"

    def open_port(self, port: int, at: int) -> None:
        """List a port as forwarded."""
        self.ports.append(
            {
                "port": port,
                "status": "connected",
                "process": "node",
                "forward_id": f"fwd_{port}",
                "access_url": f"http://{port}-{self.number[:8]}.preview.sandbox.example",
                "created_at": at,
                "success": True,
                "whitelist_ips": [],
            }
        )

    def fields(self, now: int) -> dict[str, object]:
        """Return the VirtualMachine object."""
        return {
            "id": self.id,
            "hostname": f"task-{self.number[:8]}",
            "os": "linux",
            "cores": 2,
            "memory": 8_589_934_592,
            "status": self.status(now),
            "name": f"task-{self.number}",
            "life_time_seconds": 0,
            "host": self.host,
            "version": "v3.1.0",
            "created_at": self.created_at,
            "conditions": list(self.conditions) or None,
            "ports": list(self.ports),
        }
