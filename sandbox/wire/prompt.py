"""What a client sends inside `data`: prompts (protocol §6.4), replies (§7.6) and calls (§8)."""

import base64
from dataclasses import dataclass

from sandbox.wire import gojson
from sandbox.wire.body import Body
from sandbox.wire.frame import strict_base64


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that a prompt refers to."""

    url: str
    filename: str

    def fields(self) -> dict[str, str]:
        """Return the attachment as JSON fields."""
        return {"url": self.url, "filename": self.filename}


@dataclass(frozen=True, slots=True)
class Prompt:
    """What the user says in one turn."""

    text: str
    attachments: tuple[Attachment, ...] = ()

    @property
    def is_blank(self) -> bool:
        """Blank prompts are refused without notice, attachments or not."""
        return not self.text.strip()


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to a question; `answers_json` is not validated by the platform."""

    request_id: str
    answers_json: str
    cancelled: bool

    def payload(self) -> dict[str, object]:
        """Return the payload of a `reply-question` frame."""
        return {
            "request_id": self.request_id,
            "answers_json": self.answers_json,
            "cancelled": self.cancelled,
        }


def read_prompt(data: bytes) -> Prompt:
    """Read a `user-input` payload: storage form, else canonical form, else the bytes are the prompt."""
    try:
        body = Body(gojson.loads(data))
        content = body.text("content")
        attachments = read_attachments(body)
        encoding = body.text("encoding")
    except ValueError:  # BindError too
        return Prompt(data.decode("utf-8", "replace"))
    if encoding == "plaintext":
        return Prompt(content, attachments)
    inner = strict_base64(content)
    if inner is not None and (inner or attachments):
        return Prompt(inner.decode("utf-8", "replace"), attachments)
    return Prompt(data.decode("utf-8", "replace"))


def write_prompt(prompt: Prompt) -> bytes:
    """Return the canonical `user-input` payload."""
    fields = {
        "content": base64.b64encode(prompt.text.encode()).decode("ascii"),
        "attachments": [attachment.fields() for attachment in prompt.attachments],
    }
    return gojson.dumps(fields).encode()


def read_attachments(body: Body) -> tuple[Attachment, ...]:
    """Return the field `attachments`; BindError if it is misshaped."""
    return tuple(Attachment(item.text("url"), item.text("filename")) for item in body.objects("attachments"))


def read_reply(data: bytes) -> Reply | None:
    """Read a `reply-question` payload; None for what the platform drops."""
    try:
        body = Body(gojson.loads(data))
        return Reply(body.text("request_id"), body.text("answers_json"), body.flag("cancelled"))
    except ValueError:
        return None


def read_call(data: bytes) -> Body | None:
    """Read the payload of a control call; None for what the platform leaves unanswered."""
    try:
        return Body(gojson.loads(data))
    except ValueError:
        return None
