"""Issue 6: the turns of an agent become the answer that was asked for; one more may mend it."""

from typing import Any

from howler.task.v1 import task_event_pb2 as pb
from howler.task.v1.start_turn_pb2 import Message, Role, StartTurn, TaskRetention, Transcript

from facade.openai.client_tools.call import ClientCall
from facade.openai.client_tools.desk import Desk
from facade.openai.emulation import Emulation
from facade.openai.json_answer import JsonFormat
from tests.support.client_tools import NONCE, envelope, tools
from tests.support.facade import accepted, ended, failed, started, text, thought, tool

PARIS = envelope('{"name":"get_weather","arguments":{"city":"Paris"}}')
BROKEN = envelope("please")
WANTED = JsonFormat({"type": "object", "required": ["answer"]})


def start(**fields: Any) -> StartTurn:
    messages = Transcript(messages=[Message(role=Role.ROLE_USER, text="hi")])
    return StartTurn(model="m", messages=messages, instructions="i", principal="p", **fields)


def calling(**kind: Any) -> Emulation:
    return Emulation(start(), Desk(tools(**kind), NONCE), None)


def done(**fields: Any) -> pb.TaskEvent:
    return ended(resumable=True, **fields)


def cut() -> pb.TaskEvent:
    return ended(pb.EndReason.END_REASON_CANCELLED, resumable=True)


def told(heard: list[Any]) -> list[Any]:
    """Shorten: words as text, calls as (name, payload), ends as their reason, other events as their kind."""
    out: list[Any] = []
    for one in heard:
        if isinstance(one, ClientCall):
            out.append((one.tool.full_name, one.payload))
        elif one.WhichOneof("event") == "text_delta":
            out.append(one.text_delta.text)
        elif one.WhichOneof("event") == "ended":
            out.append(pb.EndReason.Name(one.ended.reason))
        else:
            out.append(one.WhichOneof("event"))
    return out


COMPLETED, CALL = "END_REASON_COMPLETED", ("get_weather", '{"city":"Paris"}')


def test_the_first_turn_is_guided_and_its_task_stays() -> None:
    asked = calling().start
    assert NONCE in asked.guidance
    assert asked.retention == TaskRetention.TASK_RETENTION_KEEP
    both = Emulation(start(), Desk(tools(), NONCE), WANTED).start.guidance
    assert "When you call no tool: Answer with one JSON value" in both


def test_words_stream_until_a_call_and_the_turn_is_cut_where_more_follows() -> None:
    answer = calling()
    assert told(answer.receive([accepted(), started(), thought("hm"), text("Let me look. ")])) == [
        "accepted",
        "started",
        "thought_delta",
        "Let me look. ",
    ]
    assert told(answer.receive([text(PARIS)])) == [CALL]
    assert answer.turn_to_cut == ""  # a call beside it may follow
    assert told(answer.receive([thought("so"), text("\n"), text("It is sunny."), text(PARIS)])) == []
    assert answer.turn_to_cut == "turn_1"
    assert told(answer.receive([tool("a", 2), text("x"), cut()])) == [COMPLETED]
    assert answer.turn_to_cut == ""
    assert answer.follow_up() is None


def test_one_call_at_most_is_cut_at_once() -> None:
    answer = calling(single=True)
    assert told(answer.receive([accepted(), text(PARIS)])) == ["accepted", CALL]
    assert answer.turn_to_cut == "turn_1"


def test_an_agent_that_goes_on_with_a_tool_of_its_own_is_cut() -> None:
    answer = calling()
    assert told(answer.receive([accepted(), tool("a", 2), text(PARIS), tool("b", 2)])) == [
        "accepted",
        "tool_call",
        CALL,
    ]
    assert answer.turn_to_cut == "turn_1"


def test_ids_of_calls_come_of_the_turn() -> None:
    """The log of a turn, read again, makes the same ids."""
    ids = [
        [
            one.call_id
            for one in calling().receive([accepted(), text(PARIS + PARIS), done()])
            if isinstance(one, ClientCall)
        ]
        for _ in range(2)
    ]
    assert ids[0] == ids[1] == ["call_1_0", "call_1_1"]


