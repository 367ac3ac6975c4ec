"""A watcher's place in the log of a turn that runs at another replica."""

import asyncio
from collections.abc import Callable
from typing import Final

import grpc
from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.task.v1.relay_pb2 import WatchTurn
from howler.task.v1.task_event_pb2 import TaskEvent

from server.errors import ServiceError, incident
from server.rpc.owners import PAUSE, Owners
from server.rpc.peers import Peers, Unreachable
from server.store.addresses import Owner
from server.turn.hub import Hub
from server.turn.live import Cause
from server.turn.log import BATCH_BYTES, NOTHING, Piece
from server.turn.watcher import Watcher
from server.turn.wire import count_fields, cut_fields

_GOES_ON: Final = (ErrorReason.ERROR_REASON_TURN_NOT_FOUND, ErrorReason.ERROR_REASON_SHUTTING_DOWN)
"""What an owner says of a turn that another one goes on with."""
_PATIENCE: Final = 5.0  # seconds, beside those that a dead replica seems to live, before a watcher is told


class FarWatcher:
    """A place in the log of a turn that runs at another replica; has what Watcher has.

    It holds one message of the owner's at most, and takes the next when that was read. When the owner is
    gone it goes on from its place with whoever runs the turn then: perhaps in this process.
    """

    def __init__(
        self, hub: Hub, owners: Owners, peers: Peers, asked: WatchTurn, wake: Callable[[], None]
    ) -> None:
        self.turn_id = asked.turn_id
        self.wake = wake
        self._hub = hub
        self._owners = owners
        self._peers = peers
        self._asked = asked
        self._cursor = asked.after_seq + 1
        self._near: Watcher | None = None
        self._events = b""
        self._offset = self._left = 0  # of the message: where the cursor is, how many events are left
        self._read = asyncio.Event()
        self._over = False
        self._error: ServiceError | None = None
        self._following = asyncio.create_task(self._follow(), name=f"far {asked.turn_id}")
        hub.doors.add(self._shut)
        hub.sought.setdefault(asked.turn_id, set()).add(self._come)

    @property
    def cursor(self) -> int:
        """The seq that is read next."""
        return self._near.cursor if self._near is not None else self._cursor

    @property
    def behind(self) -> bool:
        """See Watcher."""
        if self._near is not None:
            return self._near.behind
        return self._left > 0 or self._over or self._error is not None

    @property
    def ends(self) -> bool:
        """See Watcher."""
        if self._near is not None:
            return self._near.ends
        return self._over or self._asked.until_now or self._error is not None

    @property
    def told(self) -> bool:
        """See Watcher."""
        return self._near.told if self._near is not None else self._asked.until_now and self.done

    @property
    def done(self) -> bool:
        """See Watcher."""
        return self._near.done if self._near is not None else self._over and not self._left

    def take(self, limit: int = BATCH_BYTES) -> Piece:
        """See Watcher.

        Raises also BACKEND_UNAVAILABLE where the owner lives and cannot be reached, SHUTTING_DOWN here.
        """
        if self._near is not None:
            return self._near.take(limit)
        if not self._left:
            if self._error is not None:
                raise self._error
            return NOTHING
        start = self._offset
        self._offset, count, size = cut_fields(self._events, start, self._left, limit)
        self._left -= count
        self._cursor += count
        if not self._left:
            self._read.set()
        return Piece([self._events[start : self._offset]], count, size, self._left > 0)

    def close(self) -> None:
        """Leave the log; the owner hears of it."""
        self._stop()
        if self._near is not None:
            self._near.close()

    def lose(self) -> None:
        """Leave the log without a word. The owner takes all watchers for lost that were forwarded to it."""
        self._stop()
        if self._near is not None:
            self._near.lose()

    def _stop(self) -> None:
        self._following.cancel()
        self._hub.doors.discard(self._shut)
        if seekers := self._hub.sought.get(self.turn_id):
            seekers.discard(self._come)
            if not seekers:
                del self._hub.sought[self.turn_id]

    def _come(self) -> None:
        """The turn runs here now: its owner before may stand still, and not end the call."""
        if self._near is None and not self._over:
            self._following.cancel()
            self._left = 0  # what was not read is told here, too
            self._following = asyncio.create_task(self._follow(), name=f"near {self.turn_id}")

    def _shut(self) -> None:
        """This process ends, and the turn goes on: whoever watches it asks another."""
        if self._near is None and not self._over:
            self._stop()
            self._error = Cause.SHUTDOWN.error
            self.wake()

    async def _follow(self) -> None:
        try:
            await self._go_on()
        except Exception as error:
            self._error = error if isinstance(error, ServiceError) else incident(error, "a forwarded watch")
        self.wake()

    async def _go_on(self) -> None:
        """Read from owner after owner until the turn is over, or here. Raises ServiceError."""
        clock = asyncio.get_running_loop().time
        since = clock()
        while (owner := await self._owners.of_turn(self.turn_id)) is not None:
            before = self._cursor
            try:
                await self._read_from(owner)
            except Unreachable:
                if self._cursor > before:
                    since = clock()
                if not owner.address or clock() - since > self._owners.ttl + _PATIENCE:
                    raise
            except ServiceError as error:
                if error.reason not in _GOES_ON:
                    raise
            if self._over:
                return
            await asyncio.sleep(PAUSE)
        found = await self._hub.watch(self._place(), self.wake)
        self._near = found.watcher

    def _place(self) -> WatchTurn:
        asked = self._asked
        return WatchTurn(turn_id=asked.turn_id, after_seq=self._cursor - 1, until_now=asked.until_now)

    async def _read_from(self, owner: Owner) -> None:
        async with self._peers.at(owner) as line:
            call = line.watch(self._place())
            try:
                while (events := await call.read()) is not grpc.aio.EOF:
                    await self._give(events)
            finally:
                call.cancel()
        self._over = True

    async def _give(self, events: bytes) -> None:
        """Have a message read. With the turn's last event it is over, whatever the owner says then."""
        count, last = count_fields(events)
        self._events, self._offset, self._left = events, 0, count
        self._over = TaskEvent.FromString(events[last:]).HasField("ended")
        self._read.clear()
        self.wake()
        await self._read.wait()
