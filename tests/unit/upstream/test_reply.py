"""Replies in every dress, however hostile, are data or a ServiceError and nothing else."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.errors import ServiceError, reason_name
from server.upstream.errors import Refusal, Undecided
from server.upstream.models import read_model
from server.upstream.reply import Reply, open_reply
from server.upstream.shapes import objects_in
from server.upstream.tasks import read_chunks, read_created, read_task
from server.upstream.users import read_user

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
FIELDS = st.sampled_from(
    [
        "id",
        "model",
        "name",
        "provider",
        "remark",
        "owner",
        "created_at",
        "context_limit",
        "is_hidden",
        "status",
        "content",
        "virtualmachine",
        "conditions",
        "stats",
        "type",
        "progress",
        "message",
        "user",
        "teams",
        "team",
        "chunks",
        "seq",
        "timestamp",
        "turn_seq",
        "data",
        "event",
    ]
)
ROWS = st.dictionaries(FIELDS, JSON | st.dictionaries(FIELDS, JSON, max_size=5), max_size=10)


def opened(body: str, status: int = 200) -> object:
    return open_reply(Reply(status, body.encode(), {}))


def test_data() -> None:
    assert opened('{"code":0,"message":"success","data":{"id":"x"}}') == {"id": "x"}
    assert opened('{"code":0,"message":"success"}') is None
    assert opened('{"code":0,"message":"success","data":null}') is None
    assert opened('{"id":"x"}') == {"id": "x"}
    assert opened("[1]") == [1]


def test_a_refusal_keeps_its_code() -> None:
    with pytest.raises(Refusal) as raised:
        opened('{"code":10811,"message":"full [trace_id: ab12]"}')
    assert raised.value.code == 10811
    assert raised.value.message.endswith("(code 10811): full (trace ab12)")


def test_the_older_word_for_message() -> None:
    with pytest.raises(Refusal, match="nicht so"):
        opened('{"code":10001,"msg":"nicht so"}')


@pytest.mark.parametrize("status", [501, 502, 503, 504, 520])
def test_what_only_a_proxy_says_decides_nothing(status: int) -> None:
    with pytest.raises(Undecided):
        opened('{"code":10811,"message":"full"}', status)


def failure(read: Callable[[Any], object], data: Any) -> ServiceError | None:
    """Return the failure that reading the data is, if it is one; anything else is raised."""
    try:
        read(data)
    except ServiceError as error:
        return error
    return None


BODIES = st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode())


@given(body=BODIES, status=st.integers(200, 599))
def test_any_body_is_data_or_a_failure(body: bytes, status: int) -> None:
    reply = Reply(status, body, {"retry-after": body.decode("latin-1")})
    error = failure(open_reply, reply)
    assert error is None or (error.message and reason_name(error.reason) != "UNSPECIFIED")


@given(row=ROWS)
def test_any_row_is_read_or_refused(row: dict[str, Any]) -> None:
    model = read_model(row)
    assert model is None or (model.upstream_id and model.model)
    read_created(row)
    for read in (read_user, read_task, read_chunks):
        error = failure(read, row)
        assert error is None or reason_name(error.reason) == "UPSTREAM_PROTOCOL"


@given(data=JSON)
def test_any_list_is_read_or_refused(data: Any) -> None:
    error = failure(lambda value: objects_in(value, "models"), data)
    assert error is None or reason_name(error.reason) == "UPSTREAM_PROTOCOL"


@pytest.mark.parametrize("quoted", ["Tell me of my secret plans", "Tell me of my secret plans for tomorrow"])
def test_a_message_that_repeats_a_prompt_or_its_beginning_is_not_quoted(quoted: str) -> None:
    body = json.dumps({"code": 400, "message": f"bad content: {quoted}"}).encode()
    with pytest.raises(ServiceError) as caught:
        open_reply(Reply(400, body, {}), ["Tell me of my secret plans for tomorrow"])
    assert "secret" not in caught.value.message
    with pytest.raises(ServiceError, match="bad content"):
        open_reply(Reply(400, body, {}), ["another prompt"])
