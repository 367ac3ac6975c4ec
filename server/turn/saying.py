"""What is said in a turn of a conversation, from its input to the last word of its answer."""

from collections.abc import Sequence

from howler.task.v1.start_turn_pb2 import ROLE_ASSISTANT, Message, StartTurn, Transcript

from server.conversation.plan import Known
from server.conversation.thread import Words, digest, thread_of
from server.pool.account import TaskId
from server.store.conversations import Said


class Saying:
    """What a turn adds to a conversation, which may be new (`is_new`).

    `recorded` is True once a new one is in the store before its first turn is over, `accepted` once the
    platform runs the turn.
    """

    def __init__(self, known: Known, is_new: bool, model: str, news: Sequence[Message]) -> None:
        self.known = known
        self.is_new = is_new
        self.recorded = False
        self.accepted = False
        self._model = model
        self._news = news
        self._words = Words(thread_of(news, known.thread))
        self._texts: list[str] = []

    def hear(self, text: str) -> None:
        """Take more of the answer."""
        self._words.add(text)
        if self.known.keeps:
            self._texts.append(text)

    def said(self, start: StartTurn, turn_id: str, task_id: TaskId) -> Said:
        """Return what the turn leaves."""
        known = self.known
        added = Transcript()
        if known.keeps:
            answer = Message(role=ROLE_ASSISTANT, text="".join(self._texts))
            added.messages.extend([*self._news, answer])
        return Said(
            conversation_id=known.id,
            principal=known.shown.principal,
            model=self._model,
            instructions=digest(start.instructions) or known.instructions,
            told=start.instructions or known.told,
            thread=self._words.thread(),
            task_id=task_id,
            turn_id=turn_id,
            before=known.last_turn,
            turns=known.shown.turns + 1,
            added=added,
            session=start.session,
        )
