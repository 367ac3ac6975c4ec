"""One task: its row, its machine and its agent (protocol §5)."""

import asyncio
from dataclasses import dataclass, field
from typing import Final

from sandbox.wire.body import NIL_UUID
from sandbox.wire.prompt import Attachment, Prompt
from sandbox.world.accounts import Account
from sandbox.world.catalog import NEVER, Image, Model
from sandbox.world.channel import Channel
from sandbox.world.machine import Machine
from sandbox.world.session import AgentSession

ACTIVE: Final = frozenset({"pending", "processing"})  # what counts against concurrency (§9)


@dataclass(frozen=True, slots=True)
class Order:
    """What create was asked for, validated."""

    content: str
    cli_name: str
    model: Model
    image: Image
    host: dict[str, object]
    system_prompt: str = ""
    task_type: str = ""
    sub_type: str = ""
    core: int = 2
    memory: int = 8_589_934_592  # bytes; for display only
    repo_url: str = ""
    branch: str = ""
    repo_filename: str = ""
    attachments: tuple[Attachment, ...] = ()
    skill_ids: tuple[str, ...] | None = None
    plugin_ids: tuple[str, ...] | None = None

    @property
    def prompt(self) -> Prompt:
        """The first turn's prompt."""
        return Prompt(self.content, self.attachments)


@dataclass(slots=True)
class Task:
    """A task. Times are unix seconds; `machine` and `agent` are None for a stray one (§5.2)."""

    id: str
    account: Account
    order: Order
    created_at: int
    model: Model
    channel: Channel
    status: str = "pending"
    title: str = ""
    last_active_at: int = 0
    completed_at: int = NEVER
    is_deleted: bool = False
    auto_approve: bool = False
    machine: Machine | None = None
    agent: AgentSession | None = None
    client_ips: list[str] = field(default_factory=list)
    control_sockets: int = 0
    boot: asyncio.Task[None] | None = None
    sleep: asyncio.TimerHandle | None = None
    recycle: asyncio.TimerHandle | None = None

    @property
    def is_active(self) -> bool:
        """Tell whether the task holds a slot."""
        return self.status in ACTIVE and not self.is_deleted

    def created(self) -> dict[str, object]:
        """Return the Task object of create's answer: its machine does not stand in it yet (§5.1)."""
        fields: dict[str, object] = {
            "id": self.id,
            "model": self.model.brief(),
            "image": self.order.image.fields(),
            "branch": self.order.branch or "master",
            "cli_name": self.order.cli_name,
            "user_id": self.account.id,
            "type": self.order.task_type,
            "sub_type": self.order.sub_type,
            "content": self.order.content,
            "title": self.title,
            "summary": "",
            "status": self.status,
            "log_store": "clickhouse",
            "virtualmachine": None,
            "created_at": self.created_at,
            "last_active_at": self.last_active_at or self.created_at,
            "completed_at": self.completed_at,
        }
        optional = {"repo_url": self.order.repo_url, "repo_filename": self.order.repo_filename}
        return fields | {name: value for name, value in optional.items() if value}

    def listed(self, now: int) -> dict[str, object]:
        """Return the task as lists show it."""
        machine = self.machine.fields(now) if self.machine else None
        return self.created() | {"virtualmachine": machine}

    def told(self, now: int) -> dict[str, object]:
        """Return the Task object of info (§5.3)."""
        extra = {
            "project_id": NIL_UUID,
            "issue_id": NIL_UUID,
            "skill_ids": None if self.order.skill_ids is None else list(self.order.skill_ids),
            "plugin_ids": None if self.order.plugin_ids is None else list(self.order.plugin_ids),
        }
        stats = self.agent.told_stats() if self.agent else None
        return self.listed(now) | {"extra": extra} | ({"stats": stats.fields()} if stats else {})
