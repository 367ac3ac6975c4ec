"""Runs one turn: model, lease, acceptance, VM, stream, end.

The commit point is the platform's acceptance. Before it a failure ends the
turn as a status, after trying other accounts where that may help; after it a
failure is the event `ended`, and nothing is ever run twice.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.task.v1.start_turn_pb2 import ApprovalPolicy
from howler.task.v1.task_event_pb2 import EndReason, Notice, NoticeKind, TaskEvent

from server.acp.joint import Prompt
from server.acp.told import Told
from server.acp.turn import Turn
from server.acp.uplink import AUTO_APPROVE, NO_AUTO_APPROVE
from server.errors import ServiceError, incident
from server.turn.adopted import Adopted, Left
from server.turn.enclosures import Enclosures
from server.turn.ending import may_stay
from server.turn.first import FirstTurn
from server.turn.follow import Follower
from server.turn.grant import Grant, Grants
from server.turn.ground import Ground
from server.turn.live import Cause, Interrupted, LiveTurn
from server.turn.places import place_of
from server.turn.reattach import Reattach
from server.turn.recall import Recall
from server.turn.rooms import Rooms
from server.turn.settle import Settlement
from server.turn.stream import Stream

_log = logging.getLogger(__name__)
_E = ErrorReason
_REPLAYED: Final = NoticeKind.NOTICE_KIND_CONVERSATION_REPLAYED
_MANUAL: Final = ApprovalPolicy.APPROVAL_POLICY_MANUAL
_FAILED: Final = EndReason.END_REASON_FAILED
_ENDS: Final = {_E.ERROR_REASON_REPLAY_DIVERGED: EndReason.END_REASON_REPLAY_DIVERGED}
_Follow = Callable[[Reattach], Awaitable[list[TaskEvent]]]

_WORTH_ASKING: Final = (
    _E.ERROR_REASON_FIRST_EVENT_TIMEOUT,
    _E.ERROR_REASON_IDLE_TIMEOUT,
    _E.ERROR_REASON_UPSTREAM_LOST,
)


_MAY_GO_ON: Final = (Cause.CANCELLED, Cause.TIME_LIMIT)
"""Interruptions after which the task may take another turn, if its agent comes to rest."""


class Runner:
    """Runs one turn to its end, whatever happens on the way."""

    def __init__(self, live: LiveTurn, rooms: Rooms, left: Left | None = None) -> None:
        """`left` is what another process left of the turn."""
        self._live = live
        self._rooms = rooms
        self._stream = Stream()
        self._grants = grants = Grants(live, rooms, self._stream)
        self._enclosures = Enclosures(live.start.attachments, rooms.platform, rooms.spoken)
        self._adopted = Adopted(live, rooms, grants, left) if left is not None else None
        self._place = self._adopted or place_of(live, rooms, grants, self._enclosures)
        self._ground: Ground
        self._follower: Follower

    async def run(self) -> None:
        """Run the turn. A failure ends up in its log, once what the turn held is free for the next one."""
        live = self._live
        deadline = asyncio.get_running_loop().call_later(self._time_limit(), live.interrupt, Cause.TIME_LIMIT)
        failure: ServiceError | None = None
        try:
            self._ground = await self._place.ground()
            await self._run_there()
        except Interrupted as interruption:
            failure = interruption.cause.error
        except ServiceError as error:
            failure = error
        except Exception as error:
            failure = incident(error, live.id)
        finally:
            deadline.cancel()
            try:
                await self._stream.close()
                await self._place.left()
                if failure is not None and live.is_kept and not live.over.is_set():
                    await self._grants.give_up()
                else:
                    if self._grants.current is not None:  # its task may be left to others, but not the turn
                        await live.stored()
                    await self._grants.give_back()
            finally:
                if failure is not None:
                    live.fail(failure)

    async def _run_there(self) -> None:
        live, ground = self._live, self._ground
        given = len(ground.prompt.encode()) + len(ground.instructions.encode())
        policy = live.start.question_policy
        self._follower = Follower(
            live, lambda answered: Turn(given, policy, answered), self._rooms.spoken, self._rooms.limits
        )
        self._follower.told.text.heard = live.words
        live.task_id = ground.grant.task_id
        try:
            if self._adopted is not None:
                await self._go_on(self._adopted.told)
            elif ground.is_new:
                self._accepted()
                await self._carry_out(self._from_the_first)
            else:
                await self._run_on_held_task()
        finally:
            self._follower.leave()

    def _time_limit(self) -> float:
        """Return how many seconds the turn has left."""
        live, limit = self._live, self._rooms.limits.turn
        if live.start.HasField("deadline"):
            limit = min(limit, live.start.deadline.ToMilliseconds() / 1000)
        return max(limit - live.age, 0.0)

    def _from_the_first(self, reattach: Reattach) -> Awaitable[list[TaskEvent]]:
        first = FirstTurn(
            self._live,
            self._rooms,
            self._follower,
            self._stream,
            task_id=self._ground.grant.task_id,
            session=self._grants.session,
            approval=self._approval(),
            prompt=self._ground.prompt,
        )
        return reattach.follow(first.follow)

    async def _run_on_held_task(self) -> None:
        live, grant = self._live, self._ground.grant
        with live.waiting():
            ground = self._ground
            await live.begin(
                grant.lease, ground.prompt, ground.instructions, grant.task_id, active_at=grant.active_at
            )
        session = self._grants.session()
        socket = await self._stream.open(self._rooms.platform.stream(session, grant.task_id, "new"))
        socket.send(self._approval())
        if live.cause is not None:
            raise Interrupted(live.cause)
        socket.send(self._ground.frame)  # where it is lost already nothing is written
        self._follower.joining.prompt = Prompt(self._ground.prompt, grant.active_at * 1000)
        self._accepted()
        await self._carry_out(
            lambda reattach: reattach.follow(lambda: self._follower.follow(socket, gapless=True))
        )

    async def _go_on(self, told: Told) -> None:
        """Go on with an adopted turn, of which that much was told."""
        live, ground, follower = self._live, self._ground, self._follower
        if not ground.is_new:
            follower.joining.prompt = Prompt(ground.prompt, ground.grant.active_at * 1000)
        if live.log.next_seq == 1:
            self._accepted()  # it was, but nobody was told
        else:
            live.go_on()
        if ground.is_new and not told.extent:
            await self._carry_out(self._from_the_first)
        else:
            await self._carry_out(lambda reattach: reattach.resume(told))

    def _accepted(self) -> None:
        live = self._live
        ground = self._ground
        live.accepted(ground.model.id)
        self._enclosures.drop()
        live.start.ClearField("attachments")  # they may be large, and nobody needs them any more
        live.tell_with_next(ground.accepted(live.id))
        if ground.notice:
            live.tell_with_next(TaskEvent(notice=Notice(kind=_REPLAYED, message=ground.notice)))

    def _approval(self) -> str:
        return NO_AUTO_APPROVE if self._live.start.approval_policy == _MANUAL else AUTO_APPROVE

    async def _carry_out(self, follow: _Follow) -> None:
        """Follow the accepted turn to its end, tell it, and leave the task as it was asked for.

        Raises Interrupted where the turn is left in the middle.
        """
        live, follower, grant = self._live, self._follower, self._ground.grant
        recall = Recall(self._rooms.platform, self._grants.session, grant.task_id)
        follower.joining.recall = recall
        reattach = Reattach(
            live, self._rooms, follower, self._stream, self._grants, recall, approval=self._approval()
        )
        try:
            events = await follow(reattach)
        except Interrupted as interruption:
            if live.leaves:
                raise
            cause = interruption.cause
            settled = reattach.is_away and cause in _MAY_GO_ON and await self._settled(grant)
            events = follower.end(cause.end_reason, cause.error, resumable=settled)
        except ServiceError as error:
            if live.cause is not None and live.leaves:
                raise Interrupted(live.cause) from None
            if live.cause is Cause.LEASE_LOST:  # the socket was cut for it
                events = follower.end(live.cause.end_reason, live.cause.error)
            else:
                why = await self._diagnosed(recall, error)
                settled = not self._ground.is_new and await self._settled(grant)
                events = follower.end(_ENDS.get(why.reason, _FAILED), why, resumable=settled)
        except Exception as error:
            events = follower.end(_FAILED, incident(error, live.id))
        if follower.ignored:
            _log.warning("turn %s: %d messages of the platform could not be read", live.id, follower.ignored)
        await self._finish(grant, events)

    async def _remember(self, *, task_stays: bool) -> None:
        """Record what the turn leaves of its conversation. Where that fails the end is told all the same."""
        try:
            await self._place.over(task_stays=task_stays)
        except Exception as error:  # the task was heard by a turn without a record, and is resumed by nobody
            incident(error, self._live.id)

    async def _settled(self, grant: Grant) -> bool:
        session, limit = self._grants.session, self._rooms.limits.cancel
        return await Settlement(
            self._rooms.platform, session, grant.task_id, self._ground.prompt, limit
        ).settle()

    async def _diagnosed(self, recall: Recall, error: ServiceError) -> ServiceError:
        """Ask the platform why a stream went silent or was lost: its task may have ended (§6.5)."""
        return (error.reason in _WORTH_ASKING and await recall.end_of_task()) or error

    async def _finish(self, grant: Grant, events: list[TaskEvent]) -> None:
        """Tell the end. A task that stays is free for its next turn before anybody reads of the end."""
        live = self._live
        live.answerer = None  # its questions are closed
        if self._adopted is not None:
            events = self._adopted.closing(events)
        ended = events[-1].ended
        answer = self._follower.told.text
        answer.settle()
        await self._rooms.counting.count(
            ended,
            live,
            self._grants.session,
            grant.task_id,
            before=grant.before,
            said=answer.length,
        )
        stays = may_stay(
            live.start.retention,
            ended,
            live.cause,
            is_new=self._ground.is_new,
            in_conversation=bool(self._ground.conversation_id),
        )
        ended.resumable = stays
        await self._remember(task_stays=stays)
        if stays:
            try:
                await self._grants.give_back()
            except Exception as error:  # the lease lapses by itself; the end is told all the same
                incident(error, live.id)
        live.tell(events)
        live.end(ended.reason)
        await self._stream.close()
        if not stays and await self._rooms.stopper.stop(grant.task_id, grant.lease):
            await self._grants.give_back(ended_task=grant.task_id)
