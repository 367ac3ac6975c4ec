"""ConversationService: what it lists, the items beside the turns, and what it refuses."""

from typing import Any

import grpc
import pytest
from howler.conversation.v1.conversation_service_pb2 import (
    AddItemsRequest,
    ConversationState,
    CreateRequest,
    DeleteItemRequest,
    DeleteRequest,
    GetRequest,
    Item,
    ListItemsRequest,
    ListRequest,
    UpdateRequest,
)

from tests.support.conversations import made, shown
from tests.support.howler import Howler, refusal_of, refused

pytestmark = pytest.mark.asyncio(loop_scope="module")
RUNNING = ConversationState.CONVERSATION_STATE_RUNNING
DORMANT = ConversationState.CONVERSATION_STATE_DORMANT


async def test_what_cannot_be_meant(howler: Howler) -> None:
    talk = await made(howler, principal="ann")
    foreign = await refused(howler.turn("hi", conversation_id=talk, principal="bob"))
    assert foreign == "CONVERSATION_NOT_FOUND"
    for fields in (
        {"conversation_id": talk, "task_id": "t"},
        {"conversation_id": talk, "recognise_history": True},
        {"recognise_history": True, "task_id": "t"},
        {"recognise_history": True, "lease": {"lease_id": "l"}},
    ):
        assert await refused(howler.turn("hi", **fields)) == "INVALID_REQUEST", fields
    for request in (
        CreateRequest(principal="p" * 129),
        CreateRequest(metadata={str(number): "" for number in range(17)}),
        CreateRequest(metadata={"k" * 65: ""}),
        CreateRequest(metadata={"k": "v" * 513}),
    ):
        assert await refused(howler.conversations.Create(request)) == "INVALID_REQUEST", request
    for page in (ListRequest(page_size=-1), ListRequest(page_token="x"), ListRequest(state=9)):  # type: ignore[arg-type]
        assert await refused(howler.conversations.List(page)) == "INVALID_REQUEST", page


async def test_conversations_are_listed_page_by_page(howler: Howler) -> None:
    talks = [await made(howler, principal="lister") for _ in range(5)]
    listed, token = [], ""
    while True:
        answer = await howler.conversations.List(
            ListRequest(principal="lister", page_size=2, page_token=token)
        )
        listed += [conversation.conversation_id for conversation in answer.conversations]
        if not (token := answer.next_page_token):
            break
    assert sorted(listed) == sorted(talks)
    assert listed == talks[::-1]
    dormant = await howler.conversations.List(ListRequest(principal="lister", state=DORMANT))
    assert len(dormant.conversations) == 5
    assert not (await howler.conversations.List(ListRequest(principal="lister", state=RUNNING))).conversations


@pytest.mark.parametrize(
    "start",
    [
        {"session": "s", "conversation_id": "conv_1"},
        {"session": "s", "task_id": "task_1"},
        {"session": "s" * 257},
        {"after_turn_ids": ["turn_1"]},
    ],
)
async def test_names_that_cannot_be_meant(howler: Howler, start: dict[str, Any]) -> None:
    assert await refusal_of(howler.turn("x", **start)) == (
        "INVALID_REQUEST",
        grpc.StatusCode.INVALID_ARGUMENT,
    )


def added(*texts: str) -> list[Item]:
    return [Item(item_id=f"item_{text}", item=text) for text in texts]


async def test_items_are_kept_beside_the_turns(howler: Howler) -> None:
    talk = await made(howler, principal="ann", metadata={"k": "v"})
    mine = {"conversation_id": talk, "principal": "ann"}
    api = howler.conversations
    await api.AddItems(AddItemsRequest(items=added("a", "b"), **mine))
    await api.DeleteItem(DeleteItemRequest(item_id="item_a", **mine))
    await api.DeleteItem(DeleteItemRequest(item_id="msg_1", **mine))
    listed = await api.ListItems(ListItemsRequest(**mine))
    assert [entry.item.item for entry in listed.entries] == ["b"]
    assert list(listed.deleted_item_ids) == ["msg_1"]
    updated = await api.Update(UpdateRequest(metadata={"k": "w"}, **mine))
    assert dict(updated.conversation.metadata) == {"k": "w"}

    large = Item(item_id="large", item="x" * (14 << 20))
    await api.AddItems(AddItemsRequest(items=[large], **mine))
    await api.AddItems(AddItemsRequest(items=[Item(item_id="larger", item="x" * (14 << 20))], **mine))
    first = await api.ListItems(ListItemsRequest(**mine))
    second = await api.ListItems(ListItemsRequest(page_token=first.next_page_token, **mine))
    ids = [[entry.item.item_id for entry in page.entries] for page in (first, second)]
    assert ids == [["item_b", "large"], ["larger"]]
    assert not second.next_page_token


async def test_items_of_another_principal_are_not_there(howler: Howler) -> None:
    talk = await made(howler, principal="ann")
    theirs = {"conversation_id": talk, "principal": "bob"}
    api = howler.conversations
    for call in (
        api.Get(GetRequest(**theirs)),
        api.Update(UpdateRequest(**theirs)),
        api.AddItems(AddItemsRequest(items=added("a"), **theirs)),
        api.ListItems(ListItemsRequest(**theirs)),
        api.DeleteItem(DeleteItemRequest(item_id="item_a", **theirs)),
    ):
        assert await refusal_of(call) == ("CONVERSATION_NOT_FOUND", grpc.StatusCode.NOT_FOUND)
    await api.Delete(DeleteRequest(**theirs))
    assert (await shown(howler, talk)).principal == "ann", "it is still there"


@pytest.mark.parametrize("item", [Item(item="x"), Item(item_id="x" * 129), Item(item_id="x", item="\0")])
async def test_items_that_cannot_be_kept(howler: Howler, item: Item) -> None:
    talk = await made(howler)
    call = howler.conversations.AddItems(AddItemsRequest(conversation_id=talk, items=[item]))
    assert await refusal_of(call) == ("INVALID_REQUEST", grpc.StatusCode.INVALID_ARGUMENT)
