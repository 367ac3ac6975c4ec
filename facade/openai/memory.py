"""Which conversation a request belongs to (openai-surface.md §7.1). Pure.

One place decides it for every API that has conversations. In this order: the session that the caller names on
purpose, the response that it continues, the conversation that it names, the client's own id of its chat, and
what was said, which the server recognises. A session and a chat are of the caller's principal alone.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from howler.task.v1.start_turn_pb2 import Message, Role, TaskRetention

from facade.openai.hints import NO_HINTS, Hints

_KEEP: Final = TaskRetention.TASK_RETENTION_KEEP
_STOP: Final = TaskRetention.TASK_RETENTION_STOP
_ASSISTANT: Final = Role.ROLE_ASSISTANT


class Memory(NamedTuple):
    """How a turn is bound to what was said before it: fields of StartTurn."""

    recognise_history: bool = False
    retention: TaskRetention = _STOP
    conversation_id: str = ""
    session: str = ""
    after_turn_ids: tuple[str, ...] = ()


ALONE: Final = Memory()
"""Of a request that nothing follows: its task is stopped when it is over."""


class Named(NamedTuple):
    """What a request names in the API's own words: the response that it continues, by the turns that may have
    told it, or a conversation."""

    previous_turns: tuple[str, ...] = ()
    conversation: str = ""


_NOTHING: Final = Named()


def memory_of(
    messages: Sequence[Message], hints: Hints = NO_HINTS, named: Named = _NOTHING, *, keep_chats: bool
) -> Memory:
    """Decide by what the conversation of a request is found; `keep_chats` is HOWLER_KEEP_CHATS.

    Where `messages` tell a history, it decides whether the agent is spoken to again: one that was edited is
    told to another agent, under whatever name it comes. In a session that was named on purpose a request may
    bring only what is new.
    """
    after = named.previous_turns
    if hints.session:
        tells = any(message.role == _ASSISTANT for message in messages)
        return Memory(tells, _KEEP, session=f"session:{hints.session}", after_turn_ids=after if tells else ())
    if named.conversation:
        return Memory(retention=_KEEP, conversation_id=named.conversation)
    if not keep_chats:
        return ALONE
    return Memory(True, _KEEP, session=hints.client_session, after_turn_ids=after)
