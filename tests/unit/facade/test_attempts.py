"""Which requests mean the same turn (openai-surface.md §7.3)."""

import json
from typing import Any

from howler.task.v1.start_turn_pb2 import Attempt, StartTurn

from facade.openai.attempts import mark_attempt
from facade.openai.continuation import without_answer
from facade.openai.hints import Hints, read_hints
from facade.openai.memory import memory_of
from facade.openai.responses_request import read_responses
from facade.openai.start import Rules, start_turn
from facade.openai.wire import members_of
from tests.support.recordings import recording

CODEX = recording("codex-resume-second-turn")
PARTIAL = [
    {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": ""},
    {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "I will"}]},
]
CALL = {"type": "function_call", "call_id": "call_1", "name": "exec_command", "arguments": "{}"}
OUTPUT = {"type": "function_call_output", "call_id": "call_1", "output": "42"}


def started(body: dict[str, Any], headers: dict[str, str] | None = None) -> StartTurn:
    """Return the turn that a request starts, as the route has it."""
    headers = CODEX.headers if headers is None else headers
    raw = json.dumps(body).encode()
    hints: Hints = read_hints(headers, members_of(raw))
    if hints.client_turn:
        raw = without_answer(raw)
    asked = read_responses(raw).asked
    memory = memory_of(asked.conversation.messages, hints, keep_chats=True)
    start = start_turn(asked, Rules(), "p", "r", memory)
    mark_attempt(start, hints)
    return start


def with_items(*items: dict[str, Any]) -> dict[str, Any]:
    return CODEX.body | {"input": [*CODEX.body["input"], *items]}


def test_codex_sends_a_turn_again_with_what_it_heard() -> None:
    """What it appends is neither in the key nor in what is asked: the server's digest is the same."""
    first = started(CODEX.body)
    assert first.idempotency.attempt == Attempt.ATTEMPT_RETRY, "its id of the turn says so"
    for heard in (PARTIAL[:1], PARTIAL, [*PARTIAL, CALL]):
        assert started(with_items(*heard)) == first


def test_codex_goes_on_with_a_turn() -> None:
    """The result of its tool, or another message, makes it another request, also of the same turn."""
    first, second = started(CODEX.body), started(with_items(*PARTIAL, CALL, OUTPUT))
    assert second.idempotency.key != first.idempotency.key
    assert second == started(with_items(*PARTIAL, CALL, OUTPUT, *PARTIAL))
    steered = with_items(*PARTIAL, {"type": "message", "role": "user", "content": "stop"})
    assert started(steered).idempotency.key != first.idempotency.key


def test_codex_asks_the_same_in_another_turn() -> None:
    other = dict(CODEX.headers)
    turn = json.loads(other["x-codex-turn-metadata"])
    other["x-codex-turn-metadata"] = json.dumps(turn | {"turn_id": "another"})
    assert started(CODEX.body, other).idempotency.key != started(CODEX.body).idempotency.key


def test_an_sdk_counts() -> None:
    """What it sends again is the same, and the same in another session is something else."""
    body = {"input": "hi"}
    first, again = (started(body, {"x-stainless-retry-count": count}) for count in ("0", "2"))
    assert (first.idempotency.attempt, again.idempotency.attempt) == (
        Attempt.ATTEMPT_FIRST,
        Attempt.ATTEMPT_RETRY,
    )
    assert first.idempotency.key == again.idempotency.key
    session = {"x-stainless-retry-count": "2", "x-gateway-session-id": "s"}
    assert started(body, session).idempotency.key != again.idempotency.key


def test_a_client_that_names_its_chat() -> None:
    """What it sends again is its turn while that runs; once it is over it may want another answer."""
    chat = {"x-openwebui-chat-id": "c"}
    first = started({"input": "hi"}, chat)
    assert first.idempotency.attempt == Attempt.ATTEMPT_UNSPECIFIED
    assert first.idempotency.key == started({"input": "hi"}, chat).idempotency.key
    keys = {started({"input": "hi", "model": model}, chat).idempotency.key for model in ("a", "b")}
    assert len({*keys, first.idempotency.key}) == 3


def test_others_say_nothing() -> None:
    assert not started({"input": "hi"}, {}).HasField("idempotency")
    answer = {"input": [{"role": "user", "content": "hi"}, *PARTIAL]}
    assert without_answer(json.dumps({"input": PARTIAL}).encode()) == json.dumps({"input": PARTIAL}).encode()
    assert json.loads(without_answer(json.dumps(answer).encode()))["input"] == answer["input"][:1]
