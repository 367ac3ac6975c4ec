"""Conversations in the store, whichever kind of database it is on.

What a conversation does is nowhere written: it follows from its task and from the lease of the turn that
makes it a new one, so that whatever ends these leaves it as it is.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from howler.conversation.v1.conversation_service_pb2 import Conversation, ConversationState
from howler.task.v1.start_turn_pb2 import Message, Transcript

from server.conversation.plan import Known
from server.conversation.thread import Thread
from server.pool.account import LeaseId, TaskId
from server.pool.show import timestamp
from server.store.pages import Cursor, page
from server.store.rows import Parameters, Row
from server.store.tables import Tables

_CANDIDATES: Final = 16  # conversations that were left at the same point: one of them is at rest, mostly
_NO_LEASE: Final = LeaseId("")


class Said(NamedTuple):
    """What a turn leaves of a conversation: see Known. `before` is the turn before it, "" for none.

    `turns` counts it, too. `task_id` is empty where the turn left no task that could take another one.
    `added` is what was said in the turn, for a conversation that keeps it. `session` is the name that it gets
    by the turn, empty for none.
    """

    conversation_id: str
    principal: str
    model: str
    instructions: str
    told: str
    thread: Thread
    task_id: TaskId
    turn_id: str
    before: str
    turns: int
    added: Transcript
    session: str = ""


class Sought(NamedTuple):
    """What a conversation is found by: who speaks, to which model, and that it was left at one of the points.

    `instructions` is the digest of what its agent was instructed. It has no other name than `session`, where
    that is not empty. Where `turns` are given, one of them ran last in it, and its name does not count.
    """

    principal: str
    model: str
    instructions: str
    threads: Sequence[Thread]
    session: str = ""
    turns: Sequence[str] = ()


class Conversations:
    """Conversations. `now_us` is the wall clock in microseconds since 1970. Every call raises StoreError."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def add(
        self,
        known: Known,
        history: Transcript,
        now_us: int,
        *,
        lease_id: LeaseId = _NO_LEASE,
        turn_id: str = "",
    ) -> None:
        """Record a new conversation and what was said before; a turn on a lease may claim it at once."""
        shown = known.shown
        made: Parameters = {
            "conversation_id": shown.conversation_id,
            "principal": shown.principal,
            "instructions": known.instructions,
            "told": known.told,
            "keeps": int(known.keeps),
            "thread": known.thread,
            "lease_id": lease_id,
            "turn_id": turn_id,
            "metadata": json.dumps(dict(shown.metadata)),
            "now_us": now_us,
            "session": shown.session,
        }
        await self._tables.write(shown.conversation_id, "add_conversation", made)
        if history.messages:
            await self._keep(shown.conversation_id, "", 0, history)

    async def get(self, conversation_id: str) -> Known | None:
        """Return one."""
        found = await self._tables.read("get_conversation", {"conversation_id": conversation_id})
        return _known(found[0]) if found else None

    async def said(self, conversation_id: str) -> list[Message]:
        """Return what was said in one, as far as it keeps that."""
        rows = await self._tables.read("conversation_said", {"conversation_id": conversation_id})
        return [message for row in rows for message in Transcript.FromString(row["messages"]).messages]

    async def left(self, sought: Sought) -> list[Known]:
        """Return the conversations that are sought: of the name first, then the one used last first."""
        asked: Parameters = {
            **sought._asdict(),
            "threads": json.dumps(sought.threads),
            "turns": json.dumps(sought.turns),
            "limit": _CANDIDATES,
        }
        return [_known(row) for row in await self._tables.read("conversations_left", asked)]

    async def of_session(self, principal: str, session: str) -> str | None:
        """Return the conversation of a principal's name that was used last."""
        asked: Parameters = {"principal": principal, "session": session}
        found = await self._tables.read("conversation_of_session", asked)
        return found[0]["conversation_id"] if found else None

    async def claim(self, known: Known, lease_id: LeaseId, turn_id: str) -> bool:
        """Let a turn have a conversation for as long as its lease lives, to make it a new task.

        False when another turn has it, or had it since `known` was read.
        """
        asked: Parameters = {
            "conversation_id": known.id,
            "before": known.last_turn,
            "lease_id": lease_id,
            "turn_id": turn_id,
        }
        return bool(await self._tables.write(lease_id, "claim_conversation", asked))

    async def say(self, said: Said, lease_id: LeaseId, now_us: int) -> None:
        """Record what a turn on a lease leaves of a conversation. One that was deleted stays so."""
        if said.added.messages:
            await self._keep(said.conversation_id, said.before, said.turns, said.added)
        await self._tables.write_soon(lease_id, "say", _left(said, now_us))

    async def begin(self, said: Said, lease_id: LeaseId, now_us: int) -> None:
        """Record a conversation that keeps no words with what its first turn, on a lease, leaves of it."""
        await self._tables.write_soon(lease_id, "begin_saying", _left(said, now_us))

    async def retell(self, conversation_id: str, turn_id: str, thread: Thread) -> None:
        """Have a conversation recognised by another thread, if the turn is its last."""
        told: Parameters = {"conversation_id": conversation_id, "turn_id": turn_id, "thread": thread}
        await self._tables.write(conversation_id, "retell", told)

    async def retell_left(self, principal: str, session: str, before: Thread, thread: Thread) -> None:
        """Have what was left at a point, of a principal's name, recognised by another thread."""
        told: Parameters = {"principal": principal, "session": session, "before": before, "thread": thread}
        await self._tables.write(session, "retell_left", told)

    async def _keep(self, conversation_id: str, before: str, number: int, messages: Transcript) -> None:
        """Keep what a turn adds behind the one `before`, which is still the conversation's last."""
        added: Parameters = {
            "conversation_id": conversation_id,
            "before": before,
            "number": number,
            "messages": messages.SerializeToString(),
        }
        await self._tables.write(conversation_id, "keep_said", added)

    async def change_metadata(self, conversation_id: str, metadata: Mapping[str, str]) -> None:
        """Record what the caller keeps with a conversation."""
        changed: Parameters = {"conversation_id": conversation_id, "metadata": json.dumps(dict(metadata))}
        await self._tables.write(conversation_id, "change_metadata", changed)

    async def change_model(self, task_id: TaskId, model: str) -> None:
        """Record that a task runs another model."""
        await self._tables.write(task_id, "change_model", {"task_id": task_id, "model": model})

    async def page(
        self, state: ConversationState, principal: str, limit: int, after: Cursor | None = None
    ) -> list[Conversation]:
        """Return up to `limit` conversations in a state (UNSPECIFIED: any) of a principal ("": any).

        The one used last comes first; `after` is where the page before ended.
        """
        found = await self._tables.read("list_conversations", page(state, principal, limit, after))
        return [_known(row).shown for row in found]

    async def delete(self, conversation_id: str) -> TaskId | None:
        """Forget one; return its task, which may have ended. None where there is none."""
        which: Parameters = {"conversation_id": conversation_id}
        found = await self._tables.write(conversation_id, "delete_conversation", which)
        await self._tables.write(conversation_id, "delete_said", which)
        await self._tables.write(conversation_id, "delete_items", which)
        return TaskId(found[0]["task_id"]) if found else None

    async def idle(self, before_us: int) -> list[TaskId]:
        """Return the tasks of conversations that were used last before a moment."""
        found = await self._tables.read("idle_conversations", {"before_us": before_us})
        return [TaskId(row["task_id"]) for row in found]

    async def forget(self, before_us: int) -> None:
        """Forget those that keep no words, have no task and were used last before a moment."""
        await self._tables.write("", "forget_conversations", {"before_us": before_us})


def _left(said: Said, now_us: int) -> Parameters:
    columns: Parameters = said._asdict()
    columns["now_us"] = now_us
    return columns


def _known(row: Row) -> Known:
    task_id = row["task_id"] if row["task_used_us"] is not None else ""
    return Known(
        shown=Conversation(
            conversation_id=row["conversation_id"],
            principal=row["principal"],
            model=row["model"],
            state=row["state"],
            task_id=task_id,
            turn_id=row["newest_turn"],
            turns=row["turns"],
            create_time=timestamp(row["create_us"]),
            last_used_time=timestamp(row["last_used_us"]),
            metadata=json.loads(row["metadata"]),
            session=row["session"],
        ),
        last_turn=row["turn_id"],
        thread=Thread(row["thread"]),
        instructions=row["instructions"],
        told=row["told"],
        keeps=bool(row["keeps"]),
        settled=bool(row["settled"]),
    )
