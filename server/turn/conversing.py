"""Turns in conversations: finds the agent that remembers, or tells a new one what was said.

What the store says decides who may speak, at every server alike: a turn on the conversation's task has that
task's lease, one that makes it a new task has claimed it under its own. What is decided is decided in
server/conversation/plan.py.
"""

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Final

from howler.conversation.v1.conversation_service_pb2 import Conversation
from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.model.v1.model_service_pb2 import Model
from howler.pool.v1.pool_service_pb2 import Lease
from howler.task.v1.start_turn_pb2 import ROLE_USER, Durability, Message, Transcript
from howler.task.v1.task_event_pb2 import Continuation

from server.conversation.plan import Known, Plan, Why
from server.conversation.thread import BEGINNING, digest, thread_of
from server.conversation.transcript import as_news, as_prompt, guided
from server.errors import ServiceError
from server.ids import new_id
from server.pool.account import LeaseId, TaskId
from server.turn.awake import awake
from server.turn.enclosures import Enclosures, Sent
from server.turn.grant import Choice, Grants, Wanted
from server.turn.ground import ON_A_HELD_TASK, Ground, wake
from server.turn.live import LiveTurn
from server.turn.rooms import Rooms
from server.turn.saying import Saying

_log = logging.getLogger(__name__)
_E = ErrorReason
_REPLAYED: Final = Continuation.CONTINUATION_REPLAYED
_RESUMED: Final = Continuation.CONTINUATION_RESUMED
_EPHEMERAL: Final = Durability.DURABILITY_EPHEMERAL

BUSY: Final = (_E.ERROR_REASON_TASK_BUSY, _E.ERROR_REASON_CONVERSATION_BUSY)
"""How it fails to go on in a conversation that a turn at another server is in."""

_GONE: Final = frozenset(
    {
        _E.ERROR_REASON_TASK_NOT_FOUND,
        _E.ERROR_REASON_TASK_ENDED,
        _E.ERROR_REASON_NO_ACCOUNT,
        _E.ERROR_REASON_ACCOUNT_NOT_FOUND,
        _E.ERROR_REASON_SESSION_EXPIRED,
        _E.ERROR_REASON_VM_FAILED,
        _E.ERROR_REASON_BOOT_TIMEOUT,
    }
)
"""Failures after which a conversation needs another task: this one, its account or its VM is out of use."""


