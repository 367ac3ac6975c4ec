"""The answer of POST /v1/responses/input_tokens."""

import msgspec

from facade.openai.start import Asked


def input_tokens(asked: Asked) -> bytes:
    """Return an estimate by the rule of usage that nobody counted: UTF-8 bytes / 4, rounded up."""
    texts = [asked.instructions, *(message.text for message in asked.conversation.messages)]
    tokens = -(-sum(len(text.encode()) for text in texts) // 4)
    return msgspec.json.encode({"object": "response.input_tokens", "input_tokens": tokens})
