"""Reads a request of POST /v1/completions, the API before chats: a prompt in, one user message out."""

from dataclasses import dataclass
from typing import Final

from facade.errors import invalid, unsupported
from facade.openai.start import Asked
from facade.openai.transcript import TranscriptWriter
from facade.openai.wire import CompletionBody, checked_text, ignored_fields, members_of, parse

_HONOURED: Final = frozenset({"model", "prompt", "stream", "stream_options", "n", "echo", "user"})


@dataclass(frozen=True, slots=True)
class CompletionRequest:
    """A completion request: what it asks of the agent and how the answer is to be told."""

    asked: Asked
    include_usage: bool


def read_completion(body: bytes) -> CompletionRequest:
    """Return what the body asks; raises the 400 that names what is wrong in it."""
    wanted = parse(body, CompletionBody)
    if wanted.n is not None and wanted.n != 1:
        raise unsupported("An agent gives one answer: `n` must be 1.", "n")
    if wanted.echo:
        raise unsupported("The prompt is not repeated in the answer.", "echo")
    transcript = TranscriptWriter("prompt")
    transcript.say("user", checked_text(_prompt(wanted.prompt), "prompt"), "prompt")
    asked = Asked(
        model=wanted.model or "",
        stream=bool(wanted.stream),
        conversation=transcript.conversation(),
        instructions="",
        declares_tools=False,
        ignored=tuple(ignored_fields(members_of(body), _HONOURED)),
    )
    options = wanted.stream_options
    return CompletionRequest(asked, include_usage=options is not None and bool(options.include_usage))


def _prompt(prompt: str | list[str | int | list[int]] | None) -> str:
    """Return the one prompt, which may stand in a list."""
    if isinstance(prompt, str):
        return prompt
    if not prompt:
        raise invalid("The prompt is missing.", "prompt")
    if len(prompt) > 1 or not isinstance(prompt[0], str):
        raise unsupported("One prompt is taken, as a text: no lists of them and no tokens.", "prompt")
    return prompt[0]
