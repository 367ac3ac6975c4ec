"""What turns work with."""

from dataclasses import dataclass
from typing import Protocol

from howler.task.v1.task_service_pb2 import Task

from server.catalog.cache import Catalog
from server.pool.account import TaskId
from server.pool.pool import Pool
from server.store.conversations import Conversations
from server.store.turns import TurnStore
from server.turn.counting import Counting
from server.turn.create import Creator
from server.turn.dialect import Spoken
from server.turn.journal import Journal
from server.turn.limits import Limits
from server.turn.speakers import Speakers
from server.turn.stopper import Stopper
from server.upstream.platform import Platform


class Records(Protocol):
    """What turns read of the store; what they write goes through the pool."""

    async def task(self, task_id: TaskId) -> Task | None:
        """Return a task that Howler made, active or ended."""


@dataclass(frozen=True, slots=True)
class Rooms:
    """What a turn works with."""

    pool: Pool
    platform: Platform
    catalog: Catalog
    store: Records
    turns: TurnStore
    journal: Journal
    conversations: Conversations
    speakers: Speakers
    creator: Creator
    stopper: Stopper
    counting: Counting
    spoken: Spoken
    limits: Limits
