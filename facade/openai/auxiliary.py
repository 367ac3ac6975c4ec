"""Answers what clients ask beside the user's turns: titles, tags, compactions (openai-surface.md §7.2). Pure.

An agent would start a VM for each of them, and act on their prompts. A request
is taken for one only where it declares no tools and is, word for word, what
that client sends; everything else is a turn.
"""

import re
from collections.abc import Callable
from typing import Final

import msgspec
from howler.task.v1.start_turn_pb2 import Role

from facade.openai.compaction import summary_of
from facade.openai.hints import COMPACTION, Hints
from facade.openai.json_answer import JsonFormat, read_answer
from facade.openai.start import Asked

_USER: Final = Role.ROLE_USER

TITLE_WORDS: Final = 8
_MOST_TITLE: Final = 80  # characters: a word may be a whole file

_OPENCODE_TITLE: Final = "You are a title generator. You output ONLY a thread title."
_CHERRY_TITLES: Final = (
    "Summarize the conversation into a title in ",
    "You are an assistant skilled in conversation. You need to summarize the user's conversation into",
    "你是一名擅长会话的助理，你需要将用户的会话总结为",
)
_LIBRECHAT_TITLE: Final = re.compile(
    r"Provide a concise, 5-word-or-less title for the conversation, .*"
    r"Only return the title itself\.\s+Conversation:\s+(?P<said>.*)",
    re.DOTALL,
)
_OPEN_WEBUI_TASK: Final = "### Task:\n"


def auxiliary_answer(asked: Asked, hints: Hints) -> str | None:
    """Return the answer, where the request is such a call of a client that is known; None for a turn.

    Where JSON is asked for it is that, or it is left to an agent.
    """
    answer = _answer(asked, hints)
    return answer if answer is None or asked.json_format is None else _as_json(answer, asked.json_format)


def _answer(asked: Asked, hints: Hints) -> str | None:
    messages = asked.conversation.messages
    if asked.declares_tools or messages[-1].role != _USER:
        return None
    if hints.kind == COMPACTION:
        return summary_of(messages[:-1], hints.client_session)
    if asked.instructions.startswith(_OPENCODE_TITLE):
        return title_of(messages[-1].text)
    if len(messages) > 1:
        return None
    prompt = messages[0].text
    if asked.instructions.startswith(_CHERRY_TITLES):
        return title_of(_last_in_json(prompt))
    if found := _LIBRECHAT_TITLE.fullmatch(prompt):
        return title_of(_last_said(found["said"], "User: ", "AI: "))
    return _open_webui(prompt) if prompt.startswith(_OPEN_WEBUI_TASK) else None


def _as_json(answer: str, wanted: JsonFormat) -> str | None:
    """Return an answer as JSON: a text becomes the one text of an object. None where that does not fit."""
    told = read_answer(answer, wanted)
    if told.problem is None:
        return told.text
    properties = {"title": {}} if wanted.schema is None else wanted.schema.get("properties")
    for name in properties if isinstance(properties, dict) else ():
        value = {name: answer}
        if wanted.problem(value) is None:
            return msgspec.json.encode(value).decode()
    return None


def title_of(text: str) -> str:
    """Return the first eight words."""
    words = text.strip().strip("\"'").split()[:TITLE_WORDS]
    return " ".join(words)[:_MOST_TITLE] or "Conversation"


_OPEN_WEBUI: Final[dict[str, Callable[[str], dict[str, object]]]] = {
    "Generate a concise, 3-5 word title": lambda said: {"title": title_of(said)},
    "Generate 1-3 broad tags categorizing": lambda _: {"tags": ["General"]},
    "Suggest 3-5 relevant follow-up questions": lambda _: {"follow_ups": []},
    "You are an autocompletion system.": lambda _: {"text": ""},
}


def _open_webui(prompt: str) -> str | None:
    """Return the JSON that one of Open WebUI's own prompts asks for; None for one that an admin wrote."""
    task, _, rest = prompt.removeprefix(_OPEN_WEBUI_TASK).partition("<chat_history>\n")
    conversation, found, _ = rest.rpartition("</chat_history>")
    make = next((make for opening, make in _OPEN_WEBUI.items() if task.startswith(opening)), None)
    if make is None or not found or "JSON format" not in task:
        return None
    return msgspec.json.encode(make(_last_said(conversation, "USER: ", "ASSISTANT: "))).decode()


def _last_said(conversation: str, user: str, agent: str) -> str:
    """Return what the user said last in a conversation that is written down with a name before each part."""
    _, found, last = f"\n{conversation}".rpartition(f"\n{user}")
    return last.partition(f"\n{agent}")[0] if found else conversation


def _last_in_json(text: str) -> str:
    """Return what the user said last in Cherry Studio's list of messages, or the text where it is none."""
    try:
        told = msgspec.json.decode(text, type=list[dict[str, object]])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return text
    spoken = [one.get("mainText") or one.get("content") for one in told if one.get("role") == "user"]
    return next((said for said in reversed(spoken) if isinstance(said, str)), text)