class Talk(ABC):
    """The place of a turn in a conversation: see Place. How the conversation is found, places.py says."""

    def __init__(self, live: LiveTurn, rooms: Rooms, grants: Grants, enclosures: Enclosures) -> None:
        self._live = live
        self._rooms = rooms
        self._grants = grants
        self._enclosures = enclosures
        self._store = rooms.conversations
        self._control: AsyncExitStack | None = None  # what keeps the task's VM awake
        self._line = ""  # the conversation that is ours at this server
        self._saying: Saying | None = None
        start = live.start
        told = start.messages.messages
        self._messages = list(told) or [Message(role=ROLE_USER, text=start.prompt)]

    @abstractmethod
    async def ground(self) -> Ground:
        """See Place."""

    async def _go_on(self, plan: Plan, choice: Choice) -> Ground:
        """Go on in a conversation that is ours at this server.

        Raises TASK_BUSY or CONVERSATION_BUSY where a turn at another server is in it.
        """
        known, history = plan.known, list(plan.history)
        assert known is not None, "a plan to go on says in what"
        abandons = plan.continuation == _RESUMED or plan.why is Why.OTHER_INSTRUCTIONS
        if plan.continuation == _RESUMED:
            found = await self._resume(plan, known, choice)
            if isinstance(found, Ground):
                return found
            plan = plan._replace(continuation=_REPLAYED, why=found)
        if known.keeps:
            with self._live.waiting():
                history = await self._store.said(known.id)
        elif known.thread not in (BEGINNING, thread_of(history)):
            raise ServiceError(
                _E.ERROR_REASON_TASK_ENDED,
                "the conversation's task has ended, and it keeps no words: send all of them",
            )
        if abandons:
            self._rooms.pool.retire(TaskId(known.shown.task_id))
        return await self._tell(plan, choice, history)

    async def _resume(self, plan: Plan, known: Known, choice: Choice) -> Ground | Why:
        """Go on with the agent that remembers, or say why that cannot be."""
        task_id = TaskId(known.shown.task_id)
        try:
            with self._live.waiting():
                info = await self._grants.use_task(task_id, wait=self._rooms.limits.queue)
                await self._still_ours(known)
            self._control = await wake(self._live, self._rooms, self._grants, info)
        except ServiceError as error:
            await self._let_go()
            if error.reason in _GONE:
                return Why.TASK_GONE
            raise
        if plan.why is Why.OTHER_MODEL and not await self._switched(task_id, choice):
            await self._let_go()
            return Why.OTHER_MODEL
        sent = await self._sent(self._guided(as_news(plan.news)))
        if sent is None:
            await self._let_go()
            return Why.TOO_LONG
        grant = self._grants.current
        assert grant is not None, "it was taken"
        self._begin(plan, choice.model)
        return Ground(
            grant,
            choice.model,
            ON_A_HELD_TASK,
            sent.text,
            is_new=False,
            frame=sent.frame,
            conversation_id=known.id,
            continuation=_RESUMED,
        )

    async def _sent(self, prompt: str) -> Sent | None:
        """Return how a prompt goes to a task that exists; None where it is too long, as for no new one."""
        try:
            with self._live.waiting():
                return await self._enclosures.prompt(prompt, self._grants.session())
        except ServiceError as error:
            if error.reason == _E.ERROR_REASON_PROMPT_TOO_LARGE:
                return None
            raise

    async def _let_go(self) -> None:
        await self._let_sleep()
        await self._grants.give_back()

    async def _let_sleep(self) -> None:
        if self._control is not None:
            await self._control.aclose()

    async def _still_ours(self, known: Known) -> None:
        """Raise CONVERSATION_BUSY where another turn came first; whoever comes later finds the task busy."""
        seen = await self._store.get(known.id)
        if seen is None or (seen.last_turn, seen.shown.turn_id) != (known.last_turn, self._live.id):
            raise busy("another turn came first in the conversation")

    async def _switched(self, task_id: TaskId, choice: Choice) -> bool:
        """Have the task run another model; its agent keeps what it knows (upstream-protocol §8).

        False where the platform cannot, or does not say that it did.
        """
        grant = self._grants.current
        if grant is None or not (choice.among is None or grant.account_id in choice.among):
            return False
        wanted = {"model_id": choice.model.upstream_id, "load_session": True}
        try:
            with self._live.waiting():
                session, limit = self._grants.session(), self._rooms.limits.boot
                async with awake(self._rooms.platform, session, task_id, limit) as control:
                    await control.call("switch_model", wanted)
        except ServiceError as error:
            if error.reason == _E.ERROR_REASON_LEASE_LOST:
                raise
            _log.info("turn %s: the task's model was not changed: %s", self._live.id, error.message)
            return False
        with self._live.waiting():
            await self._store.change_model(task_id, choice.model.id)
        return True

    def _guided(self, prompt: str) -> str:
        return guided(prompt, self._live.start.guidance)

    async def _tell(self, plan: Plan, choice: Choice, history: Sequence[Message]) -> Ground:
        """Make a task and tell its agent all that was said."""
        known = plan.known
        saying = self._begin(plan, choice.model)
        prompt = self._guided(as_prompt([*history, *plan.news]))
        instructions = self._live.start.instructions or (known.told if known is not None else "")
        wanted = Wanted(choice, prompt, instructions, self._enclosures, self._claim)
        grant = await self._grants.create_task(wanted)
        saying.accepted = True
        notice = ""
        if known is not None and known.shown.turns > 0:
            notice = f"a new agent was told what was said in the conversation: {plan.why.value}"
        return Ground(
            grant,
            choice.model,
            choice.matched_by,
            prompt,
            is_new=True,
            instructions=instructions,
            conversation_id=saying.known.id,
            continuation=plan.continuation,
            notice=notice,
        )

    async def _claim(self, lease: Lease) -> None:
        """Have the conversation for as long as the lease lives. See Claim."""
        saying, lease_id = self._saying, LeaseId(lease.lease_id)
        assert saying is not None, "the turn has begun in it"
        if saying.is_new and not saying.known.keeps:
            return  # nobody can know of it before its first turn is over
        if saying.is_new and not saying.recorded:
            await self._store.add(
                saying.known, Transcript(), now_us(), lease_id=lease_id, turn_id=self._live.id
            )
            saying.recorded = True
        elif not await self._store.claim(saying.known, lease_id, self._live.id):
            raise busy("another turn runs in the conversation")

    def _begin(self, plan: Plan, model: Model) -> Saying:
        """Take note of what the turn will leave."""
        start = self._live.start
        known, news = plan.known, plan.news
        if known is None:
            news, conversation = self._messages, Conversation()
            conversation.conversation_id = new_id("conv")
            conversation.principal, conversation.session = start.principal, start.session
            known = Known(
                conversation,
                thread=BEGINNING,
                instructions=digest(start.instructions),
                told=start.instructions,
                keeps=start.durability != _EPHEMERAL,
            )
        self._saying = Saying(known, plan.known is None, model.id, news)
        self._live.conversation_id = known.id
        self._live.news = news
        self._live.words = self._saying.hear
        return self._saying

    async def over(self, *, task_stays: bool) -> None:
        """See Place."""
        saying, grant, live = self._saying, self._grants.current, self._live
        if saying is None or grant is None:
            return
        said = saying.said(live.start, live.id, grant.task_id if task_stays else TaskId(""))
        lease_id = LeaseId(grant.lease.lease_id)
        if not saying.is_new or saying.known.keeps:
            await self._store.say(said, lease_id, now_us())
        elif task_stays:
            await self._store.begin(said, lease_id, now_us())

    async def left(self) -> None:
        """See Place."""
        await self._let_sleep()
        self._leave()
        saying = self._saying
        if saying is not None and saying.recorded and not saying.accepted:
            await self._store.delete(saying.known.id)

    def _take(self, conversation_id: str) -> bool:
        if not self._rooms.speakers.take(conversation_id):
            return False
        self._line = conversation_id
        return True

    def _leave(self) -> None:
        if self._line:
            self._rooms.speakers.leave(self._line)
            self._line = ""


def busy(why: str) -> ServiceError:
    """Return what a caller is told of a conversation that another turn is in."""
    return ServiceError(_E.ERROR_REASON_CONVERSATION_BUSY, why)


def now_us() -> int:
    """Return the time in microseconds since 1970."""
    return time.time_ns() // 1000
