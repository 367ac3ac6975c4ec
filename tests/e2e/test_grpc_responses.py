"""ResponseService: what the facade keeps, it finds again; turns under an id of the caller's."""

from typing import Any

import grpc
import pytest
from howler.response.v1 import response_service_pb2 as pb
from howler.response.v1.response_service_pb2_grpc import ResponseServiceStub

from tests.support.howler import Howler, reason_of

pytestmark = pytest.mark.asyncio(loop_scope="module")
TURN = "turn_" + "0a" * 16


@pytest.fixture(scope="module")
def responses(howler: Howler) -> Any:
    return ResponseServiceStub(howler.channel)


async def reason(call: Any) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    return reason_of(raised.value)


async def test_a_response_is_kept_for_its_principal(responses: Any) -> None:
    response = pb.Response(
        response_id="resp_1", principal="ann", turn_id=TURN, request=b"{}", presentation=b"p"
    )
    told = (await responses.Create(pb.CreateRequest(response=response))).response
    assert (told.response_id, told.request) == ("resp_1", b"")
    found = (await responses.Get(pb.GetRequest(response_id="resp_1", principal="ann"))).response
    response.create_time.CopyFrom(told.create_time)
    assert found == response
    assert (
        await reason(responses.Get(pb.GetRequest(response_id="resp_1", principal="bob")))
        == "RESPONSE_NOT_FOUND"
    )
    assert await reason(responses.Create(pb.CreateRequest(response=response))) == "ALREADY_EXISTS"
    deleting = pb.DeleteRequest(response_id="resp_1", principal="ann")
    await responses.Delete(deleting)
    assert await reason(responses.Delete(deleting)) == "RESPONSE_NOT_FOUND"


@pytest.mark.parametrize(
    "response",
    [
        pb.Response(response_id="msg_1", turn_id=TURN),
        pb.Response(response_id="resp_1"),
        pb.Response(response_id="resp_1", turn_id=TURN, principal="x" * 129),
        pb.Response(response_id="resp_1", turn_id=TURN, request=bytes((15 << 20) + 1)),
    ],
    ids=["id", "turn", "principal", "size"],
)
async def test_what_cannot_be_a_response_is_refused(responses: Any, response: pb.Response) -> None:
    assert await reason(responses.Create(pb.CreateRequest(response=response))) == "INVALID_REQUEST"


async def test_a_caller_chooses_the_id_of_its_turn(howler: Howler) -> None:
    events = await howler.turn("hello", turn_id=TURN)
    assert events[0].accepted.turn_id == TURN
    assert await reason(howler.turn("again", turn_id=TURN)) == "ALREADY_EXISTS"
    assert await reason(howler.turn("hello", turn_id="turn_1")) == "INVALID_REQUEST"
