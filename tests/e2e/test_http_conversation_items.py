"""Issue 6: /v1/conversations with their items, as the official client has them."""

from typing import Any

import msgspec
import openai
import pytest
from howler.conversation.v1.conversation_service_pb2 import ListRequest
from openai.types.conversations import ConversationItem
from pydantic import TypeAdapter

from facade.reference.operations import Operation, operations
from tests.support.howler import Howler

pytestmark = pytest.mark.asyncio(loop_scope="module")
ITEM: TypeAdapter[ConversationItem] = TypeAdapter(ConversationItem)
HELLO: dict[str, Any] = {"type": "message", "role": "user", "content": "Say hello"}


async def prompts(howler: Howler, words: str) -> list[list[str]]:
    """Return what each task was told, of those that were told something with these words."""
    tasks = (await howler.sandbox.state())["tasks"]
    told = [[turn["prompt"] for turn in task["turns"]] for task in tasks]
    return [task for task in told if any(words in prompt for prompt in task)]


def text_of(item: ConversationItem) -> str:
    """Return the text of a message, the type of anything else; it must be as the openai package has it."""
    fields = item.to_dict()
    ITEM.validate_python(fields, strict=True)
    content = fields.get("content")
    return str(content[0]["text"] if fields["type"] == "message" else fields["type"])


async def texts(client: openai.AsyncOpenAI, conversation: str, **asked: Any) -> list[str]:
    """Return the texts of all items, page by page."""
    pages = client.conversations.items.list(conversation, **({"order": "asc"} | asked))
    return [text_of(item) async for item in pages]


async def test_a_conversation_is_made_changed_and_deleted(client: openai.AsyncOpenAI) -> None:
    made = await client.conversations.create(metadata={"ticket": "4711"})
    assert (made.object, made.metadata) == ("conversation", {"ticket": "4711"})
    assert await client.conversations.retrieve(made.id) == made
    changed = await client.conversations.update(made.id, metadata={"ticket": "4712"})
    assert changed == made.model_copy(update={"metadata": {"ticket": "4712"}})
    assert await client.conversations.retrieve(made.id) == changed
    deleted = await client.conversations.delete(made.id)
    assert (deleted.id, deleted.deleted, deleted.object) == (made.id, True, "conversation.deleted")
    with pytest.raises(openai.NotFoundError):
        await client.conversations.retrieve(made.id)
    with pytest.raises(openai.BadRequestError, match="no such conversation"):
        await client.responses.create(model="default", input="hi", conversation=made.id)


async def test_items_are_listed_in_order_whoever_made_them(
    howler: Howler, client: openai.AsyncOpenAI
) -> None:
    """What was added, what was asked and what was answered; the agent hears each once."""
    talk = (await client.conversations.create(items=[HELLO | {"content": "My name is Ann."}])).id  # type: ignore[list-item]
    first = await client.responses.create(model="default", input="Who am I?", conversation=talk)
    await client.conversations.items.create(talk, items=[HELLO | {"content": "I live in Ulm."}])  # type: ignore[list-item]
    second = await client.responses.create(
        model="default", input="/tools", conversation={"id": talk}, store=False
    )
    third = await client.responses.create(model="default", input="That is all.", conversation=talk)
    assert first.conversation is not None
    assert first.conversation.id == talk
    said = [
        "My name is Ann.",
        "Who am I?",
        *(text_of(item) for item in first.output),  # type: ignore[arg-type]
        "I live in Ulm.",
        "/tools",
        *(text_of(item) for item in second.output),  # type: ignore[arg-type]
        "That is all.",
        *(text_of(item) for item in third.output),  # type: ignore[arg-type]
    ]
    assert "mcp_call" in said
    assert await texts(client, talk) == said
    assert await texts(client, talk, limit=1) == said
    assert await texts(client, talk, order="desc", limit=2) == said[::-1]
    ((begun, *resumed),) = await prompts(howler, "My name is Ann.")
    assert begun.endswith("Who am I?")
    assert resumed == ["User: I live in Ulm.\n\nUser: /tools", "That is all."]
    with pytest.raises(openai.NotFoundError):
        await client.responses.retrieve(second.id)


