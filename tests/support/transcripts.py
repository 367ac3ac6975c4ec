"""Transcripts of turns: what a platform sent, frame by frame, and the events that Howler makes of it.

A file of tests/golden/turns holds
- `about`: what it shows, and `questions`: the policy of the turn (AUTO, DECLINE or ASK);
- `frames`: each a string, the exact text of the frame; or an object that spells one: its fields
  as they go over the wire, but `b64` stands for `data` = base64 of that JSON. With `times` the
  characters `~` of the frame are that many `x` (or `raw` is repeated so often);
- `events` from `started` to `ended` without seq and time, `replies` owed to the platform, and
  `ignored`: how many frames could not be read. These three are the golden part.
"""

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from google.protobuf.message import Message
from howler.task.v1.start_turn_pb2 import QuestionPolicy
from howler.task.v1.task_event_pb2 import TaskEvent

PROMPT: Final = "hello"
FOLDER: Final = Path(__file__).resolve().parents[1] / "golden" / "turns"
POLICIES: Final = {
    "AUTO": QuestionPolicy.QUESTION_POLICY_AUTO,
    "DECLINE": QuestionPolicy.QUESTION_POLICY_DECLINE,
    "ASK": QuestionPolicy.QUESTION_POLICY_ASK,
}
_LONG: Final = 600  # characters; a longer text stands in a golden as its length and digest


@dataclass(frozen=True)
class Transcript:
    """One file, read."""

    path: Path
    about: str
    questions: QuestionPolicy
    frames: list[str]
    golden: dict[str, Any]

    @property
    def name(self) -> str:
        """What the test is called after."""
        return self.path.stem


def load(path: Path) -> Transcript:
    """Read a file."""
    told = json.loads(path.read_text())
    return Transcript(
        path=path,
        about=told["about"],
        questions=POLICIES[told["questions"]],
        frames=[_spelled(frame) for frame in told["frames"]],
        golden={key: told.get(key) for key in ("events", "replies", "ignored")},
    )


def all_of() -> list[Transcript]:
    """Return every transcript, by name."""
    return [load(path) for path in sorted(FOLDER.glob("*.json"))]


def rewrite(transcript: Transcript, golden: dict[str, Any]) -> None:
    """Put what was seen in the place of the golden part."""
    told = json.loads(transcript.path.read_text())
    transcript.path.write_text(json.dumps({**told, **golden}, indent=1, ensure_ascii=False) + "\n")


def _spelled(frame: str | dict[str, Any]) -> str:
    if isinstance(frame, str):
        return frame
    fields = dict(frame)
    times = fields.pop("times", 0)
    if "raw" in fields:
        return str(fields["raw"]) * int(times)
    if "b64" in fields:
        payload = json.dumps(fields.pop("b64"), ensure_ascii=False).replace("~", "x" * times or "~")
        fields["data"] = base64.b64encode(payload.encode()).decode()
    return json.dumps(fields)


def told(events: Sequence[TaskEvent]) -> list[dict[str, Any]]:
    """Return events as they stand in a golden: numbers as numbers, long texts by their digest."""
    return [_plain(event, without=("seq", "time_unix_ms")) for event in events]


def _plain(message: Message, without: Sequence[str] = ()) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for field, value in message.ListFields():
        if field.name in without:
            continue

        def one(item: Any, enum: Any = field.enum_type) -> Any:
            match item:
                case Message():
                    return _plain(item)
                case int() if enum is not None:
                    return enum.values_by_number[item].name
                case str() if len(item) > _LONG:
                    return f"{len(item)} characters {hashlib.sha256(item.encode()).hexdigest()}"
                case bytes():
                    return base64.b64encode(item).decode()
            return item

        fields[field.name] = [one(item) for item in value] if field.is_repeated else one(value)
    return fields
