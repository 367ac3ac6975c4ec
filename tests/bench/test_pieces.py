"""The pieces of the bench alone: a load that checks tokens must notice each way of getting them wrong."""

import json

import pytest

from bench.answers import ChatAnswer, ResponsesAnswer, StreamAnswer
from bench.frames import Unframer
from bench.script import frame, script
from bench.tokens import TAIL, UNTIMED, Ask, Seen, Tally, head
from server.acp.decode import Decoder
from server.acp.frames import Said


def spelled(*indexes: int, at: int = 0) -> bytes:
    return b"".join(head(index) + b"%015d" % at + TAIL for index in indexes)


@pytest.mark.parametrize(
    ("indexes", "verdict"),
    [
        ((0, 1, 2), ""),
        ((0, 1), "missing"),
        ((0, 2), "order"),
        ((0, 2, 1), "order"),
        ((0, 1, 1, 2), "order"),
        ((0, 1, 2, 3), "repeated"),
        ((), "missing"),
    ],
)
def test_every_way_of_getting_tokens_wrong_is_noticed(indexes: tuple[int, ...], verdict: str) -> None:
    tally = Tally(Seen(), 3, 0)
    tally.feed(spelled(*indexes), 1)
    assert tally.verdict() == verdict


@pytest.mark.parametrize("size", [1, 5, 23, 24, 64])
def test_a_token_cut_anywhere_is_counted_once(size: int) -> None:
    seen = Seen()
    tally = Tally(seen, 20, 0)
    text = b"noise " + b' "} \n\n'.join(spelled(index, at=7) for index in range(20)) + b" noise"
    for at in range(0, len(text), size):
        tally.feed(text[at : at + size], 1000)
    assert tally.verdict() == ""
    assert seen.events == 20
    assert (len(seen.ttft), len(seen.delay)) == (1, 19), "the first token counts for TTFT alone"


def test_untimed_tokens_have_no_delay() -> None:
    seen = Seen()
    tally = Tally(seen, 2, 0)
    tally.feed(spelled(0, 1), 1000)
    assert seen.delay == []
    assert len(UNTIMED) == 15


def test_a_prompt_asks_wherever_it_stands() -> None:
    asked = Ask(200, 20.0)
    assert Ask.read(json.dumps({"content": f"System.\n\n{asked.prompt()}"})) == asked
    assert Ask.read("Hello.") == Ask(1)


def frames_of(data: bytes) -> list[bytes]:
    return [payload for opcode, payload in Unframer().feed(data) if opcode == 1]


def test_a_paced_token_and_a_burst_are_native_frames_that_the_server_reads() -> None:
    said = script("native", 40)
    decoder = Decoder()
    paced = b"".join(said.token(index, 123_456) for index in range(40))
    for data, at in ((paced, 123_456), (b"".join(said.burst), 0)):
        texts = [frame for payload in frames_of(data) if isinstance(frame := decoder.decode(payload), Said)]
        assert (
            "".join(said.text for said in texts).split()
            == spelled(*range(40), at=at).decode().replace(";", "; ").split()
        )
    assert decoder.native
    assert not decoder.foreign


def test_the_flat_dialect_is_json_text_in_data() -> None:
    said = script("flat", 3)
    payloads = frames_of(said.opening + said.token(0, 5) + b"".join(said.burst) + said.ending)
    datas = [json.loads(row["data"]) for row in map(json.loads, payloads) if "data" in row]
    assert [data["text"] for data in datas[:2]] == [spelled(0, at=5).decode(), spelled(0).decode()]
    assert datas[-1]["type"] == "usage_update"


@pytest.mark.parametrize("size", [1, 2, 3, 70, 1000])
def test_frames_are_found_however_they_are_cut(size: int) -> None:
    sent = [b"", b"x" * 125, b"y" * 126, b"z" * 70_000]
    data = b"".join(frame(payload) for payload in sent)
    unframer, found = Unframer(), []
    for at in range(0, len(data), size):
        found += [payload for _, payload in unframer.feed(data[at : at + size])]
    assert found == sent


def test_a_masked_frame_is_unmasked() -> None:
    key, text = b"\x01\x02\x03\x04", b"hello"
    masked = bytes(byte ^ key[at % 4] for at, byte in enumerate(text))
    assert list(Unframer().feed(b"\x81\x85" + key + masked)) == [(1, text)]


@pytest.mark.parametrize("size", [1, 7, 4096])
def test_a_chat_ends_with_done_and_fails_with_an_error_chunk(size: int) -> None:
    chunk = b'data: {"choices":[{"delta":{"content":"x"}}]}\n\n'
    for body, done, failed in (
        (chunk * 3 + b"data: [DONE]\n\n", True, False),
        (chunk * 3, False, False),
        (chunk + b'data: {"error":{"message":"no"}}\n\ndata: [DONE]\n\n', True, True),
    ):
        answer = ChatAnswer()
        for at in range(0, len(body), size):
            answer.take(body[at : at + size])
        assert (answer.done, bool(answer.failed)) == (done, failed)


def test_a_response_counts_its_deltas_alone() -> None:
    answer = ResponsesAnswer()
    body = b"".join(
        b"event: response.%s\ndata: %s\n\n" % (kind, spelled(index))
        for kind, index in ((b"output_text.delta", 0), (b"output_text.done", 0), (b"completed", 0))
    )
    assert answer.take(body[:50]) + answer.take(body[50:]) == body.partition(b"\n\n")[0]
    assert answer.done


def test_a_stream_ends_with_task_ended() -> None:
    said = script("native", 2)
    answer = StreamAnswer()
    found = answer.take(said.opening + b"".join(said.burst))
    assert not answer.done
    assert found.count(b"@") == 2
    answer.take(said.ending)
    assert (answer.done, answer.failed) == (True, "")
