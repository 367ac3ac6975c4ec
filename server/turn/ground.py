"""What a turn stands on: its task, and what its agent is told.

A turn is alone, on a task of its own or on one that its caller names, or it is in a conversation
(places.py), which finds or makes its task.
"""

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from typing import Final, NamedTuple, Protocol

from howler.model.v1.model_service_pb2 import MatchedBy, Model
from howler.pool.v1.pool_service_pb2 import Lease
from howler.task.v1.start_turn_pb2 import Message
from howler.task.v1.task_event_pb2 import Continuation, TaskEvent

from server.conversation.transcript import as_prompt, guided, last_input
from server.pool.account import TaskId
from server.turn.awake import awake
from server.turn.enclosures import Enclosures
from server.turn.grant import Grant, Grants, Wanted
from server.turn.live import LiveTurn
from server.turn.rooms import Rooms
from server.upstream.platform import TaskInfo

_ALONE: Final = Continuation.CONTINUATION_UNSPECIFIED
ON_A_HELD_TASK: Final = MatchedBy.MATCHED_BY_UNSPECIFIED
"""How the model of a task that exists was found: it was not looked for."""

_AWAKE: Final = ("online", "", "unknown")


class Ground(NamedTuple):
    """A task for a turn, and what its agent is told.

    `is_new` says that the task was made for the turn. `frame` gives the prompt to a task that exists; it is
    empty where the task runs it already. `instructions` are what else a new one was told. `notice` is a line
    for people where the conversation's task was gone.
    """

    grant: Grant
    model: Model
    matched_by: MatchedBy
    prompt: str
    is_new: bool
    frame: str = ""
    instructions: str = ""
    conversation_id: str = ""
    continuation: Continuation = _ALONE
    notice: str = ""

    def accepted(self, turn_id: str) -> TaskEvent:
        """Return what the caller is told of it: field by field, which costs a third of the constructor."""
        event = TaskEvent()
        accepted = event.accepted
        accepted.turn_id, accepted.task_id = turn_id, self.grant.task_id
        accepted.model.CopyFrom(self.model)
        accepted.matched_by = self.matched_by
        accepted.conversation_id, accepted.continuation = self.conversation_id, self.continuation
        return event


class Place(Protocol):
    """Where a turn takes place."""

    async def ground(self) -> Ground:
        """Get the turn what it needs. Raises Interrupted and why it cannot be had."""

    async def over(self, *, task_stays: bool) -> None:
        """Record what the accepted turn leaves, before anybody hears of its end."""

    async def left(self) -> None:
        """Let go of all but the lease."""


async def nobody_asks(lease: Lease) -> None:
    """Claim nothing: see Claim."""


async def wake(live: LiveTurn, rooms: Rooms, grants: Grants, info: TaskInfo) -> AsyncExitStack | None:
    """Wake the VM of a task that was taken, where it sleeps (upstream-protocol §6.12, §8).

    Return what keeps it awake then, which is to be closed. Raises what `awake` does.
    """
    if info.vm_status in _AWAKE:
        return None
    with live.waiting():
        async with AsyncExitStack() as control:
            limit = rooms.limits.boot
            await control.enter_async_context(awake(rooms.platform, grants.session(), info.task_id, limit))
            return control.pop_all()


class Alone:
    """The place of a turn that is in no conversation."""

    def __init__(self, live: LiveTurn, rooms: Rooms, grants: Grants, enclosures: Enclosures) -> None:
        self._live = live
        self._rooms = rooms
        self._grants = grants
        self._enclosures = enclosures
        self._control: AsyncExitStack | None = None  # what keeps the task's VM awake

    async def ground(self) -> Ground:
        """See Place."""
        return await (self._held_task() if self._live.start.task_id else self._new_task())

    async def _new_task(self) -> Ground:
        start = self._live.start
        with self._live.waiting():
            choice = await self._grants.choice()
        prompt = self._prompt(as_prompt)
        wanted = Wanted(choice, prompt, start.instructions, self._enclosures, nobody_asks)
        grant = await self._grants.create_task(wanted)
        return Ground(
            grant, choice.model, choice.matched_by, prompt, is_new=True, instructions=start.instructions
        )

    async def _held_task(self) -> Ground:
        with self._live.waiting():
            model, info = await self._grants.take_task(TaskId(self._live.start.task_id))
        self._control = await wake(self._live, self._rooms, self._grants, info)
        with self._live.waiting():
            sent = await self._enclosures.prompt(self._prompt(last_input), self._grants.session())
        assert self._grants.current is not None, "it was taken"
        return Ground(self._grants.current, model, ON_A_HELD_TASK, sent.text, is_new=False, frame=sent.frame)

    def _prompt(self, written: Callable[[Sequence[Message]], str]) -> str:
        start = self._live.start
        told = start.prompt if start.WhichOneof("input") == "prompt" else written(start.messages.messages)
        return guided(told, start.guidance)

    async def over(self, *, task_stays: bool) -> None:
        """See Place: nothing is left of it."""

    async def left(self) -> None:
        """See Place."""
        if self._control is not None:
            await self._control.aclose()
