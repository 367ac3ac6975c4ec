"""Every dialect and every hostile frame becomes a frame; nothing raises (upstream-protocol §6, §7, §10)."""

import base64
import json

import pytest
from howler.task.v1.task_event_pb2 import NoticeKind, PlanEntryStatus
from howler.task.v1.tool_call_pb2 import ToolCallState
from hypothesis import given
from hypothesis import strategies as st

from server.acp.decode import Decoder, prompt_of
from server.acp.frames import (
    Answered,
    Asked,
    Began,
    Called,
    Echo,
    Erred,
    Frame,
    Interrupted,
    Junk,
    Metered,
    Noted,
    Offered,
    Over,
    Planned,
    Said,
    Severed,
    Shown,
    Silent,
    Thought,
    Unknown,
)


def b64(value: object) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.b64encode(raw).decode()


def read(**frame: object) -> Frame:
    return Decoder().decode(json.dumps(frame))


def update(**fields: object) -> Frame:
    return read(type="task-running", kind="acp_event", data=b64({"update": fields}), timestamp=5)


def flat(**fields: object) -> Frame:
    return read(type="task-running", kind="acp_event", data=json.dumps(fields), timestamp=5)


def test_text_in_every_dialect() -> None:
    """P6.1"""
    content = {"type": "text", "text": "Hi"}
    assert update(sessionUpdate="agent_message_chunk", content=content) == Said(text="Hi", at=5)
    assert flat(type="agent_message_chunk", text="Hi", content="Hi") == Said(text="Hi", at=5)
    assert flat(type="agent_message_chunk", content="Hi") == Said(text="Hi", at=5)
    bare = {"update": {"sessionUpdate": "agent_message_chunk", "content": content}}
    assert read(type="task-running", kind="acp_event", data=bare, timestamp=5) == Said(text="Hi", at=5)
    assert read(type="agent_message_chunk", data=json.dumps({"text": "Hi"})) == Said(text="Hi")


def test_thought() -> None:
    """P6.2"""
    content = {"type": "text", "text": "hm"}
    assert update(sessionUpdate="agent_thought_chunk", content=content) == Thought(text="hm", at=5)


def test_text_in_several_blocks() -> None:
    blocks = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    assert update(sessionUpdate="agent_message_chunk", content=blocks) == Said(text="ab", at=5)


def test_a_block_that_is_no_text_is_passed_on() -> None:
    link = {"type": "resource_link", "uri": "file:///a", "name": "a"}
    frame = update(sessionUpdate="agent_message_chunk", content=link)
    assert isinstance(frame, Unknown)
    assert frame.kind == "agent_message_chunk"
    assert "file:///a" in frame.data


def test_image() -> None:
    png = base64.b64encode(b"\x89PNG\r\n").decode()
    frame = update(sessionUpdate="agent_message_chunk", content={"type": "image", "data": png})
    assert frame == Shown(mime_type="image/png", data=b"\x89PNG\r\n", uri="", at=5)


def test_tool_call() -> None:
    """P6.3"""
    frame = update(
        sessionUpdate="tool_call",
        toolCallId="t1",
        title="Bash",
        kind="execute",
        status="pending",
        rawInput={"command": "ls"},
        locations=[{"path": "/a", "line": 3}, {"path": "/b"}],
    )
    assert isinstance(frame, Called)
    assert (frame.id, frame.title, frame.kind) == ("t1", "Bash", "execute")
    assert frame.state == ToolCallState.TOOL_CALL_STATE_PENDING
    assert json.loads(frame.raw_input or "") == {"command": "ls"}
    assert [(place.path, place.line) for place in frame.locations or ()] == [("/a", 3), ("/b", 0)]
    assert frame.output is None


@pytest.mark.parametrize(
    ("raw", "output"),
    [
        ({"output": "ok"}, "ok"),
        ("plain", "plain"),
        ({"stdout": "out", "stderr": "err"}, "out\nerr"),
        ({"error": "no"}, "no"),
    ],
)
def test_tool_output(raw: object, output: str) -> None:
    frame = update(sessionUpdate="tool_call_update", toolCallId="t1", status="completed", rawOutput=raw)
    assert isinstance(frame, Called)
    assert frame.output == output
    assert frame.state == ToolCallState.TOOL_CALL_STATE_COMPLETED


