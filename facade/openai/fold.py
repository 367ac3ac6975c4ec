"""The answers that are not streamed: folds of the machines that tell the streams."""

from collections.abc import Iterable, Sequence

import msgspec
from howler.task.v1.task_event_pb2 import TokenUsage

from facade.errors import ApiError, internal
from facade.openai.chat_calls import called
from facade.openai.chat_turn import ChatTurn
from facade.openai.client_tools.call import ClientCall
from facade.openai.heard import Heard
from facade.openai.presentation import Presentation, ReasoningField
from facade.openai.responses_stream import ResponsesStream
from facade.openai.usage import chat_usage


class ChatFold:
    """A whole chat completion (openai-surface.md §5.1).

    `created` is in seconds since 1970; `model` stands where the platform names none.
    """

    def __init__(self, completion_id: str, created: int, model: str, presentation: Presentation) -> None:
        self._both_fields = presentation.reasoning_field is ReasoningField.BOTH
        self._turn = ChatTurn(self, presentation)
        self._id = completion_id
        self._created = created
        self._model = model
        self._content: list[str] = []
        self._reasoning: list[str] = []
        self._calls: list[ClientCall] = []
        self._finish_reason = ""
        self._tokens = TokenUsage()
        self._failure: ApiError | None = None

    @property
    def finished(self) -> bool:
        """The turn is over."""
        return self._turn.finished

    def receive(self, events: Iterable[Heard]) -> None:
        """Take events in order."""
        self._turn.receive(events)

    def answer(self) -> bytes:
        """Return the completion; raises the turn's failure: a failure is never dressed up as an answer."""
        if self._failure is not None:
            raise self._failure
        if not self.finished:
            raise internal()
        message: dict[str, object] = {
            "role": "assistant",
            "content": "".join(self._content),
            "refusal": None,
        } | called(self._calls)
        if self._reasoning:
            message["reasoning_content"] = "".join(self._reasoning)
            if self._both_fields:
                message["reasoning"] = message["reasoning_content"]
        choice = {
            "index": 0,
            "message": message,
            "logprobs": None,
            "finish_reason": self._finish_reason,
        }
        return msgspec.json.encode(
            {
                "id": self._id,
                "object": "chat.completion",
                "created": self._created,
                "model": self._model,
                "choices": [choice],
                "usage": chat_usage(self._tokens),
                "system_fingerprint": None,
            }
        )

    def failure_body(self, error: ApiError) -> bytes:
        """Return the error: a completion has no place for one."""
        return error.body()

    def begin(self, model: str) -> None:
        """Keep the model that runs."""
        self._model = model or self._model

    def content(self, text: str) -> None:
        """Keep more of the answer."""
        self._content.append(text)

    def contents(self, texts: Sequence[str]) -> None:
        """Keep more of it."""
        self._content.extend(texts)

    def reasoning(self, text: str) -> None:
        """Keep more of what stands beside the answer."""
        self._reasoning.append(text)

    def idle(self) -> None:
        """A whole answer tells no silences."""

    def call(self, call: ClientCall, index: int) -> None:
        """Keep a call."""
        assert index == len(self._calls)
        self._calls.append(call)

    def finish(self, reason: str, tokens: TokenUsage) -> None:
        """Keep the end."""
        self._finish_reason = reason
        self._tokens = tokens

    def fail(self, error: ApiError) -> None:
        """Keep the failure."""
        self._failure = error


class ResponsesFold:
    """A whole response: the one in the terminal event of its stream.

    A turn that failed is an HTTP error here as it is on chat, not a 200 with
    `status: "failed"`, while that can be told: callers that look at the status or at
    `output_text` alone would take that for an answer.
    """

    def __init__(self, stream: ResponsesStream) -> None:
        self._stream = stream

    @property
    def finished(self) -> bool:
        """The turn is over."""
        return self._stream.finished

    def receive(self, events: Iterable[Heard]) -> None:
        """Take events in order; the frames of the stream are of no use here."""
        self._stream.receive(events)

    def answer(self) -> bytes:
        """Return the response; raises the turn's failure."""
        if self._stream.failure is not None:
            raise self._stream.failure
        if self._stream.response is None:
            raise internal()
        return msgspec.json.encode(self._stream.response)

    def failure_body(self, error: ApiError) -> bytes:
        """Return the response, `failed`."""
        self._stream.abandon(error)
        return msgspec.json.encode(self._stream.response)
