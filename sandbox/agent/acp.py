"""The frames of a turn, by what they mean (protocol §7)."""

from sandbox.agent.step import Emit

ACP = "acp_event"
QUESTION = "acp_ask_user_question"


def update(variant: str, **fields: object) -> Emit:
    """An ACP update of the given variant."""
    return Emit("task-running", ACP, {"update": {"sessionUpdate": variant, **fields}})


def said(text: str) -> Emit:
    """A piece of the answer."""
    return update("agent_message_chunk", content={"type": "text", "text": text})


def thought(text: str) -> Emit:
    """A piece of the reasoning."""
    return update("agent_thought_chunk", content={"type": "text", "text": text})


def image(data: str) -> Emit:
    """A picture in the answer; `data` is base64."""
    return update("agent_message_chunk", content={"type": "image", "data": data})


def tool_call(call_id: str, title: str, kind: str, **fields: object) -> Emit:
    """A tool call begins. Fields: status, rawInput, rawOutput, content, locations."""
    return update("tool_call", toolCallId=call_id, title=title, kind=kind, **fields)


def tool_update(call_id: str, **fields: object) -> Emit:
    """A tool call goes on; only what changes is told."""
    return update("tool_call_update", toolCallId=call_id, **fields)


def plan(*entries: tuple[str, str, str]) -> Emit:
    """The plan as a whole: (content, priority, status) of each entry."""
    return update(
        "plan",
        entries=[
            {"content": content, "priority": priority, "status": status}
            for content, priority, status in entries
        ],
    )


def usage(used: int, size: int = 200_000) -> Emit:
    """Tokens in the context window, and its size."""
    return update("usage_update", used=used, size=size)


def is_usage(step: Emit) -> bool:
    """Tell whether a step is a usage update."""
    payload = step.payload
    update = payload.get("update") if isinstance(payload, dict) else None
    return isinstance(update, dict) and update.get("sessionUpdate") == "usage_update"


def question(call_id: str, *questions: dict[str, object]) -> Emit:
    """A question in its own carrier (§7.6, 1)."""
    return Emit(
        "task-running",
        QUESTION,
        {"toolCall": {"toolCallId": call_id, "rawInput": {"questions": list(questions)}}},
    )


def failure(details: str) -> Emit:
    """An error of the agent inside the turn; it does not end the turn."""
    return Emit("task-error", "", {"details": details})


STARTED = Emit("task-started")
ENDED = Emit("task-ended")
CANCELLED = Emit("user-cancel")
