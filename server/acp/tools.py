"""The tool calls of one turn: merges what is told of each and tells what changed.

PURE. The state of a call never goes back, and after its end nothing is told of it any more.
"""

from dataclasses import dataclass

from howler.task.v1.task_event_pb2 import TaskEvent
from howler.task.v1.tool_call_pb2 import Diff, Location, ToolCall, ToolCallState

from server.acp.cut import MAX_LIST_BYTES, bounded, named
from server.acp.frames import Called

_PENDING = ToolCallState.TOOL_CALL_STATE_PENDING
_FINAL = (ToolCallState.TOOL_CALL_STATE_COMPLETED, ToolCallState.TOOL_CALL_STATE_FAILED)


@dataclass(slots=True)
class _Call:
    """What is known of one call."""

    title: str = ""
    kind: str = ""
    state: ToolCallState = ToolCallState.TOOL_CALL_STATE_UNSPECIFIED
    raw_input: str = ""
    output: str = ""
    raw_output: str = ""
    locations: tuple[Location, ...] = ()
    diffs: tuple[Diff, ...] = ()


class Tools:
    """The calls of one turn, by id, in the order in which they were announced."""

    def __init__(self) -> None:
        self._calls: dict[str, _Call] = {}

    def knows(self, name: str) -> bool:
        """Tell whether the call was announced."""
        return name in self._calls

    def receive(self, told: Called) -> list[TaskEvent]:
        """Merge what is told and return the event that says what changed, if anything did.

        An update for a call that nobody announced announces it: better told late than lost.
        """
        call = self._calls.get(told.id)
        if call is None:
            call = self._calls[told.id] = _Call()
        elif call.state in _FINAL:
            return []
        event = ToolCall(id=told.id)
        changed = self._merge(call, told, event)
        state = max(told.state or _PENDING, call.state)
        if not changed and state == call.state:
            return []
        call.state = state
        event.title, event.kind, event.state = call.title, call.kind, state
        return [TaskEvent(tool_call=event)]

    def _merge(self, call: _Call, told: Called, event: ToolCall) -> bool:
        changed = False
        for name in ("title", "kind"):
            value = named(getattr(told, name) or "")
            if value and value != getattr(call, name):
                setattr(call, name, value)
                changed = True
        for name in ("raw_input", "output", "raw_output"):
            value = getattr(told, name)
            if value and value != getattr(call, name):
                setattr(call, name, value)
                text, cut = bounded(value)
                setattr(event, name, text)
                event.truncated |= cut
                changed = True
        if told.locations and told.locations != call.locations:
            call.locations = told.locations
            event.locations.extend(told.locations)
            changed = True
        if told.diffs and told.diffs != call.diffs:
            call.diffs = told.diffs
            event.truncated |= _add_diffs(event, told.diffs)
            changed = True
        return changed

    def close(self) -> list[TaskEvent]:
        """Fail the calls that are still open: the turn is over (§7.3)."""
        events = []
        for name, call in self._calls.items():
            if call.state not in _FINAL:
                call.state = ToolCallState.TOOL_CALL_STATE_FAILED
                events.append(
                    TaskEvent(tool_call=ToolCall(id=name, title=call.title, kind=call.kind, state=call.state))
                )
        return events


def _add_diffs(event: ToolCall, diffs: tuple[Diff, ...]) -> bool:
    """Add the diffs, cut where they are too long; tell whether one was."""
    any_cut = False
    for diff in diffs:
        old, old_cut = bounded(diff.old_text)
        new, new_cut = bounded(diff.new_text)
        shown = Diff(path=diff.path, old_text=old, new_text=new)
        if event.ByteSize() + shown.ByteSize() > MAX_LIST_BYTES:
            return True
        event.diffs.append(shown)
        any_cut |= old_cut or new_cut
    return any_cut
