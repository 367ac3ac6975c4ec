"""What can be asked over HTTP, operation by operation. A test compares it with the routes."""

from dataclasses import dataclass
from typing import Final

from msgspec import Struct

from facade.openai.wire import (
    ChatBody,
    CompletionBody,
    ConversationBody,
    ItemsBody,
    MetadataBody,
    ResponsesBody,
)
from facade.reference import answers, examples


@dataclass(frozen=True, slots=True)
class Operation:
    """A method of a path. `stream` is an example of the answer that is told as events, where there is one."""

    method: str
    path: str
    summary: str
    answer: type[Struct]
    example: object
    description: str = ""
    body: type[Struct] | None = None
    bodies: dict[str, object] | None = None
    stream: str = ""
    tag: str = "OpenAI"


def operations() -> list[Operation]:
    """Return all of them."""
    return [*_turns(), *_stored(), *_conversations(), *_conversation_items(), *_models(), *_health()]


_IGNORED: Final = (
    "Fields that are not named here are taken and have no effect; the header `x-gateway-ignored-params` of "
    "the answer names those. One request is one turn of the agent, whose own tools have run already: nothing "
    "in the answer asks the client to run one. Tools that the request declares are ignored, or called in the "
    "place of the agent's own, as the header `x-gateway-client-tools` says. A JSON answer is told whole, "
    "once it is known to fit its schema."
)

_SOCKET: Final = (
    "A WebSocket on the same path takes such bodies one after another, as text frames with `type: "
    "response.create`; the events of each answer are frames, and so is an `error`. With `generate: false` no "
    "turn is run; what is said on a connection and not stored can be referred to while it is open."
)


def _turns() -> list[Operation]:
    return [
        Operation(
            "post",
            "/v1/chat/completions",
            "Run a turn, answered as a chat completion",
            answers.ChatCompletion,
            examples.chat_answer(),
            _IGNORED,
            ChatBody,
            examples.CHAT_REQUESTS,
            examples.chat_stream(),
        ),
        Operation(
            "post",
            "/v1/completions",
            "Run a turn, answered as a completion",
            answers.Completion,
            examples.completion_answer(),
            "For clients of the API before chats: the prompt is one message of the user.",
            CompletionBody,
            examples.COMPLETION_REQUESTS,
            examples.completion_stream(),
        ),
        Operation(
            "post",
            "/v1/responses",
            "Run a turn, answered as a response",
            answers.Response,
            examples.response_answer(),
            f"{_IGNORED} {_SOCKET}",
            ResponsesBody,
            examples.RESPONSE_REQUESTS,
            examples.response_stream(),
        ),
        Operation(
            "post",
            "/v1/responses/input_tokens",
            "Estimate the tokens of an input",
            answers.InputTokens,
            {"object": "response.input_tokens", "input_tokens": 6},
            "No turn is run.",
            ResponsesBody,
            {"text": examples.RESPONSE_REQUESTS["whole"]},
        ),
    ]


def _stored() -> list[Operation]:
    one, response, deleted = "/v1/responses/{response_id}", examples.response_answer(), examples.DELETED
    return [
        Operation(
            "get",
            one,
            "Get a stored response",
            answers.Response,
            response,
            "As it is by now. With `stream=true` it is told again as events, and followed while it runs; "
            "`starting_after=n` leaves out the events up to number n. Only whoever made it finds it.",
        ),
        Operation(
            "delete",
            one,
            "Forget a stored response",
            answers.Deleted,
            deleted,
            "Where it was made in a conversation, its items leave that, too.",
        ),
        Operation(
            "post",
            f"{one}/cancel",
            "Interrupt the turn of a stored response",
            answers.Response,
            response,
            "Returns it when it is over: `cancelled`, or as it ended before.",
        ),
        Operation(
            "get",
            f"{one}/input_items",
            "List the input of a stored response",
            answers.Items,
            examples.INPUT_ITEMS,
            "The newest first unless `order=asc`; `limit` of them (20), behind the one that `after` names.",
        ),
    ]


def _conversations() -> list[Operation]:
    one, shown = "/v1/conversations/{conversation_id}", examples.CONVERSATION
    return [
        Operation(
            "post",
            "/v1/conversations",
            "Make a conversation",
            answers.Conversation,
            shown,
            "A response runs in it by `conversation`; its items are told to the agent with the first one.",
            ConversationBody,
            examples.CONVERSATION_REQUESTS,
        ),
        Operation("get", one, "Get a conversation", answers.Conversation, shown),
        Operation(
            "post",
            one,
            "Change what is kept with a conversation",
            answers.Conversation,
            shown,
            body=MetadataBody,
            bodies={"metadata": {"metadata": {"ticket": "4711"}}},
        ),
        Operation(
            "delete",
            one,
            "Forget a conversation",
            answers.DeletedConversation,
            examples.DELETED_CONVERSATION,
            "Its agent is stopped; responses that were made in it stay.",
        ),
    ]


def _conversation_items() -> list[Operation]:
    items, page = "/v1/conversations/{conversation_id}/items", examples.INPUT_ITEMS
    one = f"{items}/{{item_id}}"
    return [
        Operation(
            "get",
            items,
            "List the items of a conversation",
            answers.Items,
            page,
            "Those that were added, and the input and output of the responses made in it, as long as these "
            "are stored. The newest first unless `order=asc`; `limit` of them (20), behind the one that "
            "`after` names.",
        ),
        Operation(
            "post",
            items,
            "Add items to a conversation",
            answers.Items,
            page,
            "They get ids of their own, and are told to the agent with the next response.",
            ItemsBody,
            {"message": {"items": [{"role": "user", "content": "Say hello"}]}},
        ),
        Operation("get", one, "Get an item of a conversation", answers.Item, examples.ITEM),
        Operation(
            "delete",
            one,
            "Delete an item of a conversation",
            answers.Conversation,
            examples.CONVERSATION,
            "What the agent has heard already it is not made to forget.",
        ),
    ]


def _models() -> list[Operation]:
    return [
        Operation(
            "get",
            "/v1/models",
            "List the models",
            answers.ModelList,
            examples.models_answer(),
            "From the server's cache; `models` is a catalogue for Codex (`model_catalog_url`).",
        ),
        Operation(
            "get",
            "/v1/models/{model_id}",
            "Get a model",
            answers.ModelObject,
            examples.model_answer(),
            "By any of its names; an id may hold `/` and `:`.",
        ),
    ]


def _health() -> list[Operation]:
    return [
        Operation(
            "get", "/healthz", "Say that the process lives", answers.Health, {"status": "alive"}, tag="Health"
        ),
        Operation(
            "get",
            "/readyz",
            "Say that the process and its server serve",
            answers.Health,
            {"status": "ready"},
            tag="Health",
        ),
    ]
