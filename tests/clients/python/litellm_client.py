"""LiteLLM's SDK: `openai/default` on either API."""

import sys
from typing import Any

import litellm
from tell import Asked, Told, tell

asked = Asked.of(sys.argv[1:])
litellm.suppress_debug_info = True
common: dict[str, Any] = {
    "model": "openai/default",
    "api_base": asked.base_url,
    "api_key": "any",
    "max_retries": 0,
    "num_retries": 0,
    "stream": asked.mode == "stream",
}
messages: list[Any] = []
previous: dict[str, Any] = {}


async def chat(prompt: str) -> Told:
    """Ask for a chat completion."""
    messages.append({"role": "user", "content": prompt})
    answer = await litellm.acompletion(messages=messages, **common)
    if asked.mode == "stream":
        answer = litellm.stream_chunk_builder([chunk async for chunk in answer], messages=messages)
    message = answer.choices[0].message
    messages.append({"role": "assistant", "content": message.content})
    return Told(message.content, [call.function.name for call in message.tool_calls or []])


async def respond(prompt: str) -> Told:
    """Ask for a response."""
    answer = await litellm.aresponses(input=prompt, **common, **previous)
    if asked.mode == "stream":
        events = [event async for event in answer]
        answer = events[-1].response
    if answer.status == "failed":
        raise RuntimeError(answer.error)
    previous["previous_response_id"] = answer.id
    text = "".join(part.text for item in answer.output if item.type == "message" for part in item.content)
    return Told(text, [item.name for item in answer.output if item.type == "function_call"])


tell(asked, chat if asked.api == "chat" else respond)
