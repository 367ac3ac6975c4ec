"""The sandbox's pure parts: Go's JSON, base64, folding, the choice of a scenario."""

import base64
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.agent import acp
from sandbox.agent.answer import pieces
from sandbox.agent.repertoire import REPERTOIRE
from sandbox.agent.step import Emit
from sandbox.wire import gojson
from sandbox.wire.body import BindError, Body, parse_uuid
from sandbox.wire.frame import Frame, encode, parse, strict_base64
from sandbox.wire.prompt import Prompt, read_prompt, write_prompt
from sandbox.world.history import Entry, Merging, fold, text_of

_TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_what_is_written_is_read_back(text: str) -> None:
    frame = Frame("task-running", text.encode(), "acp_event", 7, 1784088476851)
    assert parse(encode(frame)) == frame
    assert json.loads(gojson.dumps({"text": text})) == {"text": text}
    assert "".join(pieces(text)) == text
    if text:
        assert read_prompt(write_prompt(Prompt(text))) == Prompt(text)


@given(st.binary())
def test_base64_is_taken_exactly_as_it_is_written(data: bytes) -> None:
    text = base64.b64encode(data).decode()
    assert strict_base64(text) == data
    assert strict_base64(text + "\r\n") == data
    if text.endswith("="):
        assert strict_base64(text.rstrip("=")) is None
    assert strict_base64(text + "=") is None
    assert strict_base64(" " + text) is None


def test_json_is_escaped_and_mended_as_go_does() -> None:
    assert gojson.dumps({"a": "<&>\u2028é"}) == '{"a":"\\u003c\\u0026\\u003e\\u2028é"}'
    assert gojson.loads(b'{"a":"\\ud800x"}') == {"a": "\ufffdx"}
    assert gojson.loads(b'"\\ud83d\\ude00"') == "😀"
    assert gojson.loads(b'"\xff"') == "\ufffd"


def test_fields_match_in_any_case_and_the_last_wins() -> None:
    body = Body({"ID": "a", "id": "b", "Flag": None})
    assert body.text("id") == "b"
    assert body.flag("flag") is False
    with pytest.raises(BindError):
        body.integer("id")
    with pytest.raises(BindError):
        Body({"n": True}).integer("n")


@pytest.mark.parametrize(
    ("text", "uuid"),
    [
        ("7B0C2F6E-2F0A-4F0E-9D51-0D2B8C1F5A11", "7b0c2f6e-2f0a-4f0e-9d51-0d2b8c1f5a11"),
        ("7b0c2f6e2f0a4f0e9d510d2b8c1f5a11", "7b0c2f6e-2f0a-4f0e-9d51-0d2b8c1f5a11"),
        ("urn:uuid:7b0c2f6e-2f0a-4f0e-9d51-0d2b8c1f5a11", "7b0c2f6e-2f0a-4f0e-9d51-0d2b8c1f5a11"),
        ("", None),
        ("7b0c2f6e-2f0a", None),
        ("{7b0c2f6e-2f0a-4f0e-9d51-0d2b8c1f5a1-}", None),
    ],
)
def test_uuids_are_read_in_their_spellings(text: str, uuid: str | None) -> None:
    if uuid is None:
        with pytest.raises(BindError):
            parse_uuid(text)
    else:
        assert parse_uuid(text) == uuid


def _log(*steps: Emit) -> list[Entry]:
    entries = []
    for number, step in enumerate(steps, start=1):
        data = b"" if step.payload is None else gojson.dumps(step.payload).encode()
        entries.append(Entry(number * 10, number, 1, step.type, step.kind, step.payload, data))
    return entries


def test_neighbouring_chunks_become_one_row_with_the_first_seq() -> None:
    log = _log(acp.STARTED, acp.thought("a"), acp.thought("b"), acp.said("c"), acp.said("d"), acp.ENDED)
    rows = fold(log, Merging())
    assert [(row.seq, text_of(row)) for row in rows] == [
        (1, None),
        (2, ("agent_thought_chunk", "ab")),
        (4, ("agent_message_chunk", "cd")),
        (6, None),
    ]
    assert json.loads(rows[2].data) == acp.said("cd").payload


def test_a_tool_call_parts_a_message_and_usage_does_not() -> None:
    parted = fold(_log(acp.said("a"), acp.tool_call("t", "Bash", "execute"), acp.said("b")), Merging())
    assert [row.seq for row in parted] == [1, 2, 3]
    whole = fold(_log(acp.said("a"), acp.usage(1), acp.said("b"), acp.usage(2), acp.ENDED), Merging())
    assert [row.seq for row in whole] == [2, 1, 4, 5]
    assert text_of(whole[1]) == ("agent_message_chunk", "ab")


_STEP = st.one_of(
    _TEXT.map(acp.said),
    _TEXT.map(acp.thought),
    st.just(acp.usage(1)),
    st.just(acp.tool_update("t", status="completed")),
    st.just(acp.image("aGk=")),
)


@given(st.lists(_STEP), st.none() | st.integers(0, 1000))
def test_folding_loses_nothing_and_is_stable(steps: list[Emit], seed: int | None) -> None:
    log = _log(*steps)
    rows = fold(log, Merging(seed))
    assert [row.at_ns for row in rows] == sorted(row.at_ns for row in rows)
    for variant in ("agent_message_chunk", "agent_thought_chunk"):
        texts = [
            [found[1] for one in part if (found := text_of(one)) and found[0] == variant]
            for part in (log, rows)
        ]
        assert "".join(texts[0]) == "".join(texts[1])
    assert sum(text_of(row) is None for row in rows) == sum(text_of(one) is None for one in log)
    if seed is None:
        assert fold(rows, Merging()) == [replace(row) for row in rows]


@pytest.mark.parametrize(
    ("prompt", "name", "argument"),
    [
        ("/think", "think", ""),
        ("/pace 20 100", "pace", "20 100"),
        ("hello\n/pace 1 2\n", "pace", "1 2"),
        ("/tools first\n/plan", "tools", "first\n/plan"),
        ("User: hi\n\nUser: /ask", "ask", ""),
        ("/thinking", "", ""),
        ("a /think", "", ""),
        ("", "", ""),
    ],
)
def test_the_scenario_is_what_the_prompt_names(prompt: str, name: str, argument: str) -> None:
    command = REPERTOIRE.choose(prompt)
    assert (command.name, command.argument) == (name, argument)


def test_numbers_of_a_scenario_are_bounded() -> None:
    command = REPERTOIRE.choose("/pace nan -5")
    assert command.number(0, 20, 100) == 20
    assert command.number(1, 20, 100) == 0
    assert REPERTOIRE.choose("/big 1e300").count(0, 1, 64) == 64
