"""What the log store gives back: the latest turn, rounds, user inputs (protocol §5.7, §5.8, §6.8)."""

import base64
import itertools
import time
from dataclasses import dataclass

from sandbox.wire.frame import Frame
from sandbox.wire.prompt import read_prompt, write_prompt
from sandbox.world.faults import PlatformFault
from sandbox.world.history import Entry, Merging, fold
from sandbox.world.task import Task

_INPUT_RUNES = 500
_STEP_NS = 1_000_000
_READS = itertools.count()


@dataclass(frozen=True, slots=True)
class UserInput:
    """One prompt, as the store knows it."""

    at_ns: int
    turn: int
    text: str


def rows(task: Task, turn: int, behaviour: PlatformFault) -> list[Entry]:
    """Return the rows of a turn that the store can give by now, in time order."""
    until = time.time_ns() - int(behaviour.ingest_lag_ms * 1_000_000)
    # Without a lag all that was told counts: the channel's clock may run ahead of the wall's.
    stored = task.channel.stored(turn, until if behaviour.ingest_lag_ms else task.channel.now_ns())
    if behaviour.fold_seed is not None:
        return fold(stored, Merging(behaviour.fold_seed + next(_READS)))
    return fold(stored, Merging()) if behaviour.fold else stored


def synthesized(task: Task) -> Entry:
    """Return the user-input that is made of the task's content where the log has none."""
    data = write_prompt(task.order.prompt)
    return Entry(task.created_at * 1_000_000_000, 0, 1, "user-input", "", None, data)


def latest_turn(task: Task, behaviour: PlatformFault) -> list[Frame]:
    """Return the frames of an attach's replay, without the cursor."""
    turn = task.channel.turns
    found = rows(task, turn, behaviour)
    if turn == 1 and found and found[0].type != "user-input":
        found.insert(0, synthesized(task))
    return [row.frame() for row in found]


def chunk(row: Entry) -> dict[str, object]:
    """Return a row as REST shows it: `event` for `type`, nanoseconds."""
    fields: dict[str, object] = {"data": base64.b64encode(row.data).decode("ascii")} if row.data else {}
    fields |= {"event": row.type, "kind": row.kind, "timestamp": row.at_ns}
    return fields | ({"seq": row.seq} if row.seq else {}) | {"turn_seq": row.turn}


def round_of(task: Task, turn: int, behaviour: PlatformFault) -> list[dict[str, object]]:
    """Return one round; the oldest gets a user-input if it lacks one."""
    found = rows(task, turn, behaviour)
    if turn == 1 and not any(row.type == "user-input" for row in found):
        found.insert(0, synthesized(task))
    return [chunk(row) for row in found]


def inputs(task: Task, behaviour: PlatformFault) -> list[UserInput]:
    """Return every prompt of a task, newest first."""
    found = []
    for turn in range(task.channel.turns, 0, -1):
        for row in rows(task, turn, behaviour):
            if row.type == "user-input":
                at_ns = row.at_ns // _STEP_NS * _STEP_NS
                found.append(UserInput(at_ns, turn, read_prompt(row.data).text))
    return found


def input_item(one: UserInput) -> dict[str, object]:
    """Return a prompt as REST shows it."""
    return {
        "id": f"user-input-{one.at_ns}",
        "content": one.text[:_INPUT_RUNES],
        "truncated": len(one.text) > _INPUT_RUNES,
        "timestamp": one.at_ns,
        "seq": one.turn,
    }
