"""The messages and reasoning of a response, each item telling its own events (openai-surface.md §6.2).

An item is begun by being made and ended by its `close`; between the two the
caller may begin others. `item` is what the final response repeats.
"""

from typing import Final

from facade.openai.asides import INLINE
from facade.openai.beside import Beside
from facade.openai.event_writer import DeltaTemplate, EventWriter

COMMENTARY: Final = "commentary"
FINAL_ANSWER: Final = "final_answer"
COMPLETED: Final = "completed"
INCOMPLETE: Final = "incomplete"


class MessageItem:
    """A message: one part of text.

    Its `phase` is told when it is done, for only then is it known: `commentary`
    where the agent went on to think or to call tools, `final_answer` where the
    turn ended with it.
    """

    def __init__(self, writer: EventWriter, item_id: str, index: int) -> None:
        self._writer = writer
        self._at: dict[str, object] = {"item_id": item_id, "output_index": index, "content_index": 0}
        self._text: list[str] = []
        self._delta = DeltaTemplate("response.output_text.delta", {**self._at, "logprobs": []})
        self._index = index
        self.item: dict[str, object] = {
            "id": item_id,
            "type": "message",
            "role": "assistant",
            "status": "in_progress",
            "content": [],
        }
        writer.write("response.output_item.added", {"output_index": index, "item": self.item})
        writer.write("response.content_part.added", {**self._at, "part": _text_part("")})

    def say(self, text: str) -> None:
        """Tell more of the text."""
        self._text.append(text)
        self._writer.write_delta(self._delta, text)

    def close(self, status: str, phase: str) -> None:
        """Tell the whole message."""
        text = "".join(self._text)
        part = _text_part(text)
        self.item = self.item | {"status": status, "content": [part], "phase": phase}
        write = self._writer.write
        write("response.output_text.done", {**self._at, "text": text, "logprobs": []})
        write("response.content_part.done", {**self._at, "part": part})
        write("response.output_item.done", {"output_index": self._index, "item": self.item})


class ReasoningItem:
    """A reasoning item: summary parts, each with a bold first line (UIs show it as a heading)."""

    def __init__(self, writer: EventWriter, item_id: str, index: int) -> None:
        self._writer = writer
        self._item_id = item_id
        self._index = index
        self._parts: list[dict[str, object]] = []
        self._text: list[str] | None = None
        self._delta = self._template()
        self.item: dict[str, object] = {
            "id": item_id,
            "type": "reasoning",
            "summary": [],
            "status": "in_progress",
        }
        writer.write("response.output_item.added", {"output_index": index, "item": self.item})

    def think(self, text: str) -> None:
        """Tell more of a thought; a heading is put before a thought that brings none."""
        if self._text is None:
            self._open_part()
            text = text if text.lstrip().startswith("**") else f"**Thinking**\n\n{text}"
        self._add(text)

    def tell(self, heading: str, text: str) -> None:
        """Tell a part of its own, whole."""
        self._close_part()
        self._open_part()
        self._add(f"**{heading}**\n\n{text}" if text else f"**{heading}**")
        self._close_part()

    def close(self, status: str) -> None:
        """Tell the whole item."""
        self._close_part()
        self.item = self.item | {"status": status, "summary": self._parts}
        self._writer.write("response.output_item.done", {"output_index": self._index, "item": self.item})

    def _at(self) -> dict[str, object]:
        return {
            "item_id": self._item_id,
            "output_index": self._index,
            "summary_index": len(self._parts),
        }

    def _template(self) -> DeltaTemplate:
        return DeltaTemplate("response.reasoning_summary_text.delta", self._at())

    def _open_part(self) -> None:
        self._text = []
        self._delta = self._template()
        part = {"type": "summary_text", "text": ""}
        self._writer.write("response.reasoning_summary_part.added", {**self._at(), "part": part})

    def _add(self, text: str) -> None:
        assert self._text is not None
        self._text.append(text)
        self._writer.write_delta(self._delta, text)

    def _close_part(self) -> None:
        if self._text is None:
            return
        text = "".join(self._text)
        part: dict[str, object] = {"type": "summary_text", "text": text}
        write, at = self._writer.write, self._at()
        write("response.reasoning_summary_text.done", {**at, "text": text})
        write("response.reasoning_summary_part.done", {**at, "part": part})
        self._parts.append(part)
        self._text = None


class AsideItem:
    """A message of what is no answer, phase `commentary`; its text is told apart (asides.py)."""

    def __init__(self, message: MessageItem) -> None:
        self._message = message
        self._beside = Beside(message.say, INLINE)
        self.think = self._beside.think
        self.line = self._beside.line
        self.tell_tool = self._beside.tell_tool

    @property
    def item(self) -> dict[str, object]:
        """The message."""
        return self._message.item

    def close(self, status: str) -> None:
        """Tell the whole message."""
        self._beside.hush()
        self._message.close(status, COMMENTARY)


def _text_part(text: str) -> dict[str, object]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
