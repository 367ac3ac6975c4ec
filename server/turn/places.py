"""Finds the place of a turn: a conversation, by its name or by what was said in it, or none."""

import asyncio
import hashlib
from typing import Final

from howler.conversation.v1.conversation_service_pb2 import Conversation, ConversationState
from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.model.v1.model_service_pb2 import Model
from howler.task.v1.start_turn_pb2 import BusyPolicy, Transcript

from server.conversation.plan import Known, go_on, recognise
from server.conversation.thread import BEGINNING, digest, openings
from server.errors import ServiceError
from server.store.conversations import Sought
from server.turn.conversing import BUSY, Talk, busy, now_us
from server.turn.enclosures import Enclosures
from server.turn.grant import Choice, Grants
from server.turn.ground import ON_A_HELD_TASK, Alone, Ground, Place
from server.turn.live import LiveTurn
from server.turn.rooms import Rooms

_E = ErrorReason
_RUNNING: Final = ConversationState.CONVERSATION_STATE_RUNNING
_REFUSE: Final = BusyPolicy.BUSY_POLICY_REFUSE

_PAUSES: Final = (0.02, 0.5)  # seconds between looks at a conversation that another server's turn runs in


def place_of(live: LiveTurn, rooms: Rooms, grants: Grants, enclosures: Enclosures) -> Place:
    """Return where a turn takes place."""
    start = live.start
    if start.recognise_history:
        return Recognised(live, rooms, grants, enclosures)
    if start.conversation_id or start.session:
        return Named(live, rooms, grants, enclosures)
    return Alone(live, rooms, grants, enclosures)


class Recognised(Talk):
    """A conversation that is recognised by its history."""

    async def ground(self) -> Ground:
        """See Place."""
        live, messages = self._live, self._messages
        with live.waiting():
            choice = await self._grants.choice()
            left = await self._left(choice.model)
        while True:
            plan = recognise(messages, left)
            if plan.known is None:
                return await self._tell(plan, choice, plan.history)
            if self._take(plan.known.id):
                try:
                    return await self._go_on(plan, choice)
                except ServiceError as error:
                    if error.reason not in BUSY:
                        raise
                self._leave()
            left.remove(plan.known)

    async def _left(self, model: Model) -> list[Known]:
        points = [point.thread for point in openings(self._messages)]
        if not points:
            return []
        start = self._live.start
        return await self._store.left(
            Sought(
                start.principal,
                model.id,
                digest(start.instructions),
                points,
                start.session,
                tuple(start.after_turn_ids),
            )
        )


class Named(Talk):
    """A conversation that the caller names, by its id or by a name of the caller's own."""

    async def ground(self) -> Ground:
        """See Place: waits for the conversation, or refuses to, as `when_busy` says.

        Raises CONVERSATION_NOT_FOUND and CONVERSATION_BUSY, too.
        """
        live, name = self._live, self._live.start.conversation_id or await self._of_session()
        refuses = live.start.when_busy == _REFUSE
        loop = asyncio.get_running_loop()
        until, pause = loop.time() + self._rooms.limits.queue, _PAUSES[0]
        await self._find(name)
        if not self._take(name):
            if refuses:
                raise busy("another turn runs in the conversation")
            await self._wait_in_line(name, until)
        while True:
            known = await self._find(name)
            if known.shown.state != _RUNNING:
                try:
                    return await self._go_on_named(known)
                except ServiceError as error:
                    if error.reason not in BUSY:
                        raise
            if refuses:
                raise busy("another turn runs in the conversation")
            if loop.time() > until:
                raise self._waited()
            with live.waiting():
                await asyncio.sleep(pause)
            pause = min(pause * 1.5, _PAUSES[1])

    async def _of_session(self) -> str:
        """Return the conversation that has the caller's name, a new one where none has."""
        start = self._live.start
        with self._live.waiting():
            found = await self._store.of_session(start.principal, start.session)
            if found is not None:
                return found
            # Of two that make it at the same time, here or elsewhere, both mean the same one.
            named = "\0".join((start.principal, start.session)).encode()
            made = Conversation(
                conversation_id=f"conv_{hashlib.sha256(named).hexdigest()[:32]}",
                principal=start.principal,
                session=start.session,
            )
            known = Known(made, thread=BEGINNING, instructions="", keeps=True)
            await self._store.add(known, Transcript(), now_us())
            return known.id

    async def _find(self, name: str) -> Known:
        with self._live.waiting():
            known = await self._store.get(name)
        asks = self._live.start.principal
        if known is None or (asks and known.shown.principal not in ("", asks)):
            raise ServiceError(_E.ERROR_REASON_CONVERSATION_NOT_FOUND, "Howler holds no such conversation")
        return known

    async def _wait_in_line(self, name: str, until: float) -> None:
        with self._live.waiting():
            try:
                async with asyncio.timeout_at(until) as scope:
                    await self._rooms.speakers.wait(name)
                    self._line = name
            except TimeoutError:
                if not scope.expired():
                    raise
                raise self._waited() from None

    def _waited(self) -> ServiceError:
        return busy(f"another turn ran in the conversation for {self._rooms.limits.queue:g} s")

    async def _go_on_named(self, known: Known) -> Ground:
        start = self._live.start
        with self._live.waiting():
            if start.model or known.shown.turns == 0:
                choice = await self._grants.choice(known.shown.model)
            else:
                choice = await self._as_before(known)
        plan = go_on(known, self._messages, model=choice.model.id, instructions=digest(start.instructions))
        return await self._go_on(plan, choice)

    async def _as_before(self, known: Known) -> Choice:
        """Return the model of a conversation; while its task lives it need not be offered any more."""
        listing = await self._rooms.catalog.listing()
        found = [model for model in listing.models if model.id == known.shown.model]
        if not found and known.remembers:
            return Choice(Model(id=known.shown.model), ON_A_HELD_TASK, None)
        return await self._grants.choice(known.shown.model)
