"""Tells a turn as the chunks of a streamed chat completion (openai-surface.md §5.2).

Frames are `data: <chunk>`; the role first, then deltas, one `finish_reason`,
the usage where it was asked for, `[DONE]`. After a failure: the error's frame,
then `[DONE]`, no `finish_reason`. A delta stands between bytes that were made once, and
those that come together are written together: that is the hot path of the facade.
"""

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec
from howler.task.v1.task_event_pb2 import TokenUsage

from facade.errors import ApiError
from facade.openai.chat_calls import call_deltas
from facade.openai.chat_turn import ChatTurn
from facade.openai.client_tools.call import ClientCall
from facade.openai.heard import Heard
from facade.openai.presentation import Presentation, ReasoningField
from facade.openai.usage import chat_usage

_encode: Final = msgspec.json.Encoder().encode
_encode_lines: Final = msgspec.json.Encoder().encode_lines
_ROLE: Final = b'"role":"assistant","content":""'
_TAIL: Final = b'},"finish_reason":null}]}\n\n'
_DONE: Final = b"data: [DONE]\n\n"


class ChatStream:
    """A streamed answer: events in, bytes of SSE out, nothing after `[DONE]`.

    `model` is told until the platform names the one that runs; id, model and
    `created` (seconds since 1970) are the same in all chunks.
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
        self._id = completion_id
        self._created = created
        self._model = model
        self._include_usage = include_usage
        self._both_fields = presentation.reasoning_field is ReasoningField.BOTH
        self._turn = ChatTurn(self, presentation)
        self._out: list[bytes] = []
        self._head = self._delta_head = self._content_head = b""

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
        """Return a chunk that says nothing: the one keep-alive that no client stumbles over (§8)."""
        return b"" if not self._head or self.finished else self._chunk(b"")

    def abandon(self, error: ApiError) -> bytes:
        """Return the frames that end the answer with a failure that no event tells."""
        self._turn.fail(error)
        return self._taken()

    def begin(self, model: str) -> None:
        """Make the chunks' fixed bytes and tell the role."""
        self._model = model or self._model
        common = {
            "id": self._id,
            "object": "chat.completion.chunk",
            "created": self._created,
            "model": self._model,
        }
        self._head = b'data: %b,"choices":[' % _encode(common)[:-1]
        self._delta_head = self._head + b'{"index":0,"delta":{'
        self._content_head = self._delta_head + b'"content":'
        self._out.append(self._chunk(_ROLE))

    def content(self, text: str) -> None:
        """Tell more of the answer."""
        self._out += self._content_head, _encode(text), _TAIL

    def contents(self, texts: Sequence[str]) -> None:
        """Tell more of it: each text comes on a line of its own, which becomes a chunk."""
        between = _TAIL + self._content_head
        self._out += self._content_head, _encode_lines(texts)[:-1].replace(b"\n", between), _TAIL

    def reasoning(self, text: str) -> None:
        """Tell more of what stands beside the answer."""
        told = _encode(text)
        if self._both_fields:
            told = b'%b,"reasoning":%b' % (told, told)
        self._out.append(b'%b"reasoning_content":%b%b' % (self._delta_head, told, _TAIL))

    def idle(self) -> None:
        """Tell a chunk that says nothing."""
        self._out.append(self._chunk(b""))

    def call(self, call: ClientCall, index: int) -> None:
        """Tell a call: what is called first, the arguments after it."""
        for part in call_deltas(call, index):
            self._out.append(self._chunk(_encode(part)[1:-1]))

    def finish(self, reason: str, tokens: TokenUsage) -> None:
        """Tell the end."""
        self._out.append(b'%b},"finish_reason":%b}]}\n\n' % (self._delta_head, _encode(reason)))
        if self._include_usage:
            self._out.append(b'%b],"usage":%b}\n\n' % (self._head, _encode(chat_usage(tokens))))
        self._out.append(_DONE)

    def fail(self, error: ApiError) -> None:
        """Tell the failure."""
        self._out.append(b"data: " + error.body() + b"\n\n")
        self._out.append(_DONE)

    def _chunk(self, members: bytes) -> bytes:
        """Return the chunk whose delta has these members."""
        return b"%b%b%b" % (self._delta_head, members, _TAIL)

    def _taken(self) -> bytes:
        out, self._out = self._out, []
        return b"".join(out)
