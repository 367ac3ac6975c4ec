"""What a turn's log leaves open: tool calls without an end, questions without an answer.

PURE. Whoever ends a turn that another process ran closes these first, as the grammar of
TaskEvent demands.
"""

from collections.abc import Iterable
from typing import Final

from howler.task.v1.task_event_pb2 import QuestionResolution, QuestionResolved, TaskEvent
from howler.task.v1.tool_call_pb2 import ToolCall, ToolCallState

_FAILED: Final = ToolCallState.TOOL_CALL_STATE_FAILED
_FINAL: Final = (ToolCallState.TOOL_CALL_STATE_COMPLETED, _FAILED)
_EXPIRED: Final = QuestionResolution.QUESTION_RESOLUTION_EXPIRED


class Opened:
    """What is open, in the order in which it was opened."""

    def __init__(self) -> None:
        self._calls: dict[str, ToolCall] = {}
        self._questions: dict[str, None] = {}

    def note(self, events: Iterable[TaskEvent]) -> None:
        """Take events of the log."""
        for event in events:
            match event.WhichOneof("event"):
                case "tool_call":
                    call = event.tool_call
                    if call.state in _FINAL:
                        self._calls.pop(call.id, None)
                    else:
                        self._calls[call.id] = ToolCall(id=call.id, title=call.title, kind=call.kind)
                case "question":
                    self._questions[event.question.question_id] = None
                case "question_resolved":
                    self._questions.pop(event.question_resolved.question_id, None)

    def closing(self, last: Iterable[TaskEvent]) -> list[TaskEvent]:
        """Return what closes all that the turn's last events leave open; nothing is open then."""
        self.note(last)
        calls, questions = self._calls, self._questions
        self._calls, self._questions = {}, {}
        for call in calls.values():
            call.state = _FAILED
        resolved = [QuestionResolved(question_id=name, resolution=_EXPIRED) for name in questions]
        return [
            *(TaskEvent(tool_call=call) for call in calls.values()),
            *(TaskEvent(question_resolved=one) for one in resolved),
        ]
