"""Compactions: Codex has a long history summed up, and tells the summary in its place (§7.2). Pure.

The agent needs none, for it keeps what it heard. So the summary is made here, and whoever sends it back means
all that it stands for: the conversation is recognised by it, and goes on with the same agent.
"""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from howler.conversation.v1.conversation_service_pb2 import RetellRequest
from howler.task.v1.start_turn_pb2 import Message, Role, StartTurn, Transcript

_USER: Final = Role.ROLE_USER
_ASSISTANT: Final = Role.ROLE_ASSISTANT
_TOOL: Final = Role.ROLE_TOOL

COMPACTION_BYTES: Final = 8192
"""How much of what the user said a summary repeats."""

_ENVIRONMENT: Final = "<environment_context>"
_SAID: Final = "What the user said, newest first:"
_ANSWERED: Final = "\n\nThe last answer:\n\n"
_RESULTS: Final = "\n\nThe results that the agent waits for:\n\n"
_KEPT: Final = "\n\nThe agent keeps the whole of this conversation"
_REST: Final = "; it remembers the rest."


def summary_of(history: Sequence[Message], conversation: str) -> str:
    """Return what a client goes on with in place of the history of a `conversation`, as it names that.

    In the middle of a turn the history ends with results of the client's tools, which the agent waits for.
    """
    heard, results = _heard(history)
    core = _core(heard, conversation)
    if not results:
        return core
    said, kept, rest = core.rpartition(_KEPT)
    return "".join((said, _RESULTS, "\n".join(result.text for result in results), kept, rest))


def since_summary(conversation: Transcript) -> Transcript:
    """Return a conversation from its last summary on, where it has one: that stands for all before it."""
    messages = conversation.messages
    for at in range(len(messages) - 1, -1, -1):
        found = _find(messages[at].text) if messages[at].role == _USER else None
        if found is not None:
            results = [Message(role=_TOOL, text=found.results)] if found.results else []
            return Transcript(messages=[_told(found.core), *results, *messages[at + 1 :]])
    return conversation


def compacted(start: StartTurn, summary: str) -> RetellRequest:
    """Return how a conversation is told from now on; its last message asked for the summary."""
    heard, _ = _heard(start.messages.messages[:-1])
    found = _find(summary)
    return RetellRequest(
        principal=start.principal,
        session=start.session,
        before=Transcript(messages=heard),
        history=Transcript(messages=[_told(summary if found is None else found.core)]),
    )


def _heard(history: Sequence[Message]) -> tuple[Sequence[Message], Sequence[Message]]:
    """Return what the agent has heard, and the results behind that."""
    end = len(history)
    while end and history[end - 1].role == _TOOL:
        end -= 1
    return history[:end], history[end:]


def _core(history: Sequence[Message], conversation: str) -> str:
    texts = [message.text for message in history if message.role == _USER]
    spoken = [_spoken(text) for text in texts if not text.lstrip().startswith(_ENVIRONMENT)]
    answers = [message.text for message in history if message.role == _ASSISTANT]
    said = "\n\n".join([_SAID, *_within(reversed(spoken), COMPACTION_BYTES)])
    answered = f"{_ANSWERED}{answers[-1]}" if answers else ""
    where = f" {conversation}" if conversation else ""
    return f"{said}{answered}{_KEPT}{where}{_REST}"


class _Found(NamedTuple):
    """A summary without the results in it, these, and what it repeats of what the user said."""

    core: str
    results: str
    said: str


def _find(text: str) -> _Found | None:
    """Return the summary in a message; clients put words of their own before it."""
    _, found, rest = text.partition(_SAID)
    body, ends, last = rest.rstrip().rpartition(_KEPT)
    if not (found and ends and last.endswith(_REST)) or "\n" in last:
        return None
    body, _, results = body.partition(_RESULTS)
    said, _, _ = body.partition(_ANSWERED)
    return _Found(f"{_SAID}{body}{_KEPT}{last}", results, said.strip())


def _told(text: str) -> Message:
    return Message(role=_USER, text=text)


def _spoken(text: str) -> str:
    """Return what the user said; of a summary what it repeats of that."""
    found = _find(text)
    return text if found is None else found.said


def _within(texts: Iterable[str], most: int) -> list[str]:
    """Return the texts as they are while they fit into `most` bytes; the one that does not is cut."""
    kept: list[str] = []
    for text in texts:
        whole = text.encode()
        if len(whole) > most:
            cut = whole[:most].decode(errors="ignore")
            return [*kept, f"{cut}…"] if cut else kept
        kept.append(text)
        most -= len(whole)
    return kept
