"""What people read of events that are neither the answer nor a thought.

Not told: the VM's progress, usage, the agent's commands, changes of files and
ports, a connection that comes and goes, and what Howler does not know itself.
"""

from typing import Final

from howler.task.v1.task_event_pb2 import (
    Image,
    Notice,
    NoticeKind,
    Plan,
    PlanEntryStatus,
    Question,
    QuestionResolution,
    QuestionResolved,
)

_MARKS: Final = {
    PlanEntryStatus.PLAN_ENTRY_STATUS_IN_PROGRESS: "~",
    PlanEntryStatus.PLAN_ENTRY_STATUS_COMPLETED: "x",
}
_TOLD_NOTICES: Final = frozenset(
    {
        NoticeKind.NOTICE_KIND_LLM_RETRY,
        NoticeKind.NOTICE_KIND_COMPACTION_STARTED,
        NoticeKind.NOTICE_KIND_COMPACTION_ENDED,
        NoticeKind.NOTICE_KIND_AGENT_ERROR,
        NoticeKind.NOTICE_KIND_MODEL_CHANGED,
    }
)
_UNANSWERED: Final = {
    QuestionResolution.QUESTION_RESOLUTION_DECLINED: "declined",
    QuestionResolution.QUESTION_RESOLUTION_EXPIRED: "not answered",
    QuestionResolution.QUESTION_RESOLUTION_ELSEWHERE: "answered elsewhere",
}


def checklist(plan: Plan) -> str:
    """Return the plan as a Markdown checklist, a line per step: `[x]` done, `[~]` begun."""
    return "\n".join(f"- [{_MARKS.get(entry.status, ' ')}] {_flat(entry.content)}" for entry in plan.entries)


def notice_line(notice: Notice) -> str:
    """Return the notice as a line; empty where it is not worth one."""
    if notice.kind not in _TOLD_NOTICES:
        return ""
    kind = NoticeKind.Name(notice.kind).removeprefix("NOTICE_KIND_").replace("_", " ").lower()
    return f"[{kind}] {_flat(notice.message)}".rstrip()


def image_line(image: Image) -> str:
    """Return a line that stands for an image: neither API has a place for one in an answer."""
    where = image.uri if image.uri else f"{len(image.data)} bytes"
    return f"[image] {image.mime_type or 'unknown type'}, {_flat(where)}"


def question_line(question: Question, resolved: QuestionResolved) -> str:
    """Return what was asked and what was answered, a line per item."""
    answers = {answer.text: ", ".join(answer.values) for answer in resolved.answers}
    fallback = _UNANSWERED.get(resolved.resolution, "answered")
    asked = [item.text for item in question.items] or list(answers)
    return "\n".join(f"[question] {_flat(text)} -> {_flat(answers.get(text) or fallback)}" for text in asked)


def _flat(text: str) -> str:
    return " ".join(text.split())