def test_tool_output_from_content_blocks_and_diffs() -> None:
    content = [
        {"type": "content", "content": {"type": "text", "text": "done"}},
        {"type": "diff", "path": "a.py", "oldText": None, "newText": "x"},
    ]
    frame = update(sessionUpdate="tool_call_update", toolCallId="t1", content=content)
    assert isinstance(frame, Called)
    assert frame.output == "done"
    assert [(diff.path, diff.old_text, diff.new_text) for diff in frame.diffs or ()] == [("a.py", "", "x")]


def test_tool_call_of_the_flat_dialect() -> None:
    frame = flat(
        type="tool_call", tool_id="t", tool_name="bash", tool_input={"command": "ls"}, status="running"
    )
    assert isinstance(frame, Called)
    assert (frame.title, frame.state) == ("bash", ToolCallState.TOOL_CALL_STATE_IN_PROGRESS)


def test_plan_commands_usage() -> None:
    """P6.4"""
    plan = update(
        sessionUpdate="plan", entries=[{"content": "look", "priority": "high", "status": "in_progress"}]
    )
    assert isinstance(plan, Planned)
    assert plan.entries[0].content == "look"
    assert plan.entries[0].status == PlanEntryStatus.PLAN_ENTRY_STATUS_IN_PROGRESS
    steps = flat(type="plan", steps=[{"title": "a", "status": "done"}, "b"])
    assert isinstance(steps, Planned)
    assert [entry.content for entry in steps.entries] == ["a", "b"]
    offered = update(
        sessionUpdate="available_commands_update",
        availableCommands=[{"name": "compact", "description": "d", "input": {"hint": "h"}}],
    )
    assert isinstance(offered, Offered)
    assert (offered.commands[0].name, offered.commands[0].hint) == ("compact", "h")
    assert update(sessionUpdate="usage_update", used=3, size=200) == Metered(
        context_used=3, context_size=200, at=5
    )
    tokens = flat(type="usage_update", input_tokens=1, output_tokens=2, total_tokens=3)
    assert tokens == Metered(input_tokens=1, output_tokens=2, total_tokens=3, at=5)


QUESTION = {"question": "Which?", "options": [{"label": "all"}, {"label": "one"}]}


@pytest.mark.parametrize(
    "frame",
    [
        {
            "kind": "acp_ask_user_question",
            "data": {"toolCall": {"toolCallId": "q1", "rawInput": {"questions": [QUESTION]}}},
        },
        {
            "kind": "acp_event",
            "data": {
                "update": {
                    "sessionUpdate": "tool_call",
                    "toolCallId": "q1",
                    "title": "AskUserQuestion ask_user question",
                    "kind": "ask-user-question",
                    "rawInput": {"questions": [QUESTION]},
                }
            },
        },
        {
            "kind": "acp_event",
            "data": {
                "update": {
                    "sessionUpdate": "tool_call_update",
                    "toolCallId": "q1",
                    "_meta": {"askUserQuestion": {"questions": [QUESTION]}},
                }
            },
        },
    ],
)
def test_questions_in_both_carriers(frame: dict[str, object]) -> None:
    """P6.5"""
    asked = read(type="task-running", kind=frame["kind"], data=b64(frame["data"]))
    assert isinstance(asked, Asked)
    assert asked.id == "q1"
    assert [option.label for option in asked.items[0].options] == ["all", "one"]


def test_a_question_of_the_flat_dialect() -> None:
    """§10: tool_name is the title, tool_input the rawInput."""
    asked = flat(
        type="tool_call", tool_id="q", tool_name="ask_user_question", tool_input={"questions": [QUESTION]}
    )
    assert isinstance(asked, Asked)
    assert asked.items[0].text == "Which?"


def test_a_tool_that_merely_has_questions_is_a_tool() -> None:
    frame = update(
        sessionUpdate="tool_call",
        toolCallId="t",
        title="Bash",
        kind="execute",
        rawInput={"questions": [QUESTION]},
    )
    assert isinstance(frame, Called)


