"""Tells a turn as the chunks of a streamed completion, the API before chats.

Frames are `data: <chunk>`, each a `text_completion` with more of the text; the
last of them has the `finish_reason`, then come the usage where it was asked for
and `[DONE]`. There is no place for reasoning: it is dropped.
"""

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec
from howler.task.v1.task_event_pb2 import TokenUsage

from facade.errors import ApiError, internal
from facade.openai.chat_turn import ChatTurn
from facade.openai.client_tools.call import ClientCall
from facade.openai.heard import Heard
from facade.openai.presentation import Presentation
from facade.openai.usage import chat_usage

_encode: Final = msgspec.json.Encoder().encode


class CompletionStream:
    """A streamed completion: events in, bytes of SSE out, nothing after `[DONE]`.

    `model` is told until the platform names the one that runs; `created` is in seconds since 1970.
    """

    def __init__(
        self,
        completion_id: str,
        created: int,
        model: str,
        presentation: Presentation,
        *,
        include_usage: bool,
    ) -> None:
        self._common: dict[str, object] = {
            "id": completion_id,
            "object": "text_completion",
            "created": created,
            "model": model,
        }
        self._include_usage = include_usage
        self._turn = ChatTurn(self, presentation)
        self._out: list[bytes] = []

    @property
    def finished(self) -> bool:
        """Everything was told."""
        return self._turn.finished

    def open(self) -> bytes:
        """Return the first chunk, where the platform takes its time to accept the turn."""
        self._turn.begin()
        return self._taken()

    def receive(self, events: Iterable[Heard]) -> bytes:
        """Return the frames that the events mean, perhaps none."""
        self._turn.receive(events)
        return self._taken()

    def keep_alive(self) -> bytes:
        """Return a chunk without text."""
        if not self.finished:
            self.idle()
        return self._taken()

    def abandon(self, error: ApiError) -> bytes:
        """Return the frames that end the answer with a failure that no event tells."""
        self._turn.fail(error)
        return self._taken()

    def begin(self, model: str) -> None:
        """Tell the first chunk, without text."""
        if model:
            self._common["model"] = model
        self._frame("")

    def content(self, text: str) -> None:
        """Tell more of the text."""
        self._frame(text)

    def contents(self, texts: Sequence[str]) -> None:
        """Tell more of it."""
        for text in texts:
            self._frame(text)

    def reasoning(self, text: str) -> None:
        """Drop it."""

    def idle(self) -> None:
        """Tell a chunk without text."""
        self._frame("")

    def call(self, call: ClientCall, index: int) -> None:
        """There are none: a completion declares no tools."""
        raise internal()

    def finish(self, reason: str, tokens: TokenUsage) -> None:
        """Tell the end."""
        self._frame("", reason)
        if self._include_usage:
            usage = self._common | {"choices": [], "usage": chat_usage(tokens)}
            self._out.append(b"data: " + _encode(usage) + b"\n\n")
        self._out.append(b"data: [DONE]\n\n")

    def fail(self, error: ApiError) -> None:
        """Tell the failure."""
        self._out.append(b"data: " + error.body() + b"\n\ndata: [DONE]\n\n")

    def _frame(self, text: str, finish_reason: str | None = None) -> None:
        self._out.append(b"data: " + _encode(self._common | _choices(text, finish_reason)) + b"\n\n")

    def _taken(self) -> bytes:
        out = b"".join(self._out)
        self._out.clear()
        return out


class CompletionFold:
    """A whole completion."""

    def __init__(self, completion_id: str, created: int, model: str, presentation: Presentation) -> None:
        self._common: dict[str, object] = {
            "id": completion_id,
            "object": "text_completion",
            "created": created,
            "model": model,
        }
        self._turn = ChatTurn(self, presentation)
        self._text: list[str] = []
        self._end: dict[str, object] | None = None
        self._failure: ApiError | None = None

    @property
    def finished(self) -> bool:
        """The turn is over."""
        return self._turn.finished

    def receive(self, events: Iterable[Heard]) -> None:
        """Take events in order."""
        self._turn.receive(events)

    def answer(self) -> bytes:
        """Return the completion; raises the turn's failure."""
        if self._failure is not None:
            raise self._failure
        if self._end is None:
            raise internal()
        return _encode(self._common | self._end)

    def failure_body(self, error: ApiError) -> bytes:
        """Return the error: a completion has no place for one."""
        return error.body()

    def begin(self, model: str) -> None:
        """Keep the model that runs."""
        if model:
            self._common["model"] = model

    def content(self, text: str) -> None:
        """Keep more of the text."""
        self._text.append(text)

    def contents(self, texts: Sequence[str]) -> None:
        """Keep more of it."""
        self._text.extend(texts)

    def reasoning(self, text: str) -> None:
        """Drop it."""

    def idle(self) -> None:
        """A whole answer tells no silences."""

    def call(self, call: ClientCall, index: int) -> None:
        """There are none: a completion declares no tools."""
        raise internal()

    def finish(self, reason: str, tokens: TokenUsage) -> None:
        """Keep the end."""
        self._end = _choices("".join(self._text), reason) | {"usage": chat_usage(tokens)}

    def fail(self, error: ApiError) -> None:
        """Keep the failure."""
        self._failure = error


def _choices(text: str, finish_reason: str | None) -> dict[str, object]:
    return {"choices": [{"text": text, "index": 0, "logprobs": None, "finish_reason": finish_reason}]}
