"""The place of a turn that another process ran before it died: it goes on where its log ends."""

import time
from dataclasses import dataclass

from howler.model.v1.model_service_pb2 import MatchedBy, Model
from howler.pool.v1.pool_service_pb2 import Lease
from howler.task.v1.task_event_pb2 import TaskEvent

from server.acp.opened import Opened
from server.acp.told import Told
from server.pool.account import LeaseId, TaskId
from server.store.turns import StoredTurn
from server.turn.grant import Grants
from server.turn.ground import Ground
from server.turn.live import LiveTurn
from server.turn.rooms import Rooms
from server.turn.saying import Saying


@dataclass(frozen=True, slots=True)
class Left:
    """A turn that was left in the middle, and a lease on its task."""

    turn: StoredTurn
    lease: Lease


class Adopted:
    """See Place. `told` is what the turn's watchers were told, once there is a ground."""

    def __init__(self, live: LiveTurn, rooms: Rooms, grants: Grants, left: Left) -> None:
        self._live = live
        self._rooms = rooms
        self._grants = grants
        self._left = left
        self._saying: Saying | None = None
        self._opened = Opened()
        self.told = Told()

    async def ground(self) -> Ground:
        """See Place. Raises StoreError and LEASE_LOST."""
        turn = self._left.turn
        grant = self._grants.adopt(self._left.lease, TaskId(self._live.task_id), turn.active_at)
        await self._read_back()
        return Ground(
            grant,
            Model(id=turn.model),
            MatchedBy.MATCHED_BY_UNSPECIFIED,
            turn.prompt,
            is_new=not turn.held_task_id,
            instructions=turn.start.instructions,
            conversation_id=turn.conversation_id,
        )

    async def _read_back(self) -> None:
        live, self._saying = self._live, await self._joined()
        if self._saying is not None:
            live.words = self.told.text.heard = self._saying.hear
        async for events in self._rooms.journal.events(live.id):
            for event in events:
                self.told.note(event)
            self._opened.note(events)
        live.listener = self._opened.note

    async def _joined(self) -> Saying | None:
        """Return what the turn adds to its conversation, unless that is recorded; keep others out of it."""
        live, conversations, turn = self._live, self._rooms.conversations, self._left.turn
        known = await conversations.get(turn.conversation_id) if turn.conversation_id else None
        if known is None or known.last_turn == live.id:
            return None
        if not turn.held_task_id:
            await conversations.claim(known, LeaseId(self._left.lease.lease_id), live.id)
        return Saying(known, is_new=False, model=turn.model, news=live.news)

    def closing(self, last: list[TaskEvent]) -> list[TaskEvent]:
        """Return the turn's last events with what closes all that they would leave open."""
        return [*self._opened.closing(last), *last]

    async def over(self, *, task_stays: bool) -> None:
        """See Place."""
        saying, live = self._saying, self._live
        if saying is None:
            return
        said = saying.said(live.start, live.id, TaskId(live.task_id if task_stays else ""))
        lease_id = LeaseId(self._left.lease.lease_id)
        await self._rooms.conversations.say(said, lease_id, time.time_ns() // 1000)

    async def left(self) -> None:
        """See Place: it holds nothing but the lease."""
