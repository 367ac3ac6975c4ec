"""The questions of one turn: who answers them, and what is still open.

PURE. Both carriers of a question (upstream-protocol §7.6) arrive here as `Asked`; one id is one question.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from howler.task.v1.start_turn_pb2 import QuestionPolicy
from howler.task.v1.task_event_pb2 import (
    Answer,
    Question,
    QuestionItem,
    QuestionResolution,
    QuestionResolved,
    TaskEvent,
)
from howler.task.v1.tool_call_pb2 import ToolCallState

from server.acp.frames import Answered, Asked, Called
from server.acp.uplink import Reply, fits

_R = QuestionResolution
_SETTLED: Final = {
    ToolCallState.TOOL_CALL_STATE_COMPLETED: _R.QUESTION_RESOLUTION_ELSEWHERE,
    ToolCallState.TOOL_CALL_STATE_FAILED: _R.QUESTION_RESOLUTION_EXPIRED,
}


_OURS: Final = {
    _R.QUESTION_RESOLUTION_AUTO,
    _R.QUESTION_RESOLUTION_ANSWERED,
    _R.QUESTION_RESOLUTION_DECLINED,
}


class Questions:
    """The questions of one turn, by id.

    `answered` holds how questions were resolved of which a replay may tell again: they are
    resolved alike, and the platform is owed the reply once more unless the replay shows it. `owed` holds the
    replies that are yet to be sent.
    """

    def __init__(self, policy: QuestionPolicy, answered: Mapping[str, QuestionResolved | None]) -> None:
        self._policy = policy
        self._answered = answered
        self._open: dict[str, tuple[QuestionItem, ...]] = {}
        self._seen: set[str] = set()
        self.owed: dict[str, Reply] = {}

    def asked(self, frame: Asked) -> list[TaskEvent]:
        """Tell a new question and, where the policy says so, its answer."""
        if frame.id in self._seen:
            return self.changed(frame)
        self._seen.add(frame.id)
        self._open[frame.id] = frame.items
        events = [TaskEvent(question=Question(question_id=frame.id, items=frame.items))]
        if frame.state in _SETTLED:
            return events + self.changed(frame)
        if (known := self._answered.get(frame.id)) is not None:
            if known.resolution not in _OURS:
                return events + self._drop(frame.id, known.resolution, known.answers)
            return events + self.resolve(frame.id, known.resolution, known.answers)
        match self._policy:
            case QuestionPolicy.QUESTION_POLICY_ASK:
                return events
            case QuestionPolicy.QUESTION_POLICY_DECLINE:
                return events + self.resolve(frame.id, _R.QUESTION_RESOLUTION_DECLINED, [])
        chosen = [
            Answer(text=item.text, values=[option.label for option in item.options[:1]])
            for item in frame.items
        ]
        try:
            return events + self.resolve(frame.id, _R.QUESTION_RESOLUTION_AUTO, chosen)
        except ValueError:  # options that no frame can hold: the agent shall not wait for them
            return events + self.resolve(frame.id, _R.QUESTION_RESOLUTION_DECLINED, [])

    def knows(self, name: str) -> bool:
        """Tell whether the id is a question's."""
        return name in self._seen

    def changed(self, frame: Asked | Called) -> list[TaskEvent]:
        """Take note of the state of the call that carries a question: it may settle what is open."""
        resolution = _SETTLED.get(frame.state) if frame.state is not None else None
        return self._drop(frame.id, resolution) if resolution is not None else []

    def answer(self, name: str, answers: Sequence[Answer], *, decline: bool) -> list[TaskEvent]:
        """Answer or decline an open question for a caller. Raises as `resolve` does."""
        if decline:
            return self.resolve(name, _R.QUESTION_RESOLUTION_DECLINED, [])
        return self.resolve(name, _R.QUESTION_RESOLUTION_ANSWERED, answers)

    def resolve(
        self, name: str, resolution: QuestionResolution, answers: Sequence[Answer]
    ) -> list[TaskEvent]:
        """Answer or decline an open question and owe the platform the reply.

        Raises LookupError when it is not open, ValueError when an item lacks its answer or the
        answers fit no frame.
        """
        items = self._open.get(name)
        if items is None:
            raise LookupError(name)
        declined = resolution == _R.QUESTION_RESOLUTION_DECLINED
        given = {answer.text: list(answer.values) for answer in answers}
        missing = [item.text for item in items if item.text not in given]
        if missing and not declined:
            raise ValueError(f"{len(missing)} of {len(items)} items have no answer")
        chosen: dict[str, str | list[str]] = {}
        if not declined:
            for item in items:
                values = given[item.text]
                chosen[item.text] = values if item.multiple else next(iter(values), "")
        reply = Reply(request_id=name, answers=chosen, cancelled=declined)
        if not fits(reply):
            raise ValueError("together they are larger than the platform takes")
        del self._open[name]
        self.owed[name] = reply
        return [_resolved(name, resolution, answers)]

    def answered_elsewhere(self, frame: Answered) -> list[TaskEvent]:
        """Take note of an answer that the platform tells: ours told back, or somebody else's."""
        resolution = _R.QUESTION_RESOLUTION_DECLINED if frame.cancelled else _R.QUESTION_RESOLUTION_ELSEWHERE
        return self._drop(
            frame.id, resolution, [Answer(text=text, values=values) for text, values in frame.answers]
        )

    def _drop(
        self, name: str, resolution: QuestionResolution, answers: Sequence[Answer] = ()
    ) -> list[TaskEvent]:
        self.owed.pop(name, None)  # the platform has its answer, or wants none any more
        if self._open.pop(name, None) is None:
            return []
        return [_resolved(name, resolution, answers)]

    def close(self) -> list[TaskEvent]:
        """Expire what is still open: the turn is over."""
        return [
            event for name in list(self._open) for event in self._drop(name, _R.QUESTION_RESOLUTION_EXPIRED)
        ]


def answered(question: Question, answers: Sequence[Answer], *, decline: bool) -> list[TaskEvent]:
    """Answer or decline a question that was told before: the reply is owed by whoever sees it replayed.

    Raises ValueError as Questions.answer does.
    """
    alone = Questions(QuestionPolicy.QUESTION_POLICY_ASK, {})
    alone.asked(Asked(id=question.question_id, items=tuple(question.items)))
    return alone.answer(question.question_id, answers, decline=decline)


def _resolved(name: str, resolution: QuestionResolution, answers: Sequence[Answer]) -> TaskEvent:
    return TaskEvent(
        question_resolved=QuestionResolved(question_id=name, resolution=resolution, answers=answers)
    )
