"""Decides how a turn's agent comes to know what was said before. PURE.

An agent is spoken to again only where its conversation was left exactly where the new words begin: one that
heard more than the caller shows, or less, would answer something else than what was asked.
"""

from collections.abc import Sequence
from enum import Enum
from typing import Final, NamedTuple

from howler.conversation.v1.conversation_service_pb2 import Conversation, ConversationState
from howler.task.v1.start_turn_pb2 import Message
from howler.task.v1.task_event_pb2 import Continuation

from server.conversation.thread import BEGINNING, Thread, openings

_IDLE: Final = ConversationState.CONVERSATION_STATE_IDLE
_RUNNING: Final = ConversationState.CONVERSATION_STATE_RUNNING
_FRESH: Final = Continuation.CONTINUATION_FRESH
_RESUMED: Final = Continuation.CONTINUATION_RESUMED
_REPLAYED: Final = Continuation.CONTINUATION_REPLAYED


class Known(NamedTuple):
    """A conversation that Howler holds.

    `thread` is of all that was said in it. `instructions` is the digest of what its agent was instructed;
    the text itself is in `told`, like the words of the conversation, only where it `keeps` them. It is
    `settled` unless its task heard a turn that the conversation has no record of. `last_turn` is the last one
    whose words are in the thread, empty before the first.
    """

    shown: Conversation
    thread: Thread
    instructions: str
    told: str = ""
    keeps: bool = False
    settled: bool = True
    last_turn: str = ""

    @property
    def id(self) -> str:
        """Its id."""
        return self.shown.conversation_id

    @property
    def remembers(self) -> bool:
        """Its agent is there, at rest, and knows all that was said and no more."""
        return self.shown.state == _IDLE and self.settled


class Why(Enum):
    """Why a turn goes on as it does, for people."""

    NOTHING_SAID = "nothing was said before"
    FIRST_TURN = "it is the conversation's first turn"
    REMEMBERED = "its agent remembers what was said"
    OTHER_MODEL = "its agent runs another model"
    NEVER_LEFT_HERE = "no conversation was left where the new messages begin"
    TASK_GONE = "its task is gone"
    BUSY = "another turn runs in the conversation that was left here"
    TOO_LONG = "the new messages are too long for a task that runs"
    OTHER_INSTRUCTIONS = "it has other instructions now"


class Plan(NamedTuple):
    """How a turn goes on: in `known`, or in a new conversation where that is None.

    `history` was said before, as far as the caller told it; `news` is what the agent has yet to hear.
    """

    continuation: Continuation
    why: Why
    known: Known | None
    history: Sequence[Message]
    news: Sequence[Message]


def recognise(messages: Sequence[Message], left: Sequence[Known]) -> Plan:
    """Plan a turn whose caller tells all that was said so far, with the newest message last.

    `left` are the conversations of the caller, of the model and the instructions asked for, that were left
    at one of the `openings` of the messages; others change nothing. The first that would do is taken.
    """
    gone: Plan | None = None
    busy = False
    for point in openings(messages):
        before, news = messages[: point.at], messages[point.at :]
        for known in left:
            if known.thread != point.thread:
                continue
            if known.remembers:
                return Plan(_RESUMED, Why.REMEMBERED, known, before, news)
            if known.shown.state == _RUNNING:
                busy = True
            elif gone is None:
                gone = Plan(_REPLAYED, Why.TASK_GONE, known, before, news)
    if gone is not None:
        return gone
    if len(messages) == 1:
        return Plan(_FRESH, Why.NOTHING_SAID, None, (), messages)
    why = Why.BUSY if busy else Why.NEVER_LEFT_HERE
    return Plan(_REPLAYED, why, None, messages[:-1], messages[-1:])


def go_on(known: Known, messages: Sequence[Message], *, model: str, instructions: str) -> Plan:
    """Plan a turn in a conversation in which none runs.

    `messages` may begin with all that the conversation holds; else all of them are new. `model` is the one
    asked for, empty for the conversation's own; `instructions` the digest of those asked for, empty likewise.
    """
    begun = next((point.at for point in openings(messages) if point.thread == known.thread), 0)
    before, news = messages[:begun], messages[begun:]
    if known.shown.turns == 0:
        continuation = _FRESH if known.thread == BEGINNING and len(news) == 1 else _REPLAYED
        return Plan(continuation, Why.FIRST_TURN, known, before, news)
    if not known.remembers:
        return Plan(_REPLAYED, Why.TASK_GONE, known, before, news)
    if instructions not in ("", known.instructions):
        return Plan(_REPLAYED, Why.OTHER_INSTRUCTIONS, known, before, news)
    why = Why.REMEMBERED if model in ("", known.shown.model) else Why.OTHER_MODEL
    return Plan(_RESUMED, why, known, before, news)