def test_a_turn_without_calls_is_told_as_it_is() -> None:
    answer = calling()
    heard = answer.receive([accepted(), text("a <tool"), thought("b"), text("box"), done()])
    assert told(heard) == ["accepted", "a ", "thought_delta", "<toolbox", COMPLETED]
    assert heard[-1].ended.usage.tokens.total_tokens == 17


def test_a_failure_is_a_failure() -> None:
    assert told(calling().receive([accepted(), text("a <"), failed()])) == [
        "accepted",
        "a ",
        "<",
        "END_REASON_FAILED",
    ]
    limit = ended(pb.EndReason.END_REASON_TIME_LIMIT, resumable=True)
    assert told(calling(required=True).receive([text("a"), limit])) == ["a", "END_REASON_TIME_LIMIT"]


def test_a_call_that_cannot_be_read_is_asked_for_once_more() -> None:
    answer = calling()
    assert told(answer.receive([accepted(), text("Look: "), text(BROKEN)])) == ["accepted", "Look: "]
    assert answer.turn_to_cut == "turn_1"
    assert told(answer.receive([text("and so on"), cut()])) == []
    again = answer.follow_up()
    assert again is not None
    assert (again.task_id, again.conversation_id, again.model, again.instructions) == ("task_1", "", "", "")
    assert again.WhichOneof("input") == "prompt"
    assert "not carried out" in again.prompt
    assert NONCE in again.guidance
    assert (again.principal, answer.follow_up(), answer.turn_to_cut) == ("p", None, "")
    heard = answer.receive([accepted(), started(), text("Sorry. "), text(PARIS), text(" x"), cut()])
    assert told(heard) == [CALL, COMPLETED]
    assert heard[-1].ended.usage.tokens.total_tokens == 34  # of both turns


def test_where_that_does_not_help_the_words_are_told() -> None:
    answer = calling()
    answer.receive([accepted(), text("Look: "), text(BROKEN), cut()])
    assert answer.follow_up() is not None
    assert told(answer.receive([accepted(), text("I cannot."), done()])) == [
        f"{BROKEN}\n\nI cannot.",
        COMPLETED,
    ]
    assert answer.follow_up() is None


def test_where_no_turn_can_follow_the_words_are_told() -> None:
    answer = calling()
    gone = ended(pb.EndReason.END_REASON_CANCELLED)
    assert told(answer.receive([accepted(), text(BROKEN), gone])) == ["accepted", BROKEN, COMPLETED]
    assert answer.follow_up() is None


def test_where_the_second_turn_fails_the_words_are_told() -> None:
    answer = calling()
    answer.receive([accepted(), text(BROKEN), cut()])
    assert answer.follow_up() is not None
    assert told(answer.give_up()) == [BROKEN, COMPLETED]
    answer = calling()
    answer.receive([accepted(), text(BROKEN), cut()])
    assert told(answer.receive([accepted(), failed()])) == [BROKEN, COMPLETED]


def test_a_call_that_is_required_is_insisted_on_once() -> None:
    answer = calling(required=True)
    assert told(answer.receive([accepted(), text("No need."), done()])) == ["accepted", "No need."]
    again = answer.follow_up()
    assert again is not None
    assert "You called no tool" in again.prompt
    assert told(answer.receive([accepted(), text(PARIS), done()])) == [CALL, COMPLETED]
    answer = calling(required=True)
    answer.receive([accepted(), text("No need."), done()])
    assert told(answer.receive([accepted(), text("Really."), done()])) == ["\n\nReally.", COMPLETED]


