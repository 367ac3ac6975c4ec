"""A turn as a platform streams it and as it replays it: for properties of what joins the two (§6.8).

The model stands on the protocol alone. Live, every message has a number of its own. A replay merges
neighbours of one text variant, plans and usage between them notwithstanding, in any way: the row's number is
the first's, its time the first's or the last's, and its place is where its time puts it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import msgspec
from howler.task.v1.start_turn_pb2 import QuestionPolicy
from howler.task.v1.task_event_pb2 import PlanEntry, TaskEvent
from howler.task.v1.tool_call_pb2 import ToolCallState
from hypothesis import strategies as st

from server.acp.frames import Began, Called, Echo, Frame, Metered, Over, Planned, Said, Thought
from server.acp.told import Told
from server.acp.turn import Turn

PROMPT = "do it"
_S = ToolCallState
_STATES = (_S.TOOL_CALL_STATE_PENDING, _S.TOOL_CALL_STATE_IN_PROGRESS, _S.TOOL_CALL_STATE_COMPLETED)
_TEXT = st.text(alphabet="aab é👩\u200d中\n", min_size=1, max_size=4)


@dataclass(frozen=True)
class Seen:
    """What a watcher of a turn ends with."""

    text: str
    thought: str
    tools: dict[str, tuple[str, int, str]]
    ended: int


def seen(events: list[TaskEvent]) -> Seen:
    """Fold events as a client does."""
    tools: dict[str, tuple[str, int, str]] = {}
    for event in events:
        if event.WhichOneof("event") == "tool_call":
            call = event.tool_call
            known = tools.get(call.id, ("", 0, ""))
            assert call.state >= known[1], "a call went back"
            tools[call.id] = (call.title, call.state, call.output or known[2])
    return Seen(
        text="".join(event.text_delta.text for event in events),
        thought="".join(event.thought_delta.text for event in events),
        tools=tools,
        ended=sum(event.WhichOneof("event") == "ended" for event in events),
    )


def noted(events: list[TaskEvent]) -> Told:
    """Return what watchers know who were told these events."""
    told = Told()
    for event in events:
        told.note(event)
    return told


def fresh() -> Turn:
    """Return a machine that has seen nothing."""
    return Turn(1, QuestionPolicy.QUESTION_POLICY_AUTO)


def told_by(frames: list[Frame], machine: Turn | None = None) -> list[TaskEvent]:
    """Return the events that frames mean."""
    machine = machine or fresh()
    return [event for frame in frames for event in machine.receive(frame)]


@st.composite
def turns(draw: st.DrawFn) -> list[Frame]:
    """Draw a whole turn, message by message, as it is streamed live."""
    kinds = draw(st.lists(st.sampled_from("ssssttcpu"), min_size=1, max_size=25))
    frames: list[Frame] = [Echo(text=PROMPT), Began()]
    calls: list[int] = []
    for kind in kinds:
        match kind:
            case "s":
                frames.append(Said(text=draw(_TEXT)))
            case "t":
                frames.append(Thought(text=draw(_TEXT)))
            case "p":
                frames.append(Planned(entries=(PlanEntry(content=draw(_TEXT)),)))
            case "u":
                frames.append(Metered(context_used=draw(st.integers(1, 99)), context_size=100))
            case _:
                number = draw(st.integers(0, 2))
                calls += [0] * (number + 1 - len(calls))
                if calls[number] < len(_STATES):
                    frames.append(
                        Called(
                            id=f"t{number}",
                            title=draw(st.sampled_from(("Bash", "Bash: ls"))),
                            state=_STATES[calls[number]],
                            output=draw(st.none() | _TEXT),
                        )
                    )
                    calls[number] += 1
    frames.append(Over())
    at = 1000
    numbered = []
    for seq, frame in enumerate(frames, draw(st.integers(1, 40))):
        at += draw(st.integers(0, 2))
        numbered.append(msgspec.structs.replace(frame, seq=seq, at=at))
    return numbered


def fold(frames: list[Frame], merges: Callable[[], bool], late: bool) -> list[Frame]:
    """Return the rows of a replay. `merges` says of each neighbour whether it goes into the row before."""
    rows: list[Frame] = []
    growing: int | None = None  # the place of the row that may grow
    for frame in frames:
        match frame:
            case Said() | Thought():
                row = rows[growing] if growing is not None else frame
                alike = growing is not None and type(row) is type(frame)
                if alike and isinstance(row, Said | Thought) and merges():
                    at = frame.at if late else row.at
                    rows[growing or 0] = msgspec.structs.replace(row, text=row.text + frame.text, at=at)
                    continue
                growing = len(rows)
            case Planned() | Metered():
                pass
            case _:
                growing = None
        rows.append(frame)
    return sorted(rows, key=lambda row: row.at)
