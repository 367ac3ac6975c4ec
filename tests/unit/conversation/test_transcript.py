"""A conversation becomes one prompt."""

from howler.task.v1.start_turn_pb2 import Message, Role

from server.conversation.transcript import as_prompt, guided, last_input

USER, ASSISTANT, TOOL = Role.ROLE_USER, Role.ROLE_ASSISTANT, Role.ROLE_TOOL


def test_a_lone_message_stays_as_it_is() -> None:
    assert as_prompt([Message(role=USER, text=" hi\n")]) == " hi\n"


def test_a_history_is_told_and_the_newest_message_comes_last() -> None:
    prompt = as_prompt(
        [
            Message(role=USER, text="one"),
            Message(role=ASSISTANT, text="two"),
            Message(role=USER, text="three", name="ann"),
        ]
    )
    assert prompt.index("User: one") < prompt.index("Assistant: two") < prompt.index("three")
    assert prompt.endswith("\n\nthree")


def test_a_tool_result_is_called_one() -> None:
    messages = [Message(role=USER, text="one"), Message(role=TOOL, text="42", name="sum")]
    assert "Tool result" in as_prompt(messages)
    assert last_input(messages) == "42"


def test_guidance_stands_behind_the_prompt() -> None:
    assert guided("do it", "Answer in JSON.") == "do it\n\nAnswer in JSON."
    assert guided("do it", "") == "do it"
