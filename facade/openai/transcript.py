"""Writes messages of either API down as a Transcript of the contract.

The agent is given what people and tools said. Reasoning is dropped, and so is
what answers were told to show beside the agent's words (asides.py). Calls of the
client's tools stand where the assistant made them, so that the results that
follow make sense.
"""

import enum
from typing import Final

from howler.task.v1.start_turn_pb2 import Role, Transcript

from facade.errors import ApiError, invalid, unsupported
from facade.openai.asides import is_own_call, strip_added
from facade.openai.client_tools.history import past_call, past_result
from facade.openai.enclosures import Enclosures
from facade.openai.wire import Part, checked_text

_NO_OUTPUT: Final = "(no output)"
_TEXT_PARTS: Final = frozenset({"text", "input_text", "output_text"})
_ASSISTANT: Final = Role.ROLE_ASSISTANT
_TOOL: Final = Role.ROLE_TOOL
_ROLES: Final = {"user": Role.ROLE_USER, "assistant": _ASSISTANT, "tool": _TOOL, "function": _TOOL}
INSTRUCTING: Final = frozenset({"system", "developer"})


def text_of(content: str | list[Part] | None, param: str, enclosures: Enclosures | None = None) -> str:
    """Return the text of a content field, its parts joined by a newline.

    Images and files go to `enclosures`. Raises the 400 `unsupported_value` for a part that is neither text
    nor one of these.
    """
    if content is None:
        return ""
    if isinstance(content, str):
        return checked_text(content, param)
    return "\n".join(_part_text(part, f"{param}[{index}]", enclosures) for index, part in enumerate(content))


def _part_text(part: Part, param: str, enclosures: Enclosures | None) -> str:
    if part.type in _TEXT_PARTS:
        return checked_text(part.text or "", f"{param}.text")
    if part.type == "refusal":
        return checked_text(part.refusal or "", f"{param}.refusal")
    if enclosures is not None and enclosures.takes(part):
        return enclosures.line(part, param)
    raise unsupported(f"Content of the type {part.type[:40]!r} is not supported here.", param)


class CallStyle(enum.Enum):
    """How calls of the client's tools and their results are written down."""

    NOTES = enum.auto()
    """Each call as a note, each result as a message: the agent is to know what was done, not how."""
    ENVELOPES = enum.auto()
    """As the agent called and is to call again; results that follow each other are one message."""


class TranscriptWriter:
    """A conversation being written down, oldest message first.

    `enclosures` are its images and files; those from before the assistant's last words are old.
    """

    def __init__(self, param: str, style: CallStyle = CallStyle.NOTES) -> None:
        self._param = param
        self._style = style
        self._conversation = Transcript()
        self._messages = self._conversation.messages
        self._instructions: list[str] = []
        self._tools: dict[str, str] = {}
        self._last = ("", param)
        self.enclosures = Enclosures()

    def say(self, role: str, text: str, param: str, name: str = "") -> None:
        """Add what a role said; system and developer text is kept apart."""
        if role in INSTRUCTING:
            if text:
                self._instructions.append(text)
            return
        known = _ROLES.get(role)
        if known is None:
            raise invalid("The role is none of system, developer, user, assistant, tool.", f"{param}.role")
        self._last = (role, param)
        if known == _ASSISTANT:
            self.enclosures.forget()
            text = strip_added(text)
        if known == _TOOL:
            text = text or _NO_OUTPUT
        if text:
            self._messages.add(role=known, text=text, name=checked_text(name, f"{param}.name"))

    def call(self, name: str, arguments: str, call_id: str | None, param: str) -> None:
        """Add an assistant's call of a tool of the client, which its result may name by `call_id`."""
        if is_own_call(call_id):
            return
        if call_id:
            self._tools[call_id] = name
        if self._style is CallStyle.ENVELOPES:
            if self._messages and self._messages[-1].role == _ASSISTANT:
                self._messages[-1].text = self._messages[-1].text.rstrip()  # as `Emulation` retells it
            line = past_call(name, arguments, call_id or "")
        else:
            line = f"(called the tool {name} with {arguments or '{}'})"
        self.say("assistant", checked_text(line, param), param)

    def result(self, text: str, call_id: str | None, param: str, name: str = "") -> None:
        """Add the result of a tool of the client."""
        if is_own_call(call_id):
            return
        name = name or self._tools.get(call_id or "", "")
        if self._style is CallStyle.NOTES:
            self.say("tool", text, param, name)
            return
        told = checked_text(past_result(text or _NO_OUTPUT, name, call_id or ""), param)
        if self._messages and self._messages[-1].role == _TOOL:
            self._messages[-1].text += f"\n{told}"
        else:
            self.say("tool", told, param)

    def instructions(self) -> str:
        """Return the system and developer text, in order."""
        return "\n\n".join(self._instructions)

    def conversation(self) -> Transcript:
        """Return the conversation; raises the 400 where there is nothing that an agent could answer.

        The last message must be the user's or a tool's. One of the assistant
        asks to go on with its words, which an agent cannot do: it is refused
        rather than answered out of turn.
        """
        role, param = self._last
        if not role:
            raise self._nothing()
        if role == "assistant":
            raise invalid("The last message must be the user's or a tool's, not the assistant's.", param)
        if not self._messages or self._messages[-1].role == _ASSISTANT:
            raise invalid("The last message holds no text.", param)
        return self._conversation

    def _nothing(self) -> ApiError:
        return invalid(f"`{self._param}` holds no message for the agent.", self._param)