async def test_each_item_is_found_and_deleted(howler: Howler, client: openai.AsyncOpenAI) -> None:
    talk = (await client.conversations.create()).id
    added = await client.conversations.items.create(
        talk,
        items=[
            HELLO | {"content": "never mind"},  # type: ignore[list-item]
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c", "output": "42"},
            HELLO | {"role": "assistant", "content": "It is 42."},  # type: ignore[list-item]
        ],
    )
    assert [text_of(item) for item in added.data] == [
        "never mind",
        "function_call",
        "function_call_output",
        "It is 42.",
    ]
    await client.conversations.items.delete(added.data[0].id, conversation_id=talk)  # type: ignore[arg-type]
    response = await client.responses.create(model="default", input="So what is it?", conversation=talk)
    listed = [item async for item in client.conversations.items.list(talk)]
    for item in listed:
        assert item.id is not None
        found = await client.conversations.items.retrieve(item.id, conversation_id=talk)
        assert found == item
    answer = response.output[-1]
    assert answer.id is not None
    left = await client.conversations.items.delete(answer.id, conversation_id=talk)
    assert left.id == talk
    assert await texts(client, talk) == [
        "function_call",
        "function_call_output",
        "It is 42.",
        "So what is it?",
        *(item.type for item in response.output[:-1]),
    ]
    for gone in (answer.id, added.data[0].id, "msg_1"):
        assert gone is not None
        with pytest.raises(openai.NotFoundError):
            await client.conversations.items.retrieve(gone, conversation_id=talk)
        with pytest.raises(openai.NotFoundError):
            await client.conversations.items.delete(gone, conversation_id=talk)
    ((begun,),) = await prompts(howler, "So what is it?")
    assert "It is 42." in begun
    assert "never mind" not in begun


async def test_it_is_its_principals_alone(client: openai.AsyncOpenAI) -> None:
    talk = (await client.conversations.create(items=[HELLO])).id  # type: ignore[list-item]
    (item,) = (await client.conversations.items.list(talk)).data
    assert item.id is not None
    other = client.with_options(api_key="another").conversations
    for call in (
        other.retrieve(talk),
        other.update(talk, metadata={}),
        other.delete(talk),
        other.items.list(talk),
        other.items.create(talk, items=[HELLO]),  # type: ignore[list-item]
        other.items.retrieve(item.id, conversation_id=talk),
        other.items.delete(item.id, conversation_id=talk),
    ):
        with pytest.raises(openai.NotFoundError):
            await call
    assert await texts(client, talk) == ["Say hello"]


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("", {"items": "x"}, "items"),
        ("", {"items": [{"role": "nobody", "content": "x"}]}, "items[0].role"),
        ("", {"items": [{"type": "message"}]}, "items[0].role"),
        ("", {"items": [{"type": "item_reference", "id": "msg_1"}]}, "items[0].id"),
        ("", {"items": [{"type": "item_reference", "id": f"msg_{32 * str(0)}_1"}]}, "items[0].id"),
        ("", {"metadata": {"k": 1}}, "metadata[...]"),
        ("", {"metadata": {"k" * 65: "v"}}, None),
        ("/{}", {}, "metadata"),
        ("/{}/items", {}, "items"),
        ("/{}/items?limit=0", None, "limit"),
        ("/{}/items?limit=1_0", None, "limit"),
        ("/{}/items?order=up", None, "order"),
        ("/{}/items?after=msg_1", None, "after"),
    ],
)
async def test_what_is_wrong_is_named(
    client: openai.AsyncOpenAI, path: str, body: object, param: str | None
) -> None:
    talk = (await client.conversations.create()).id
    ask = f"/conversations{path.format(talk)}"
    with pytest.raises(openai.BadRequestError) as raised:
        await (
            client.get(ask, cast_to=object) if body is None else client.post(ask, body=body, cast_to=object)
        )
    assert raised.value.param == param


async def test_one_whose_items_are_refused_is_not_left_behind(
    howler: Howler, client: openai.AsyncOpenAI
) -> None:
    before = await howler.conversations.List(ListRequest())
    with pytest.raises(openai.BadRequestError):
        await client.conversations.create(items=[HELLO] * 1001)  # type: ignore[list-item]
    assert await howler.conversations.List(ListRequest()) == before


@pytest.mark.parametrize(
    "one",
    [one for one in operations() if one.path.startswith("/v1/conversations")],
    ids=lambda one: f"{one.method} {one.path}",
)
async def test_answers_are_as_the_reference_says(client: openai.AsyncOpenAI, one: Operation) -> None:
    talk = (await client.conversations.create(items=[HELLO])).id  # type: ignore[list-item]
    (item,) = (await client.conversations.items.list(talk)).data
    path = one.path.removeprefix("/v1").format(conversation_id=talk, item_id=item.id)
    for body in (one.bodies or {"": None}).values():
        if one.method == "post":
            answer: Any = await client.post(path, body=body, cast_to=object)
        else:
            answer = await {"get": client.get, "delete": client.delete}[one.method](path, cast_to=object)
        msgspec.convert(answer, one.answer)
    msgspec.convert(one.example, one.answer)