def test_extensions_are_notices() -> None:
    assert update(sessionUpdate="llm_call_retry", attempt=2, message="overloaded") == Noted(
        kind=NoticeKind.NOTICE_KIND_LLM_RETRY, message="attempt 2: overloaded", at=5
    )
    ended = update(sessionUpdate="compact_status", status="ended")
    assert isinstance(ended, Noted)
    assert ended.kind == NoticeKind.NOTICE_KIND_COMPACTION_ENDED
    switched = update(sessionUpdate="model_update", model="m")
    assert switched == Noted(kind=NoticeKind.NOTICE_KIND_MODEL_CHANGED, message="m", at=5)
    ports = read(type="task-event", kind="port_change", data=b64({"change_type": "OPENED"}))
    assert ports == Noted(kind=NoticeKind.NOTICE_KIND_PORTS_CHANGED, message="OPENED")


def test_life_cycle_frames() -> None:
    """P6.7"""
    assert read(type="ping", data=None, kind="", timestamp=0) == Silent()
    assert read(type="task-started", data=None, kind="", seq=2, timestamp=7) == Began(at=7, seq=2)
    assert read(type="task-ended", data=None) == Over()
    assert read(type="task_ended", data=b64({"usage": {"input_tokens": 4}})) == Over(
        usage=Metered(input_tokens=4)
    )
    assert read(type="user-cancel") == Interrupted()
    assert read(type="task-error", data=b64({"message": "m", "details": "d"})) == Erred(message="d")
    assert read(type="task-error", data="plain text") == Erred(message="plain text")
    assert read(type="error", data=b64("no virtual machine or host for task")) == Severed(
        message="no virtual machine or host for task"
    )


def test_reply_told_back() -> None:
    payload = {"request_id": "q1", "answers_json": json.dumps({"Which?": ["a", "b"]}), "cancelled": False}
    expected = Answered(id="q1", answers=(("Which?", ("a", "b")),), cancelled=False)
    assert read(type="reply-question", data=b64(payload)) == expected
    assert read(type="reply-question", data=json.dumps(payload)) == expected


def test_unknown_kinds_are_passed_on() -> None:
    assert update(sessionUpdate="weather", sky="blue") == Unknown(
        type="task-running", kind="weather", data='{"sessionUpdate":"weather","sky":"blue"}', at=5
    )
    frame = read(type="permission-req", data={"id": 1}, kind="k")
    assert frame == Unknown(type="permission-req", kind="k", data='{"id":1}')


def test_keys_of_another_case_and_fields_of_another_type() -> None:
    assert Decoder().decode('{"TYPE":"task-started","Data":null,"Timestamp":7.0,"seq":-1}') == Began(at=7)
    assert Decoder().decode('{"type":"task-started","kind":null,"timestamp":"x"}') == Began()


@pytest.mark.parametrize(
    "message",
    [
        "",
        "null",
        "[]",
        "5",
        '{"type":5}',
        "{" * 100_000,
        b"\xff\xfe",
        '{"type":"x"',
        '{"data":"x"}',
        "9" * 5000,
    ],
)
def test_junk(message: str | bytes) -> None:
    """P7.1"""
    assert isinstance(Decoder().decode(message), Junk)


@pytest.mark.parametrize(
    "data",
    [
        "%%%",
        "YQ",
        {"update": None},
        {"update": {"sessionUpdate": 5}},
        {"update": {"sessionUpdate": "plan", "entries": "x"}},
        {"update": {"sessionUpdate": "tool_call"}},
        {"update": {"sessionUpdate": "tool_call", "toolCallId": "t", "locations": [1, None], "content": [5]}},
        {"update": {"sessionUpdate": "usage_update", "used": 1e300, "size": -1}},
        {"update": {"sessionUpdate": "agent_message_chunk", "content": {"type": "image", "data": "é"}}},
        [1, 2],
        7,
    ],
)
@pytest.mark.parametrize("kind", ["acp_event", "acp_ask_user_question", ""])
def test_hostile_payloads_are_some_frame(data: object, kind: str) -> None:
    assert isinstance(read(type="task-running", kind=kind, data=data), Frame)
    assert isinstance(read(type="task-running", kind=kind, data=b64(data)), Frame)


