"""openai-agents (Python) whose history is kept by /v1/conversations: OpenAIConversationsSession."""

import sys

from agents import (
    Agent,
    OpenAIConversationsSession,
    OpenAIResponsesModel,
    Runner,
    set_tracing_disabled,
)
from openai import AsyncOpenAI
from tell import Asked, Told, tell

asked = Asked.of(sys.argv[1:])
set_tracing_disabled(True)
client = AsyncOpenAI(base_url=asked.base_url, api_key="any", max_retries=0)
agent = Agent(name="asker", model=OpenAIResponsesModel(model="default", openai_client=client))
session = OpenAIConversationsSession(openai_client=client)


async def turn(prompt: str) -> Told:
    """Run one turn of the agent loop."""
    if asked.mode == "stream":
        result = Runner.run_streamed(agent, prompt, session=session, max_turns=3)
        async for _ in result.stream_events():
            pass
    else:
        result = await Runner.run(agent, prompt, session=session, max_turns=3)
    return Told(result.final_output)


tell(asked, turn)
