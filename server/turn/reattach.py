"""Follows an accepted turn to its end, over as many sockets as that takes (upstream-protocol §6.8, §6.10).

A socket that is lost is opened anew, to replay the turn; its callers see a pause.
One socket at a time, and the prompt is in none of them.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Final

from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.task.v1.task_event_pb2 import Notice, NoticeKind, TaskEvent

from server.acp.told import Told
from server.errors import ServiceError
from server.pool.account import TaskId
from server.turn.follow import Follower
from server.turn.grant import Grants
from server.turn.live import LiveTurn
from server.turn.recall import Recall
from server.turn.rooms import Rooms
from server.turn.stream import Stream

_log = logging.getLogger(__name__)
_E = ErrorReason
_PAUSES: Final = (
    0.5,
    8.0,
)  # seconds before a try, doubled from the first to the last: the web client's (§6.8)
_NOTICEABLE: Final = 1.0  # seconds of a pause of which callers are told
_LOSSES: Final = (_E.ERROR_REASON_UPSTREAM_LOST, _E.ERROR_REASON_IDLE_TIMEOUT)
_FINAL: Final = (
    _E.ERROR_REASON_FIRST_EVENT_TIMEOUT,
    _E.ERROR_REASON_LEASE_LOST,
    _E.ERROR_REASON_REPLAY_DIVERGED,
    _E.ERROR_REASON_TASK_ENDED,
    _E.ERROR_REASON_VM_FAILED,
    _E.ERROR_REASON_ACCOUNT_NOT_FOUND,
    _E.ERROR_REASON_INTERNAL,
)


class Reattach:
    """Attaches again when a turn's socket is lost.

    `is_away` is True while there is no socket.
    """

    def __init__(
        self,
        live: LiveTurn,
        rooms: Rooms,
        follower: Follower,
        stream: Stream,
        grants: Grants,
        recall: Recall,
        *,
        approval: str,
    ) -> None:
        self._live = live
        self._rooms = rooms
        self._follower = follower
        self._stream = stream
        self._grants = grants
        self._recall = recall
        self._approval = approval
        self._clock = asyncio.get_running_loop().time
        self._noticing: asyncio.TimerHandle | None = None
        self._is_noticed = False
        self._back_at: float | None = None
        self.is_away = False

    async def follow(self, first: Callable[[], Awaitable[list[TaskEvent]]]) -> list[TaskEvent]:
        """Follow the turn on its `first` socket and those after it; return its last events, yet to be told.

        Raises Interrupted, what Follower raises, and the loss once HOWLER_REATTACH_TIMEOUT is over.
        """
        try:
            if events := await first():
                return events
            lost = _lost("the platform gave the stream up")
        except ServiceError as error:
            if error.reason not in _LOSSES or not self._may_go_on:
                raise
            lost = error
        return await self._go_on(lost, _PAUSES[0])

    async def resume(self, told: Told) -> list[TaskEvent]:
        """Follow a turn that runs already, of which that much was told, as `follow` does."""
        self._follower.joining.go_on_from(told)
        return await self._go_on(_lost("no stream is open yet"), 0.0)

    @property
    def _may_go_on(self) -> bool:
        """A new task's turn that never began was attached to again and again as it is."""
        return self._follower.began or self._follower.joining.prompt is not None

    async def _go_on(self, lost: ServiceError, pause: float) -> list[TaskEvent]:
        since, extent = self._clock(), self._follower.told.extent
        self.is_away = True
        try:
            while True:
                _log.info("turn %s: %s; attaching again", self._live.id, lost.message)
                self._notice_soon()
                await self._stream.close()
                try:
                    if events := await self._try(pause):
                        return events
                    lost = _lost("the platform gave the stream up")
                except ServiceError as error:
                    if error.reason in _FINAL:
                        raise
                    lost = error
                self.is_away = True
                if self._was_good(lost):
                    since = self._clock()
                self._back_at = None
                if self._follower.told.extent > extent:
                    since, extent, pause = self._clock(), self._follower.told.extent, _PAUSES[0]
                elif (ended := await self._recall.end_of_task()) is not None:
                    return await self._follower.joining.recollect(ended)
                else:
                    pause = min(max(pause * 2, _PAUSES[0]), _PAUSES[1])
                if self._clock() - since > self._limit:
                    raise lost
        finally:
            self._stop_noticing()

    def _was_good(self, lost: ServiceError) -> bool:
        """Tell whether the last socket served a while: one that is silent is no way back."""
        silent = lost.reason == _E.ERROR_REASON_IDLE_TIMEOUT
        idle = self._rooms.limits.idle
        return self._back_at is not None and not silent and self._clock() - self._back_at > idle

    @property
    def _limit(self) -> float:
        limits = self._rooms.limits
        return limits.reattach if self._follower.began else min(limits.reattach, limits.first_event)

    async def _try(self, pause: float) -> list[TaskEvent]:
        """Attach after a pause and follow. Raises what the socket was refused or lost with."""
        session = None
        try:
            with self._live.waiting():
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - it spreads, it hides nothing
                session = self._grants.session()
                socket = await self._stream.open(
                    self._rooms.platform.stream(session, TaskId(self._live.task_id), "attach")
                )
        except ServiceError as error:
            if error.reason == _E.ERROR_REASON_SESSION_EXPIRED and session is not None:
                await self._rooms.pool.report(session.account_id, error, session=session)
            raise
        self.is_away = False
        socket.send(self._approval)
        self._follower.joining.again()
        self._follower.joining.on_caught_up = self._caught_up
        return await self._follower.follow(socket)

    def _notice_soon(self) -> None:
        if self._noticing is None and not self._is_noticed:
            loop = asyncio.get_running_loop()
            self._noticing = loop.call_later(_NOTICEABLE, self._tell_reconnecting)

    def _stop_noticing(self) -> None:
        if self._noticing is not None:
            self._noticing.cancel()
            self._noticing = None

    def _tell_reconnecting(self) -> None:
        self._noticing, self._is_noticed = None, True
        text = "the connection to the platform was lost and is being made again"
        self._tell(NoticeKind.NOTICE_KIND_RECONNECTING, text)

    def _caught_up(self) -> None:
        self._follower.joining.on_caught_up = None
        self._back_at = self._clock()
        self._stop_noticing()
        if self._is_noticed:
            self._is_noticed = False
            text = "the connection to the platform is there again"
            self._tell(NoticeKind.NOTICE_KIND_RECONNECTED, text)

    def _tell(self, kind: NoticeKind, message: str) -> None:
        self._live.tell([TaskEvent(notice=Notice(kind=kind, message=message))])


def _lost(how: str) -> ServiceError:
    return ServiceError(_E.ERROR_REASON_UPSTREAM_LOST, f"the stream was lost: {how}")