def test_a_second_turn_runs_in_the_conversation_of_the_first_under_an_id_that_follows() -> None:
    first = f"turn_{'0' * 32}"
    answer = Emulation(start(turn_id=first, recognise_history=True), Desk(tools(), NONCE), None)
    told_of = accepted()
    told_of.accepted.conversation_id = "conv_1"
    answer.receive([told_of, text(BROKEN), cut()])
    again = answer.follow_up()
    assert again is not None
    assert (again.conversation_id, again.task_id, again.recognise_history) == ("conv_1", "", False)
    assert again.turn_id.startswith("turn_")
    assert len(again.turn_id) == len(first)
    assert again.turn_id != first


def test_json_is_held_until_it_is_known_to_be() -> None:
    answer = Emulation(start(), None, WANTED)
    assert told(
        answer.receive([accepted(), text("Here: ```json\n"), text('{"answer": 1}'), text("\n```")])
    ) == ["accepted"]
    assert told(answer.receive([done()])) == ['{"answer": 1}', COMPLETED]


def test_json_that_does_not_fit_is_asked_for_once_more() -> None:
    answer = Emulation(start(), None, WANTED)
    assert told(answer.receive([accepted(), text('{"other": 1}'), done()])) == ["accepted"]
    again = answer.follow_up()
    assert again is not None
    assert "'answer' is a required property" in again.prompt
    assert told(answer.receive([accepted(), text('{"answer": 2}'), done()])) == ['{"answer": 2}', COMPLETED]


def test_json_that_never_fits_is_told_as_it_is() -> None:
    answer = Emulation(start(), None, WANTED)
    answer.receive([accepted(), text('{"other": 1}'), done()])
    assert told(answer.receive([accepted(), text("I would rather not."), done()])) == [
        "I would rather not.",
        COMPLETED,
    ]
    answer = Emulation(start(), None, WANTED)
    answer.receive([accepted(), text('{"other": 1}'), done()])
    assert told(answer.receive([accepted(), done()])) == ['{"other": 1}', COMPLETED]


def test_calls_come_before_json() -> None:
    answer = Emulation(start(), Desk(tools(), NONCE), WANTED)
    assert told(answer.receive([accepted(), text("Look: " + PARIS), done()])) == ["accepted", CALL, COMPLETED]
    answer = Emulation(start(), Desk(tools(), NONCE), WANTED)
    assert told(answer.receive([accepted(), text('It is {"answer": 1}'), done()])) == [
        "accepted",
        '{"answer": 1}',
        COMPLETED,
    ]


def talking(desk: Desk | None = None, wanted: JsonFormat | None = None) -> tuple[Emulation, pb.TaskEvent]:
    begun = accepted()
    begun.accepted.conversation_id = "conv_1"
    return Emulation(start(recognise_history=True), desk, wanted), begun


def test_a_conversation_is_retold_as_the_client_will_send_it_back() -> None:
    answer, begun = talking(Desk(tools(), NONCE))
    answer.receive([begun, text("Let me look.\n\n"), text(PARIS)])
    assert answer.retelling() is None
    answer.receive([text("It is sunny."), cut()])
    told = answer.retelling()
    assert told is not None
    assert (told.conversation_id, told.principal, told.turn_id) == ("conv_1", "p", "turn_1")
    call = '<tool_call id="call_1_0">{"name":"get_weather","arguments":{"city":"Paris"}}</tool_call>'
    assert [message.text for message in told.history.messages] == ["hi", f"Let me look.{call}"]


def test_an_answer_in_json_is_retold_as_the_value_alone() -> None:
    answer, begun = talking(wanted=WANTED)
    answer.receive([begun, text('Here: {"answer": 1}'), done()])
    told = answer.retelling()
    assert told is not None
    assert told.history.messages[-1].text == '{"answer": 1}'


def test_what_the_agent_said_itself_needs_no_telling() -> None:
    answer, begun = talking(Desk(tools(), NONCE))
    answer.receive([begun, text("Hello."), done()])
    assert answer.retelling() is None
    alone = calling()
    alone.receive([accepted(), text(PARIS), done()])
    assert alone.retelling() is None, "nobody recognises it"
