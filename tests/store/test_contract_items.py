"""What every store must do for replicas that share it: what callers add to conversations."""

from howler.conversation.v1.conversation_service_pb2 import Conversation, Entry, Item

from server.conversation.plan import Known
from server.conversation.thread import BEGINNING
from server.store.conversations import Conversations
from server.store.items import Items
from server.store.open import AnyStore
from server.store.responses import Responses
from tests.store.test_contract_conversations import NOTHING
from tests.store.test_contract_responses import stored


def item(item_id: str, text: str = "{}") -> Item:
    return Item(item_id=item_id, item=text)


async def made(conversations: Conversations) -> None:
    shown = Conversation(conversation_id="conv_1", principal="ann")
    await conversations.add(Known(shown, BEGINNING, instructions="", keeps=True), NOTHING, 1)


def names(entries: list[Entry]) -> list[str]:
    return [entry.item.item_id or entry.response_id for entry in entries]


async def test_items_and_responses_stand_in_order(store: AnyStore, other: AnyStore) -> None:
    here, there, responses = Items(store), Items(other), Responses(store)
    await made(Conversations(store))
    text = '{"content": "o’clock \\u0000", "id": "b"}'
    await here.add("conv_1", [item("b", text), item("a")], 100)
    assert names((await there.unheard("conv_1")).entries) == ["b", "a"]
    first, second = [entry.item for entry in (await there.all("conv_1", "ann")).entries]
    assert first.item == text
    assert second.number > first.number

    response = stored("resp_1", at_us=1)
    response.items_heard = second.number
    await responses.add(response)
    await responses.add(stored("resp_2", "bob"))
    await there.add("conv_1", [item("c"), item("a", "another")], 0)
    assert names((await here.unheard("conv_1")).entries) == ["c"]
    await responses.add(stored("resp_0", at_us=2))  # nothing had been added since
    entries, deleted = await here.all("conv_1", "ann")
    assert (names(entries), deleted) == (["b", "a", "resp_1", "resp_0", "c"], [])
    assert entries[1].item.item == "{}", "it stays as it is"
    assert await here.all("conv_2", "ann") == ([], [])

    await responses.forget(before_us=10)
    assert names((await here.unheard("conv_1")).entries) == ["c"], "what was heard stays so"
    assert names((await here.all("conv_1", "ann")).entries) == ["b", "a", "c"]


async def test_an_item_is_deleted_once(store: AnyStore, other: AnyStore) -> None:
    here, there = Items(store), Items(other)
    await here.add("conv_1", [item("a"), item("b")], 100)
    a, _ = [entry.item for entry in (await here.all("conv_1", "ann")).entries]
    for _ in range(2):
        await there.delete("conv_1", "msg_in_a_log_1")
    await there.delete("conv_1", "b")
    assert [*await here.all("conv_1", "ann")] == [[Entry(item=a)], ["msg_in_a_log_1"]]
    await here.add("conv_1", [item("c")], 100)
    (_, c) = [entry.item for entry in (await here.all("conv_1", "ann")).entries]
    assert c.number > a.number


async def test_items_go_with_their_conversation(store: AnyStore, other: AnyStore) -> None:
    conversations = Conversations(store)
    await made(conversations)
    await Items(store).add("conv_1", [item("a")], 1)
    await conversations.change_metadata("conv_1", {"k": "v"})
    found = await Conversations(other).get("conv_1")
    assert found is not None
    assert dict(found.shown.metadata) == {"k": "v"}
    await conversations.delete("conv_1")
    assert await Items(other).all("conv_1", "ann") == ([], [])
