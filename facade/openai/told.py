"""Turns that no agent runs: their answer is known when they are asked for. Pure."""

from howler.model.v1.model_service_pb2 import Model
from howler.task.v1.task_event_pb2 import Accepted, Ended, EndReason, Started, TaskEvent, TextDelta

_COMPLETED = EndReason.END_REASON_COMPLETED


def told_turn(answer: str, model: str) -> list[TaskEvent]:
    """Return the events of a turn that said the answer; its tokens are none, for no model was asked."""
    text = [TaskEvent(text_delta=TextDelta(text=answer))] if answer else []
    return [
        TaskEvent(accepted=Accepted(model=Model(id=model))),
        TaskEvent(started=Started()),
        *text,
        TaskEvent(ended=Ended(reason=_COMPLETED)),
    ]
