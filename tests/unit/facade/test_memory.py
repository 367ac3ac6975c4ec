"""Which conversation a request belongs to, in the order of openai-surface.md §7.1."""

import pytest
from howler.task.v1.start_turn_pb2 import Message, Role, TaskRetention

from facade.openai.chat_request import read_chat
from facade.openai.hints import Hints, read_hints
from facade.openai.memory import ALONE, Memory, Named, memory_of
from facade.openai.responses_request import read_responses
from facade.openai.wire import members_of
from tests.support.recordings import Recording, recording

KEEP = TaskRetention.TASK_RETENTION_KEEP
NEW = [Message(role=Role.ROLE_USER, text="hi")]
TOLD = [*NEW, Message(role=Role.ROLE_ASSISTANT, text="hello"), *NEW]
ALL = Hints(session="mine", client_session="codex:t-1")
CODEX = Hints(client_session="codex:t-1")
NAMED = Named(previous_turns=("turn_1",), conversation="conv_1")


def test_a_session_goes_before_all_else() -> None:
    """What it holds is new, unless it tells a history: that is compared then."""
    assert memory_of(NEW, ALL, NAMED, keep_chats=True) == Memory(False, KEEP, session="session:mine")
    told = Memory(True, KEEP, session="session:mine", after_turn_ids=("turn_1",))
    assert memory_of(TOLD, ALL, NAMED, keep_chats=True) == told
    assert memory_of(TOLD, ALL, NAMED, keep_chats=False) == told


def test_the_apis_own_words_go_before_the_clients() -> None:
    named = Named(conversation="conv_1")
    assert memory_of(TOLD, CODEX, named, keep_chats=True) == Memory(False, KEEP, conversation_id="conv_1")
    assert memory_of(TOLD, CODEX, named, keep_chats=False).conversation_id == "conv_1"
    continued = memory_of(TOLD, CODEX, Named(previous_turns=("turn_1", "turn_2")), keep_chats=True)
    assert continued == Memory(True, KEEP, session="codex:t-1", after_turn_ids=("turn_1", "turn_2"))


def test_the_clients_own_id_goes_before_what_was_said() -> None:
    assert memory_of(NEW, CODEX, keep_chats=True) == Memory(True, KEEP, session="codex:t-1")
    assert memory_of(NEW, keep_chats=True) == Memory(True, KEEP)
    assert memory_of(NEW, CODEX, keep_chats=False) == ALONE


@pytest.mark.parametrize(
    ("name", "client"),
    [
        ("codex-exec", "codex"),
        ("codex-resume-second-turn", "codex"),
        ("codex-exec-output-schema", "codex"),
        ("opencode-chat-2", "opencode"),
        ("opencode-responses-mcp-second-turn", "opencode"),
    ],
)
def test_clients_that_name_their_chats(name: str, client: str) -> None:
    """Their history is compared all the same: they send all of it."""
    memory = remembered(recording(name))
    assert memory.recognise_history
    assert memory.session.startswith(f"{client}:")


@pytest.mark.parametrize(
    "name",
    [
        "ai-sdk7-responses",
        "ai-sdk7-openai-compatible-second-turn",
        "aider-chat",
        "cline-chat",
        "continue-cli-chat",
        "langchain-responses-second-turn-1",
        "litellm-chat",
        "openai-agents-multiturn-1",
        "openai-agents-js-responses",
        "openai-node-retry-1",
        "openai-python-stream",
    ],
)
def test_clients_that_name_nothing(name: str) -> None:
    assert remembered(recording(name)) == Memory(True, KEEP)


def remembered(recorded: Recording) -> Memory:
    read = read_responses if recorded.path.endswith("responses") else read_chat
    messages = read(recorded.raw()).asked.conversation.messages
    return memory_of(messages, read_hints(recorded.headers, members_of(recorded.raw())), keep_chats=True)
