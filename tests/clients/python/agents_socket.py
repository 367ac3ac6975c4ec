"""openai-agents (Python) over a WebSocket: a Runner, what was said before named by the last response."""

import sys

from agents import Agent, RunConfig, Runner, set_tracing_disabled
from agents.models.openai_provider import OpenAIProvider
from tell import Asked, Told, tell

asked = Asked.of(sys.argv[1:])
set_tracing_disabled(True)
provider = OpenAIProvider(
    base_url=asked.base_url, api_key="any", use_responses=True, use_responses_websocket=True
)
config = RunConfig(model_provider=provider)
agent = Agent(name="asker", model="default")
previous: list[str] = []


async def turn(prompt: str) -> Told:
    """Run one turn of the agent loop."""
    last = previous[-1] if previous else None
    if asked.mode == "stream":
        result = Runner.run_streamed(agent, prompt, max_turns=3, run_config=config, previous_response_id=last)
        async for _ in result.stream_events():
            pass
    else:
        result = await Runner.run(agent, prompt, max_turns=3, run_config=config, previous_response_id=last)
    previous.append(result.last_response_id)
    return Told(result.final_output)


tell(asked, turn)
