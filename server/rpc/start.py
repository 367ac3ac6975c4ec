"""Checks what a caller says about a turn, the same for every door."""

import re
from collections.abc import Iterator, Sequence
from operator import attrgetter
from typing import Final, cast

from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor
from howler.task.v1.start_turn_pb2 import ROLE_ASSISTANT, Attachment, Role, StartTurn, Transcript

from server.rpc.checks import MAX_ID_BYTES, check_priority, check_size, invalid, seconds_of
from server.turn.enclosures import MOST_FILES

_TURN_ID: Final = re.compile("turn_[0-9a-f]{32}")
_NO_NAME: Final = re.compile(r"[/\\\x00-\x1f\x7f]")
_MAX_NAME_BYTES: Final = 255
_MAX_SESSION_BYTES: Final = 256
_MAX_FILE_BYTES: Final = 10 << 20  # what the proxy in front of the platform takes (§1.1)
_MAX_FILES_BYTES: Final = 15 << 20  # a message of the server's holds 16 MiB
_MAX_SECONDS: Final = 315_576_000_000  # what google.protobuf.Duration states
_ROLES: Final = frozenset(Role.values())


def _enums_in(fields: Sequence[FieldDescriptor], path: str = "") -> Iterator[tuple[str, EnumDescriptor]]:
    """Yield the enums among fields and in the messages that are one of them, each with the path to it."""
    for field in fields:
        if field.enum_type is not None:
            yield f"{path}{field.name}", field.enum_type
        elif field.message_type is not None and not field.is_repeated:
            yield from _enums_in(field.message_type.fields, f"{path}{field.name}.")


_ENUMS: Final = [
    (path, attrgetter(path), frozenset(enum.values_by_number))
    for path, enum in _enums_in(cast(Sequence[FieldDescriptor], StartTurn.DESCRIPTOR.fields))
]


def check_start(start: StartTurn) -> None:
    """Raise INVALID_REQUEST, with the field's name, where a StartTurn cannot be meant."""
    match start.WhichOneof("input"):
        case None:
            raise invalid("start: prompt or messages must be set")
        case "prompt" if not start.prompt.strip():
            raise invalid("start.prompt is empty")
        case "messages":
            _check_messages(start.messages)
    for name in ("principal", "request_id"):
        check_size(f"start.{name}", getattr(start, name), MAX_ID_BYTES)
    _check_conversation(start)
    if start.turn_id and not _TURN_ID.fullmatch(start.turn_id):
        raise invalid("start.turn_id must be turn_ and 32 hexadecimal digits")
    if start.task_id and start.instructions:
        raise invalid("start.instructions: a task that exists has its instructions already")
    if start.HasField("deadline") and not 0 < seconds_of(start.deadline) <= _MAX_SECONDS:
        raise invalid("start.deadline must be more than nothing and less than 10,000 years")
    if start.on_detach.HasField("grace") and not 0 <= seconds_of(start.on_detach.grace) <= _MAX_SECONDS:
        raise invalid("start.on_detach.grace must not be negative and less than 10,000 years")
    if start.HasField("keep_alive") and not 1 <= seconds_of(start.keep_alive) <= _MAX_SECONDS:
        raise invalid("start.keep_alive must be at least a second and less than 10,000 years")
    check_size("start.idempotency.key", start.idempotency.key, MAX_ID_BYTES)
    if start.HasField("idempotency") and not start.idempotency.key:
        raise invalid("start.idempotency.key is empty")
    check_priority("start.priority", start.priority)
    if start.attachments:
        _check_attachments(start.attachments)
    for path, value_of, numbers in _ENUMS:  # proto3 itself lets numbers through that no value has
        if value_of(start) not in numbers:
            raise invalid(f"start.{path}: {value_of(start)} is no value of it")


def _check_conversation(start: StartTurn) -> None:
    if start.conversation_id and start.recognise_history:
        raise invalid("start.recognise_history: a conversation that is named needs no recognition")
    if start.conversation_id and start.session:
        raise invalid("start.session: a conversation has one name, and this one is named by its id")
    if start.after_turn_ids and not start.recognise_history:
        raise invalid("start.after_turn_ids: only where the history is to be recognised")
    check_size("start.session", start.session, _MAX_SESSION_BYTES)
    if start.conversation_id or start.recognise_history or start.session:
        if start.task_id:
            raise invalid("start.task_id: a conversation has its own task")
        if start.lease.lease_id:
            raise invalid("start.lease: a conversation gets its own lease")


def _check_messages(messages: Transcript) -> None:
    if not messages.messages:
        raise invalid("start.messages is empty")
    newest = messages.messages[-1]
    if newest.role == ROLE_ASSISTANT:
        raise invalid("start.messages: the last message must be the user's or a tool's")
    if not newest.text.strip():
        raise invalid("start.messages: the last message has no text")
    for message in messages.messages:
        if message.role not in _ROLES:
            raise invalid(f"start.messages: {message.role} is no role")


def _check_attachments(files: Sequence[Attachment]) -> None:
    if len(files) > MOST_FILES:
        raise invalid(f"start.attachments: at most {MOST_FILES}")
    for index, file in enumerate(files):
        name = f"start.attachments[{index}]"
        if not file.filename.strip(". ") or _NO_NAME.search(file.filename):
            raise invalid(f"{name}.filename must be a name without a path")
        check_size(f"{name}.filename", file.filename, _MAX_NAME_BYTES)
        check_size(f"{name}.mime_type", file.mime_type, _MAX_NAME_BYTES)
        if len(file.data) > _MAX_FILE_BYTES:
            raise invalid(f"{name}.data is larger than {_MAX_FILE_BYTES >> 20} MiB")
    if sum(len(file.data) for file in files) > _MAX_FILES_BYTES:
        raise invalid(f"start.attachments: together larger than {_MAX_FILES_BYTES >> 20} MiB")
