"""Issue 6, client tools: what of an agent's words is a call, and what is not (openai-surface.md §10)."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facade.openai.client_tools.judge import judge
from facade.openai.client_tools.scanner import MOST_HELD, Found, Over, Said, Scanner
from tests.support.client_tools import NONCE, envelope, scanned, tools

PARIS = '{"name":"get_weather","arguments":{"city":"Paris"}}'
CALL = ("get_weather", '{"city":"Paris"}')
LS = ("bash", '{"command":"ls"}')

CALLS: dict[str, tuple[str, list[Any]]] = {
    "plain": (envelope(PARIS), [[CALL]]),
    "words before it": (f"Let me look.\n{envelope(PARIS)}", ["Let me look.\n", [CALL]]),
    "two that follow directly": (f"{envelope(PARIS)}\n\n{envelope(PARIS)}", [[CALL], [CALL]]),
    "two in one envelope": (envelope(f"[{PARIS},{PARIS}]"), [[CALL, CALL]]),
    "one after another in an envelope": (envelope(f"{PARIS}\n{PARIS}"), [[CALL, CALL]]),
    "OpenAI's own shape": (
        envelope(
            '{"tool_calls":[{"id":"x","type":"function","function":{"name":"bash","arguments":"{\\"command\\":\\"ls\\"}"}}]}'
        ),
        [[LS]],
    ),
    "arguments as text": (envelope('{"name":"bash","arguments":"{\\"command\\": \\"ls\\"}"}'), [[LS]]),
    "the only argument, bare": (envelope('{"name":"bash","arguments":"ls"}'), [[LS]]),
    "arguments beside the name": (envelope('{"tool":"bash","command":"ls"}'), [[LS]]),
    "no arguments": (envelope('{"name":"list_all"}'), [[("list_all", "{}")]]),
    "empty arguments": (envelope('{"name":"list_all","arguments":""}'), [[("list_all", "{}")]]),
    "a raw block": (
        envelope('{"name":"bash"}<arg name="command">\necho "</tool_call>" \\n <b>\n</arg>'),
        [[("bash", '{"command":"echo \\"</tool_call>\\" \\\\n <b>\\n"}')]],
    ),
    "function=": (envelope("<function=bash>\n<parameter=command>\nls\n</parameter>\n</function>"), [[LS]]),
    "invoke": (envelope('<invoke name="bash"><parameter name="command">ls</parameter></invoke>'), [[LS]]),
    "a typed parameter": (
        envelope(
            "<function=get_weather><parameter=city>Paris</parameter><parameter=days>3</parameter></function>"
        ),
        [[("get_weather", '{"city":"Paris","days":3}')]],
    ),
    "a fence inside": (envelope(f"\n```json\n{PARIS}\n```\n"), [[CALL]]),
    "a fence around": (f"So:\n```xml\n{envelope(PARIS)}\n```\nDone.", ["So:\n", [CALL], Over]),
    "single quotes and Python": (
        envelope("{'name': 'get_weather', 'arguments': {'city': 'Paris', 'days': None,},}"),
        [[CALL]],
    ),
    "quotes not escaped": (
        envelope('{"name":"bash","arguments":{"command":"echo "hi""}}'),
        [[("bash", '{"command":"echo \\"hi\\""}')]],
    ),
    "a bracket too few": (envelope(PARIS[:-1]), [[CALL]]),
    "a bracket too many": (envelope(PARIS + "}"), [[CALL]]),
    "a line break in a text": (
        envelope('{"name":"bash","arguments":{"command":"a\nb"}}'),
        [[("bash", '{"command":"a\\nb"}')]],
    ),
    "a closing tag in a text": (
        envelope('{"name":"bash","arguments":{"command":"echo </tool_call>"}}'),
        [[("bash", '{"command":"echo </tool_call>"}')]],
    ),
    "a number as text": (
        envelope('{"name":"get_weather","arguments":{"city":"Paris","days":"3"}}'),
        [[("get_weather", '{"city":"Paris","days":3}')]],
    ),
    "another casing": (envelope(PARIS.replace("get_weather", "Get-Weather")), [[CALL]]),
    "a tag with spaces": (f"<tool_call  nonce = '{NONCE}' >{PARIS}</tool_call >", [[CALL]]),
    "a custom tool": (
        envelope('{"name":"apply_patch","arguments":{"input":"*** Begin"}}'),
        [[("apply_patch", "*** Begin")]],
    ),
    "a custom tool's raw block": (
        envelope('{"name":"apply_patch"}<arg name="input">*** Begin\n"x"\n</arg>'),
        [[("apply_patch", '*** Begin\n"x"\n')]],
    ),
    "a tool in a namespace": (envelope('{"name":"agents.close","arguments":{}}'), [[("agents.close", "{}")]]),
    "its flattened name": (envelope('{"name":"agents__close","arguments":{}}'), [[("agents.close", "{}")]]),
    "a result that is made up": (f"{envelope(PARIS)}\nIt is sunny.", [[CALL], Over]),
    "a call after what was made up": (f"{envelope(PARIS)} Sunny. {envelope(PARIS)}", [[CALL], Over]),
    "a false start before it": (
        f'<tool_call nonce="{NONCE}">{{"name":"ba\n{envelope(PARIS)}',
        [f'<tool_call nonce="{NONCE}">{{"name":"ba\n', [CALL]],
    ),
}
"""What is a call: the words, what is found in them."""

WORDS = {
    "JSON in prose": f"I would call {PARIS} now.",
    "a fenced example": f"```json\n{PARIS}\n```\nis a call.",
    "another nonce": f"It says {envelope(PARIS, 'ZZZZ')}.",
    "no nonce": f"It says <tool_call>{PARIS}</tool_call>.",
    "a past call": f'It says <tool_call id="call_1">{PARIS}</tool_call>.',
    "a tool that nobody declared": envelope('{"name":"rm","arguments":{}}') + " and more",
    "half a tag": f'It begins with <tool_call nonce="{NONCE}',
    "half a tag and more": '<tool_call nonce="K7… goes on',
    "angles and ticks": "a < b, ``c``, ```\ncode\n``` <tool",
    "function= without an envelope": "<function=bash><parameter=command>ls</parameter></function>",
}
"""What is no call, and passes to the last character."""

FAULTS = {
    "not closed": (f'<tool_call nonce="{NONCE}">{PARIS}', "closed"),
    "cut": (envelope(PARIS[:-9]), "JSON object"),
    "cut inside a text": (envelope(PARIS[:-5]), "closed"),
    "words": (envelope("please run bash"), "JSON object"),
    "an argument that is missing": (envelope('{"name":"bash","arguments":{}}'), "'command' is a required"),
    "an argument too many": (
        envelope('{"name":"get_weather","arguments":{"city":"x","colour":"red"}}'),
        "colour",
    ),
    "arguments that are no object": (envelope('{"name":"get_weather","arguments":[1]}'), "not a JSON object"),
}
"""Calls that are meant and are none: the words, what the agent is told."""


def cuts(text: str, size: int) -> list[str]:
    return [text[start : start + size] for start in range(0, len(text), size)]


@pytest.mark.parametrize("case", CALLS)
def test_what_is_a_call(case: str) -> None:
    text, found = CALLS[case]
    assert scanned([text]) == found
    assert scanned(text) == found


@pytest.mark.parametrize("case", WORDS)
def test_what_is_none_passes_whole(case: str) -> None:
    assert scanned([WORDS[case]]) == [WORDS[case]]
    assert scanned(WORDS[case]) == [WORDS[case]]


@pytest.mark.parametrize("case", FAULTS)
def test_what_is_meant_as_a_call_and_is_none(case: str) -> None:
    text, problem = FAULTS[case]
    for pieces in ([text], list(text)):
        fault, *over = scanned(pieces)
        assert problem in fault["problem"]
        assert fault["raw"] == text
        assert over == [Over]


def test_a_name_that_two_tools_could_mean_is_none() -> None:
    doubled = tools()
    twins = (*doubled.declared, *(type(tool)("GETWEATHER") for tool in doubled.declared[:1]))
    wanted = type(doubled)(twins, twins)
    text = envelope('{"name":"get-weather","arguments":{"city":"Paris"}}')
    assert scanned([text], wanted) == [text]
    assert scanned([envelope(PARIS)], wanted) == [[CALL]]


def test_one_call_at_most() -> None:
    assert scanned([envelope(f"[{PARIS},{PARIS}]")], tools(single=True)) == [[CALL]]


def test_words_before_a_call_pass_at_once() -> None:
    """Only what may begin an envelope is held."""
    scanner = Scanner(NONCE, lambda body: judge(body, tools()))
    assert scanner.receive("Hello <b>you</b> ") == [Said("Hello <b>you</b> ")]
    assert scanner.receive("then <tool") == [Said("then ")]
    assert scanner.receive("box>") == [Said("<toolbox>")]


def test_an_envelope_that_is_too_long_is_text() -> None:
    long = f'<tool_call nonce="{NONCE}">{"x" * (MOST_HELD + 100)}'
    assert scanned(cuts(long, 1000)) == [long]
    assert scanned([f"{long}</tool_call>"]) == [f"{long}</tool_call>"]


SNIPPETS = st.sampled_from(
    [
        *(text for text, _ in CALLS.values()),
        *WORDS.values(),
        *(text for text, _ in FAULTS.values()),
        f'<tool_call nonce="{NONCE}">',
        "</tool_call>",
        "```",
        "\n",
        " ",
        "<",
        '"',
        "words ",
    ]
)
ANSWERS = st.lists(SNIPPETS | st.text(max_size=8), max_size=6).map("".join)


@given(ANSWERS, st.data())
def test_any_cut_of_an_answer_comes_to_the_same(answer: str, data: st.DataObject) -> None:
    """Issue 6: any split of the stream into deltas gives the same outcome."""
    whole = scanned([answer])
    places = sorted(data.draw(st.sets(st.integers(0, len(answer)), max_size=12)))
    edges = [0, *places, len(answer)]
    assert scanned([answer[a:b] for a, b in pairwise(edges)]) == whole
    assert scanned(list(answer)) == whole


@given(ANSWERS)
def test_nothing_is_lost_before_the_end_and_no_tag_gets_out(answer: str) -> None:
    """Issue 6: no byte is lost, half a tag never leaks."""
    scanner = Scanner(NONCE, lambda body: judge(body, tools()))
    pieces = [piece for char in answer for piece in scanner.receive(char)] + scanner.end()
    rest = answer
    for piece in pieces:
        if isinstance(piece, (Said, Found)):
            text = piece.text if isinstance(piece, Said) else piece.raw
            if isinstance(piece, Found) and not rest.startswith(text):
                rest = rest.lstrip().removeprefix("```").lstrip()  # between calls
            assert rest.startswith(text)
            rest = rest[len(text) :]
    if not any(isinstance(piece, (Over, Found)) for piece in pieces):
        assert rest == ""
