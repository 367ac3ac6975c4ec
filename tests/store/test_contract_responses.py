"""What every store must do for replicas that share it: stored responses."""

from howler.response.v1.response_service_pb2 import Response

from server.pool.show import timestamp
from server.store.open import AnyStore
from server.store.responses import Responses


def stored(response_id: str, principal: str = "ann", at_us: int = 5) -> Response:
    return Response(
        response_id=response_id,
        principal=principal,
        turn_id="turn_1",
        previous_response_id="resp_0",
        conversation_id="conv_1",
        request=b"\x00{\xff",
        presentation=b"",
        create_time=timestamp(at_us),
    )


async def test_a_response_is_found_by_its_principal_on_every_replica(
    store: AnyStore, other: AnyStore
) -> None:
    here, there = Responses(store), Responses(other)
    assert await here.add(stored("resp_1"))
    assert await there.get("resp_1", "ann") == stored("resp_1")
    assert await there.get("resp_1", "bob") is None
    assert await there.get("resp_2", "ann") is None


async def test_an_id_is_taken_once(store: AnyStore, other: AnyStore) -> None:
    here, there = Responses(store), Responses(other)
    assert await here.add(stored("resp_1"))
    assert await there.add(stored("resp_1"))  # the same again, as after a lost answer
    assert not await there.add(stored("resp_1", "bob"))
    assert not await there.add(stored("resp_1", at_us=6))
    assert await here.get("resp_1", "ann") == stored("resp_1")


async def test_only_its_principal_deletes_it(store: AnyStore, other: AnyStore) -> None:
    here, there = Responses(store), Responses(other)
    assert await here.add(stored("resp_1"))
    assert not await there.delete("resp_1", "bob")
    assert await there.delete("resp_1", "ann")
    assert not await here.delete("resp_1", "ann")
    assert await here.get("resp_1", "ann") is None


async def test_old_ones_are_forgotten(store: AnyStore) -> None:
    responses = Responses(store)
    for number in range(3):
        assert await responses.add(stored(f"resp_{number}", at_us=number))
    await responses.forget(before_us=2)
    assert [await responses.get(f"resp_{number}", "ann") is None for number in range(3)] == [
        True,
        True,
        False,
    ]
