"""openai-agents (Python): a Runner on either API, the history carried by `to_input_list`."""

import sys

from agents import (
    Agent,
    ModelSettings,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    Runner,
    set_tracing_disabled,
)
from openai import AsyncOpenAI
from tell import Asked, Told, tell

asked = Asked.of(sys.argv[1:])
set_tracing_disabled(True)
client = AsyncOpenAI(base_url=asked.base_url, api_key="any", max_retries=0)
kind = OpenAIChatCompletionsModel if asked.api == "chat" else OpenAIResponsesModel
agent = Agent(name="asker", model=kind(model="default", openai_client=client), model_settings=ModelSettings())
history: list = []


async def turn(prompt: str) -> Told:
    """Run one turn of the agent loop."""
    asking = [*history, {"role": "user", "content": prompt}]
    if asked.mode == "stream":
        result = Runner.run_streamed(agent, asking, max_turns=3)
        async for _ in result.stream_events():
            pass
    else:
        result = await Runner.run(agent, asking, max_turns=3)
    history[:] = result.to_input_list()
    return Told(result.final_output)


tell(asked, turn)