def test_half_a_surrogate_pair_becomes_a_replacement_character() -> None:
    text = rb'{"update":{"sessionUpdate":"agent_message_chunk","content":{"type":"text","text":"a\ud83d"}}}'
    assert read(type="task-running", data=b64(text)) == Said(text="a\N{REPLACEMENT CHARACTER}")


def test_plain_base64_text_is_read_once_the_peer_is_known() -> None:
    """§10.2 (c)"""
    decoder = Decoder()
    frame = json.dumps({"type": "task-error", "data": base64.b64encode(b"broken").decode()})
    assert decoder.decode(frame) == Erred(message="YnJva2Vu")
    decoder.decode(json.dumps({"type": "cursor", "data": b64({"cursor": "3"})}))
    assert decoder.native
    assert decoder.decode(frame) == Erred(message="broken")


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        ({"content": "aGVsbG8=", "attachments": []}, "hello"),
        ({"encoding": "plaintext", "content": "hello"}, "hello"),
        ({"content": b64({"content": "hello"})}, "hello"),
        ({"content": "hello!"}, "hello!"),
        ("hello", "hello"),
    ],
)
def test_prompt_in_any_dialect(payload: object, text: str) -> None:
    """P4"""
    assert prompt_of(payload) == text
    assert read(type="user-input", data=b64(payload)) == Echo(text=text)


@given(st.binary(max_size=200))
def test_any_bytes_are_some_frame(message: bytes) -> None:
    assert isinstance(Decoder().decode(message), Frame)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)
names = st.sampled_from(
    ["agent_message_chunk", "tool_call", "plan", "usage_update", "available_commands_update", "x"]
)
keys = st.sampled_from(
    [
        "content",
        "toolCallId",
        "title",
        "status",
        "rawInput",
        "rawOutput",
        "entries",
        "locations",
        "used",
        "_meta",
    ]
)


@given(names, st.dictionaries(keys, json_values, max_size=4), st.booleans())
def test_any_update_is_some_frame(name: str, fields: dict[str, object], nested: bool) -> None:
    payload = {"sessionUpdate": name, **fields}
    data = b64({"update": payload} if nested else payload)
    frame = read(type="task-running", kind="acp_event", data=data)
    assert isinstance(frame, Frame)


counts = st.none() | st.integers(-2, 5) | st.sampled_from([(1 << 63) - 1, 1 << 63, 2.0, 2.5, True])
natives = st.one_of(
    st.tuples(
        st.just("task-running"),
        st.one_of(
            st.fixed_dictionaries(
                {"sessionUpdate": st.just("usage_update")},
                optional={"used": counts, "size": counts, "input_tokens": counts},
            ),
            st.fixed_dictionaries(
                {
                    "sessionUpdate": st.sampled_from(["agent_message_chunk", "agent_thought_chunk"]),
                    "content": st.fixed_dictionaries(
                        {"text": st.sampled_from(["", "a", "é", None])},
                        optional={"type": st.sampled_from(["text", "image"])},
                    ),
                }
            ),
        ).map(lambda told: b64({"update": told})),
    ),
    st.tuples(
        st.just("user-input"),
        st.sampled_from(
            [
                None,
                "{}",
                b64(b"hi"),
                b64("hi"),
                b64([]),
                b64({}),
                b64({"content": None}),
                b64({"content": b64(b"hi")}),
                b64({"content": b64(b"\xff")}),
                b64({"content": "aGk=", "encoding": "plaintext"}),
                b64({"content": b64({"content": "hi"})}),
            ]
        ),
    ),
    st.tuples(
        st.sampled_from(["task-started", "task-ended"]),
        st.sampled_from([None, b64({}), b64({"usage": {"used": 3}}), "{}"]),
    ),
)


@given(natives, st.sampled_from([-1, 0, 3]), st.sampled_from([-1, 0, 5, 1 << 62]))
def test_the_short_way_leads_where_the_long_one_does(told: tuple[str, str | None], seq: int, at: int) -> None:
    """What the stream tells is read by shapes, what is stored never is."""
    name, data = told
    kind = "acp_event" if name == "task-running" else ""
    stored = Decoder().stored(name, kind, data, at, seq)
    assert read(type=name, kind=kind, data=data, timestamp=at, seq=seq) == stored
