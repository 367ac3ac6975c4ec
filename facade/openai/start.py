"""What the facade says about a turn, whichever API asked for it."""

import enum
from dataclasses import dataclass
from typing import Final, NamedTuple

from howler.task.v1.start_turn_pb2 import (
    ApprovalPolicy,
    Attachment,
    DetachAction,
    Durability,
    OnDetach,
    QuestionPolicy,
    StartTurn,
    Transcript,
)

from facade.errors import unsupported
from facade.openai.client_tools.declared import ClientTools
from facade.openai.client_tools.mode import ClientToolsMode
from facade.openai.client_tools.prompt import declaration
from facade.openai.json_answer import JsonFormat
from facade.openai.memory import ALONE, Memory

# Looked up once: the wrappers of protobuf's enums take 2 µs for each of their names.
_ON_DETACH: Final = OnDetach(action=DetachAction.DETACH_ACTION_CANCEL)
_EPHEMERAL: Final = Durability.DURABILITY_EPHEMERAL
_APPROVE: Final = ApprovalPolicy.APPROVAL_POLICY_AUTO

_ANY_MODEL: Final = frozenset({"", "default", "auto"})


class Questions(enum.StrEnum):
    """What becomes of the agent's questions (HOWLER_QUESTIONS): no client of these APIs can answer one."""

    AUTO = "auto"
    DECLINE = "decline"


_POLICIES: Final = {
    Questions.AUTO: QuestionPolicy.QUESTION_POLICY_AUTO,
    Questions.DECLINE: QuestionPolicy.QUESTION_POLICY_DECLINE,
}


class ForwardInstructions(enum.StrEnum):
    """What becomes of system and developer text (HOWLER_FORWARD_INSTRUCTIONS)."""

    AUTO = "auto"
    """Forwarded, unless the request declares tools that are ignored: a coding CLI's prompt describes the
    client's machine, which the agent reaches only by those."""
    ALWAYS = "always"
    NEVER = "never"


class UnsupportedParams(enum.StrEnum):
    """What becomes of fields that have no effect (HOWLER_UNSUPPORTED_PARAMS)."""

    IGNORE = "ignore"
    """They are named in `x-gateway-ignored-params`."""
    ERROR = "error"
    """The request is refused, for whoever wants to know for sure."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How this facade asks for turns."""

    model_fallback: bool = False
    forward_instructions: ForwardInstructions = ForwardInstructions.AUTO
    questions: Questions = Questions.AUTO
    unsupported_params: UnsupportedParams = UnsupportedParams.IGNORE
    keep_chats: bool = True
    client_tools: ClientToolsMode = ClientToolsMode.IGNORE

    def strict(self, model: str) -> bool:
        """Say whether only a model of this name will do, not the default one."""
        return not (self.model_fallback or model in _ANY_MODEL)

    def forwards(self, asked: "Asked") -> bool:
        """Say whether the instructions go to the agent."""
        match self.forward_instructions:
            case ForwardInstructions.ALWAYS:
                return True
            case ForwardInstructions.NEVER:
                return False
            case ForwardInstructions.AUTO:
                return not asked.declares_tools or asked.client_tools is not None


class Asked(NamedTuple):
    """What a request asks of the agent, read from either API.

    `model` is empty where none is named; `ignored` names the fields that have
    no effect; `attachments` are the images and files of the newest input;
    `client_tools` are those that the agent may call, None where
    there are none or they are ignored; `json_format` is set where the answer must be JSON.
    """

    model: str
    stream: bool
    conversation: Transcript
    instructions: str
    declares_tools: bool
    ignored: tuple[str, ...]
    attachments: tuple[Attachment, ...] = ()
    client_tools: ClientTools | None = None
    json_format: JsonFormat | None = None

    def named(self) -> str:
        """Return the model that answers name until the platform has told which one runs."""
        return self.model or "default"


def start_turn(
    asked: Asked, rules: Rules, principal: str, request_id: str, memory: Memory = ALONE
) -> StartTurn:
    """Return the turn to start: of itself nothing outlives the connection."""
    return StartTurn(
        model=asked.model,
        strict_model=rules.strict(asked.model),
        messages=asked.conversation,
        attachments=asked.attachments,
        instructions=_instructions(asked, rules),
        principal=principal,
        request_id=request_id,
        on_detach=_ON_DETACH,
        retention=memory.retention,
        recognise_history=memory.recognise_history,
        conversation_id=memory.conversation_id,
        session=memory.session,
        after_turn_ids=memory.after_turn_ids,
        durability=_EPHEMERAL,
        approval_policy=_APPROVE,
        question_policy=_POLICIES[rules.questions],
    )


def _instructions(asked: Asked, rules: Rules) -> str:
    told = [asked.instructions] if rules.forwards(asked) and asked.instructions else []
    if asked.client_tools is not None:
        told.append(declaration(asked.client_tools))
    return "\n\n".join(told)


def ignored_of(asked: Asked, rules: Rules) -> tuple[str, ...]:
    """Return the fields without effect, with `instructions` among them where they are not forwarded.

    Raises the 400 that names the first, where such are refused.
    """
    ignored = asked.ignored
    if asked.instructions and not rules.forwards(asked):
        ignored = (*ignored, "instructions")
    if ignored and rules.unsupported_params is UnsupportedParams.ERROR:
        raise unsupported(f"`{ignored[0]}` has no effect here.", ignored[0])
    return ignored
