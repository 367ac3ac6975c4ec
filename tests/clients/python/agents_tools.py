"""openai-agents (Python) with a tool of its own, which the Runner calls as the agent wants."""

import json
import sys

from agents import (
    Agent,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    Runner,
    function_tool,
    set_tracing_disabled,
)
from openai import AsyncOpenAI
from tell import Asked, Told, tell

asked = Asked.of(sys.argv[1:])
set_tracing_disabled(True)
client = AsyncOpenAI(base_url=asked.base_url, api_key="any", max_retries=0)
kind = OpenAIChatCompletionsModel if asked.api == "chat" else OpenAIResponsesModel
called: list[str] = []


@function_tool
def get_weather(city: str) -> str:
    """Tell the weather of a city."""
    called.append(f"get_weather {json.dumps({'city': city})}")
    return f"4711 degrees in {city}"


agent = Agent(name="asker", model=kind(model="default", openai_client=client), tools=[get_weather])


async def turn(prompt: str) -> Told:
    """Run the agent loop to its end."""
    if asked.mode == "stream":
        result = Runner.run_streamed(agent, prompt, max_turns=4)
        async for _ in result.stream_events():
            pass
    else:
        result = await Runner.run(agent, prompt, max_turns=4)
    return Told(result.final_output, [*called])


tell(asked, turn)
