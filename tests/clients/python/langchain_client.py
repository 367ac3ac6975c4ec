"""langchain-openai: ChatOpenAI on either API."""

import sys

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_openai import ChatOpenAI
from tell import Asked, Told, tell

asked = Asked.of(sys.argv[1:])
model = ChatOpenAI(
    model="default",
    base_url=asked.base_url,
    api_key="any",
    max_retries=0,
    use_responses_api=asked.api == "responses",
)
messages: list[BaseMessage] = []


async def turn(prompt: str) -> Told:
    """Ask once and keep the answer."""
    messages.append(HumanMessage(prompt))
    answer: AIMessage
    if asked.mode == "stream":
        pieces = [piece async for piece in model.astream(messages)]
        answer = sum(pieces[1:], pieces[0])
    else:
        answer = await model.ainvoke(messages)
    messages.append(answer)
    return Told(str(answer.text), [call["name"] for call in answer.tool_calls])


tell(asked, turn)
