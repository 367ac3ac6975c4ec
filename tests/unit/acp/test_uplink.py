"""What Howler sends: every dialect says what was meant, and nothing over the platform's limit is written."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.acp.decode import Decoder
from server.acp.frames import Answered, Echo
from server.acp.uplink import MAX_FRAME_BYTES, Dialect, FrameTooLarge, Reply, prompt_frame, reply_frame

prompts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=200)


@pytest.mark.parametrize("dialect", [Dialect.NATIVE, Dialect.LEGACY])
@given(text=prompts)
def test_a_prompt_comes_back_as_it_was(dialect: Dialect, text: str) -> None:
    frame = Decoder().decode(prompt_frame(text, dialect))
    assert frame == Echo(text=text)


@given(text=prompts)
def test_the_text_dialect_says_the_prompt_as_it_is(text: str) -> None:
    assert json.loads(prompt_frame(text, Dialect.TEXT)) == {"type": "user-input", "data": text}


@pytest.mark.parametrize("dialect", list(Dialect))
def test_the_limit_counts_bytes_of_the_frame(dialect: Dialect) -> None:
    """§6.1: one byte more than 32,768 closes the socket with 1009."""
    low, high = 1, MAX_FRAME_BYTES
    while low < high:
        middle = (low + high + 1) // 2
        try:
            prompt_frame("x" * middle, dialect)
            low = middle
        except FrameTooLarge:
            high = middle - 1
    assert MAX_FRAME_BYTES - 8 < len(prompt_frame("x" * low, dialect)) <= MAX_FRAME_BYTES
    with pytest.raises(FrameTooLarge, match="over the platform's limit of 32768"):
        prompt_frame("x" * (low + 1), dialect)
    with pytest.raises(FrameTooLarge):
        prompt_frame("é" * (low // 2 + 1), dialect)


def test_a_frame_that_is_too_large_does_not_repeat_the_prompt() -> None:
    with pytest.raises(FrameTooLarge) as raised:
        prompt_frame("secret" * 9000, Dialect.NATIVE)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("dialect", list(Dialect))
def test_a_reply_comes_back_as_it_was(dialect: Dialect) -> None:
    """P6.5: one answer is a label, several are a list (§7.6)."""
    reply = Reply(request_id="q1", answers={"Wh“ich?": "all", "More?": ["a", "b"]}, cancelled=False)
    frame = Decoder().decode(reply_frame(reply, dialect))
    assert frame == Answered(id="q1", answers=(("Wh“ich?", ("all",)), ("More?", ("a", "b"))), cancelled=False)


def test_a_declined_question_has_no_answers() -> None:
    frame = json.loads(reply_frame(Reply(request_id="q1", answers={}, cancelled=True), Dialect.NATIVE))
    assert json.loads(base64.b64decode(frame["data"])) == {
        "request_id": "q1",
        "answers_json": "",
        "cancelled": True,
    }


def test_a_reply_that_is_too_large() -> None:
    with pytest.raises(FrameTooLarge):
        reply_frame(Reply(request_id="q1", answers={"?": "x" * 40_000}, cancelled=False), Dialect.NATIVE)
