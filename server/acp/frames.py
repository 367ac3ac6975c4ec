"""What a frame of the platform can mean: the words that the turn understands.

One type per meaning, whatever dialect the frame came in. `at` is the platform's
time in milliseconds since 1970, `seq` its number of the message; either is 0
where it tells none. Of a stored message that holds several, `seq` is the first's.
"""

from howler.task.v1.task_event_pb2 import Command, NoticeKind, PlanEntry, QuestionItem
from howler.task.v1.tool_call_pb2 import Diff, Location, ToolCallState
from msgspec import Struct


class Frame(Struct, frozen=True, kw_only=True):
    """A message from the platform, read."""

    at: int = 0
    seq: int = 0


class Silent(Frame, frozen=True):
    """A sign of life that means nothing to a turn: `ping`, `cursor`."""


class Junk(Frame, frozen=True):
    """A message that no dialect explains. It is counted, nothing else."""


class Echo(Frame, frozen=True):
    """The prompt of the turn, told back by the platform (`user-input`)."""

    text: str


class Began(Frame, frozen=True):
    """The agent began to work (`task-started`)."""


class Said(Frame, frozen=True):
    """A piece of the answer."""

    text: str


class Thought(Frame, frozen=True):
    """A piece of the agent's thoughts."""

    text: str


class Shown(Frame, frozen=True):
    """An image, by its bytes or its address."""

    mime_type: str
    data: bytes
    uri: str


class Called(Frame, frozen=True):
    """A tool call or a change of one. None means: not told here."""

    id: str
    title: str | None = None
    kind: str | None = None
    state: ToolCallState | None = None
    raw_input: str | None = None
    output: str | None = None
    raw_output: str | None = None
    locations: tuple[Location, ...] | None = None
    diffs: tuple[Diff, ...] | None = None


class Planned(Frame, frozen=True):
    """The plan, whole."""

    entries: tuple[PlanEntry, ...]


class Offered(Frame, frozen=True):
    """The slash commands, all."""

    commands: tuple[Command, ...]


class Metered(Frame, frozen=True):
    """What was used. None means: not told here."""

    context_used: int | None = None
    context_size: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None


class Asked(Frame, frozen=True):
    """The agent asks; `state` is that of the call that carries the question."""

    id: str
    items: tuple[QuestionItem, ...]
    state: ToolCallState | None = None


class Answered(Frame, frozen=True):
    """Somebody answered a question (`reply-question`): texts and what was chosen."""

    id: str
    answers: tuple[tuple[str, tuple[str, ...]], ...]
    cancelled: bool


class Noted(Frame, frozen=True):
    """Something worth knowing beside the answer."""

    kind: NoticeKind
    message: str


class Erred(Frame, frozen=True):
    """The agent reported an error (`task-error`); the turn may go on."""

    message: str


class Interrupted(Frame, frozen=True):
    """Somebody cancelled the turn (`user-cancel`)."""


class Over(Frame, frozen=True):
    """The turn is over (`task-ended`); `usage` where a dialect tells it."""

    usage: Metered | None = None


class Severed(Frame, frozen=True):
    """The platform says that this socket is of no use any more (`error`)."""

    message: str


class Unknown(Frame, frozen=True):
    """A kind of message that we do not know, to be passed on."""

    type: str
    kind: str
    data: str
