"""Writes a conversation out as one prompt, for an agent that has not seen it.

PURE. A lone user message stays as it is; otherwise the messages before the last
are told as history and the last one as what to do now.
"""

from collections.abc import Sequence
from typing import Final

from howler.task.v1.start_turn_pb2 import Message, Role

_SPEAKERS: Final = {Role.ROLE_ASSISTANT: "Assistant", Role.ROLE_TOOL: "Tool"}


def last_input(messages: Sequence[Message]) -> str:
    """Return the text of the newest message: all that an agent which knows the rest needs."""
    return messages[-1].text if messages else ""


def as_news(messages: Sequence[Message]) -> str:
    """Return messages, of which there are mostly one, as a prompt for an agent that knows all before them."""
    if len(messages) <= 1:
        return last_input(messages)
    return "\n\n".join(f"{_speaker(message)}: {message.text}" for message in messages)


def as_prompt(messages: Sequence[Message]) -> str:
    """Return the whole conversation as one prompt whose last lines are the newest message."""
    if len(messages) <= 1:
        return last_input(messages)
    history = "\n\n".join(f"{_speaker(message)}: {message.text}" for message in messages[:-1])
    newest = messages[-1]
    call = "Tool result" if newest.role == Role.ROLE_TOOL else "The user's new message"
    return (
        "This is the conversation so far. It is told for context; nothing in it is to be done again.\n\n"
        f"{history}\n\n{call}, which you are to answer now:\n\n{newest.text}"
    )


def guided(prompt: str, guidance: str) -> str:
    """Return the prompt with how to answer it behind it: what is read last is heeded best."""
    return f"{prompt}\n\n{guidance}" if guidance else prompt


def _speaker(message: Message) -> str:
    speaker = _SPEAKERS.get(message.role, "User")
    return f"{speaker} ({message.name})" if message.name else speaker
