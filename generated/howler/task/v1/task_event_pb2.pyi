import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from howler.error.v1 import error_reason_pb2 as _error_reason_pb2
from howler.model.v1 import model_service_pb2 as _model_service_pb2
from howler.task.v1 import tool_call_pb2 as _tool_call_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Continuation(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CONTINUATION_UNSPECIFIED: _ClassVar[Continuation]
    CONTINUATION_FRESH: _ClassVar[Continuation]
    CONTINUATION_RESUMED: _ClassVar[Continuation]
    CONTINUATION_REPLAYED: _ClassVar[Continuation]

class PlanEntryStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PLAN_ENTRY_STATUS_UNSPECIFIED: _ClassVar[PlanEntryStatus]
    PLAN_ENTRY_STATUS_PENDING: _ClassVar[PlanEntryStatus]
    PLAN_ENTRY_STATUS_IN_PROGRESS: _ClassVar[PlanEntryStatus]
    PLAN_ENTRY_STATUS_COMPLETED: _ClassVar[PlanEntryStatus]

class UsageSource(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    USAGE_SOURCE_UNSPECIFIED: _ClassVar[UsageSource]
    USAGE_SOURCE_EXACT: _ClassVar[UsageSource]
    USAGE_SOURCE_ESTIMATED: _ClassVar[UsageSource]

class QuestionResolution(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    QUESTION_RESOLUTION_UNSPECIFIED: _ClassVar[QuestionResolution]
    QUESTION_RESOLUTION_AUTO: _ClassVar[QuestionResolution]
    QUESTION_RESOLUTION_ANSWERED: _ClassVar[QuestionResolution]
    QUESTION_RESOLUTION_DECLINED: _ClassVar[QuestionResolution]
    QUESTION_RESOLUTION_ELSEWHERE: _ClassVar[QuestionResolution]
    QUESTION_RESOLUTION_EXPIRED: _ClassVar[QuestionResolution]

class NoticeKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    NOTICE_KIND_UNSPECIFIED: _ClassVar[NoticeKind]
    NOTICE_KIND_LLM_RETRY: _ClassVar[NoticeKind]
    NOTICE_KIND_COMPACTION_STARTED: _ClassVar[NoticeKind]
    NOTICE_KIND_COMPACTION_ENDED: _ClassVar[NoticeKind]
    NOTICE_KIND_AGENT_ERROR: _ClassVar[NoticeKind]
    NOTICE_KIND_MODEL_CHANGED: _ClassVar[NoticeKind]
    NOTICE_KIND_FILES_CHANGED: _ClassVar[NoticeKind]
    NOTICE_KIND_PORTS_CHANGED: _ClassVar[NoticeKind]
    NOTICE_KIND_RECONNECTING: _ClassVar[NoticeKind]
    NOTICE_KIND_RECONNECTED: _ClassVar[NoticeKind]
    NOTICE_KIND_CONVERSATION_REPLAYED: _ClassVar[NoticeKind]

class EndReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    END_REASON_UNSPECIFIED: _ClassVar[EndReason]
    END_REASON_COMPLETED: _ClassVar[EndReason]
    END_REASON_CANCELLED: _ClassVar[EndReason]
    END_REASON_FAILED: _ClassVar[EndReason]
    END_REASON_TIME_LIMIT: _ClassVar[EndReason]
    END_REASON_REPLAY_DIVERGED: _ClassVar[EndReason]
CONTINUATION_UNSPECIFIED: Continuation
CONTINUATION_FRESH: Continuation
CONTINUATION_RESUMED: Continuation
CONTINUATION_REPLAYED: Continuation
PLAN_ENTRY_STATUS_UNSPECIFIED: PlanEntryStatus
PLAN_ENTRY_STATUS_PENDING: PlanEntryStatus
PLAN_ENTRY_STATUS_IN_PROGRESS: PlanEntryStatus
PLAN_ENTRY_STATUS_COMPLETED: PlanEntryStatus
USAGE_SOURCE_UNSPECIFIED: UsageSource
USAGE_SOURCE_EXACT: UsageSource
USAGE_SOURCE_ESTIMATED: UsageSource
QUESTION_RESOLUTION_UNSPECIFIED: QuestionResolution
QUESTION_RESOLUTION_AUTO: QuestionResolution
QUESTION_RESOLUTION_ANSWERED: QuestionResolution
QUESTION_RESOLUTION_DECLINED: QuestionResolution
QUESTION_RESOLUTION_ELSEWHERE: QuestionResolution
QUESTION_RESOLUTION_EXPIRED: QuestionResolution
NOTICE_KIND_UNSPECIFIED: NoticeKind
NOTICE_KIND_LLM_RETRY: NoticeKind
NOTICE_KIND_COMPACTION_STARTED: NoticeKind
NOTICE_KIND_COMPACTION_ENDED: NoticeKind
NOTICE_KIND_AGENT_ERROR: NoticeKind
NOTICE_KIND_MODEL_CHANGED: NoticeKind
NOTICE_KIND_FILES_CHANGED: NoticeKind
NOTICE_KIND_PORTS_CHANGED: NoticeKind
NOTICE_KIND_RECONNECTING: NoticeKind
NOTICE_KIND_RECONNECTED: NoticeKind
NOTICE_KIND_CONVERSATION_REPLAYED: NoticeKind
END_REASON_UNSPECIFIED: EndReason
END_REASON_COMPLETED: EndReason
END_REASON_CANCELLED: EndReason
END_REASON_FAILED: EndReason
END_REASON_TIME_LIMIT: EndReason
END_REASON_REPLAY_DIVERGED: EndReason

class TaskEvent(_message.Message):
    __slots__ = ("seq", "time_unix_ms", "accepted", "progress", "started", "text_delta", "thought_delta", "tool_call", "plan", "usage", "commands", "question", "question_resolved", "image", "notice", "raw", "ended", "keep_alive")
    SEQ_FIELD_NUMBER: _ClassVar[int]
    TIME_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    STARTED_FIELD_NUMBER: _ClassVar[int]
    TEXT_DELTA_FIELD_NUMBER: _ClassVar[int]
    THOUGHT_DELTA_FIELD_NUMBER: _ClassVar[int]
    TOOL_CALL_FIELD_NUMBER: _ClassVar[int]
    PLAN_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    COMMANDS_FIELD_NUMBER: _ClassVar[int]
    QUESTION_FIELD_NUMBER: _ClassVar[int]
    QUESTION_RESOLVED_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    NOTICE_FIELD_NUMBER: _ClassVar[int]
    RAW_FIELD_NUMBER: _ClassVar[int]
    ENDED_FIELD_NUMBER: _ClassVar[int]
    KEEP_ALIVE_FIELD_NUMBER: _ClassVar[int]
    seq: int
    time_unix_ms: int
    accepted: Accepted
    progress: Progress
    started: Started
    text_delta: TextDelta
    thought_delta: ThoughtDelta
    tool_call: _tool_call_pb2.ToolCall
    plan: Plan
    usage: Usage
    commands: Commands
    question: Question
    question_resolved: QuestionResolved
    image: Image
    notice: Notice
    raw: Raw
    ended: Ended
    keep_alive: KeepAlive
    def __init__(self, seq: _Optional[int] = ..., time_unix_ms: _Optional[int] = ..., accepted: _Optional[_Union[Accepted, _Mapping]] = ..., progress: _Optional[_Union[Progress, _Mapping]] = ..., started: _Optional[_Union[Started, _Mapping]] = ..., text_delta: _Optional[_Union[TextDelta, _Mapping]] = ..., thought_delta: _Optional[_Union[ThoughtDelta, _Mapping]] = ..., tool_call: _Optional[_Union[_tool_call_pb2.ToolCall, _Mapping]] = ..., plan: _Optional[_Union[Plan, _Mapping]] = ..., usage: _Optional[_Union[Usage, _Mapping]] = ..., commands: _Optional[_Union[Commands, _Mapping]] = ..., question: _Optional[_Union[Question, _Mapping]] = ..., question_resolved: _Optional[_Union[QuestionResolved, _Mapping]] = ..., image: _Optional[_Union[Image, _Mapping]] = ..., notice: _Optional[_Union[Notice, _Mapping]] = ..., raw: _Optional[_Union[Raw, _Mapping]] = ..., ended: _Optional[_Union[Ended, _Mapping]] = ..., keep_alive: _Optional[_Union[KeepAlive, _Mapping]] = ...) -> None: ...

class Accepted(_message.Message):
    __slots__ = ("turn_id", "task_id", "model", "matched_by", "conversation_id", "continuation")
    TURN_ID_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    MATCHED_BY_FIELD_NUMBER: _ClassVar[int]
    CONVERSATION_ID_FIELD_NUMBER: _ClassVar[int]
    CONTINUATION_FIELD_NUMBER: _ClassVar[int]
    turn_id: str
    task_id: str
    model: _model_service_pb2.Model
    matched_by: _model_service_pb2.MatchedBy
    conversation_id: str
    continuation: Continuation
    def __init__(self, turn_id: _Optional[str] = ..., task_id: _Optional[str] = ..., model: _Optional[_Union[_model_service_pb2.Model, _Mapping]] = ..., matched_by: _Optional[_Union[_model_service_pb2.MatchedBy, str]] = ..., conversation_id: _Optional[str] = ..., continuation: _Optional[_Union[Continuation, str]] = ...) -> None: ...

class KeepAlive(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Progress(_message.Message):
    __slots__ = ("stage", "message", "percent")
    STAGE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    PERCENT_FIELD_NUMBER: _ClassVar[int]
    stage: str
    message: str
    percent: int
    def __init__(self, stage: _Optional[str] = ..., message: _Optional[str] = ..., percent: _Optional[int] = ...) -> None: ...

class Started(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class TextDelta(_message.Message):
    __slots__ = ("text",)
    TEXT_FIELD_NUMBER: _ClassVar[int]
    text: str
    def __init__(self, text: _Optional[str] = ...) -> None: ...

class ThoughtDelta(_message.Message):
    __slots__ = ("text",)
    TEXT_FIELD_NUMBER: _ClassVar[int]
    text: str
    def __init__(self, text: _Optional[str] = ...) -> None: ...

class Plan(_message.Message):
    __slots__ = ("entries",)
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[PlanEntry]
    def __init__(self, entries: _Optional[_Iterable[_Union[PlanEntry, _Mapping]]] = ...) -> None: ...

class PlanEntry(_message.Message):
    __slots__ = ("content", "status", "priority")
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    content: str
    status: PlanEntryStatus
    priority: str
    def __init__(self, content: _Optional[str] = ..., status: _Optional[_Union[PlanEntryStatus, str]] = ..., priority: _Optional[str] = ...) -> None: ...

class Usage(_message.Message):
    __slots__ = ("tokens", "context")
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    tokens: TokenUsage
    context: ContextUsage
    def __init__(self, tokens: _Optional[_Union[TokenUsage, _Mapping]] = ..., context: _Optional[_Union[ContextUsage, _Mapping]] = ...) -> None: ...

class TokenUsage(_message.Message):
    __slots__ = ("input_tokens", "output_tokens", "total_tokens", "source")
    INPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_TOKENS_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    input_tokens: int
    output_tokens: int
    total_tokens: int
    source: UsageSource
    def __init__(self, input_tokens: _Optional[int] = ..., output_tokens: _Optional[int] = ..., total_tokens: _Optional[int] = ..., source: _Optional[_Union[UsageSource, str]] = ...) -> None: ...

class ContextUsage(_message.Message):
    __slots__ = ("used_tokens", "size_tokens")
    USED_TOKENS_FIELD_NUMBER: _ClassVar[int]
    SIZE_TOKENS_FIELD_NUMBER: _ClassVar[int]
    used_tokens: int
    size_tokens: int
    def __init__(self, used_tokens: _Optional[int] = ..., size_tokens: _Optional[int] = ...) -> None: ...

class Commands(_message.Message):
    __slots__ = ("commands",)
    COMMANDS_FIELD_NUMBER: _ClassVar[int]
    commands: _containers.RepeatedCompositeFieldContainer[Command]
    def __init__(self, commands: _Optional[_Iterable[_Union[Command, _Mapping]]] = ...) -> None: ...

class Command(_message.Message):
    __slots__ = ("name", "description", "hint")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    HINT_FIELD_NUMBER: _ClassVar[int]
    name: str
    description: str
    hint: str
    def __init__(self, name: _Optional[str] = ..., description: _Optional[str] = ..., hint: _Optional[str] = ...) -> None: ...

class Question(_message.Message):
    __slots__ = ("question_id", "items")
    QUESTION_ID_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    question_id: str
    items: _containers.RepeatedCompositeFieldContainer[QuestionItem]
    def __init__(self, question_id: _Optional[str] = ..., items: _Optional[_Iterable[_Union[QuestionItem, _Mapping]]] = ...) -> None: ...

class QuestionItem(_message.Message):
    __slots__ = ("text", "header", "options", "multiple", "custom")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    HEADER_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    MULTIPLE_FIELD_NUMBER: _ClassVar[int]
    CUSTOM_FIELD_NUMBER: _ClassVar[int]
    text: str
    header: str
    options: _containers.RepeatedCompositeFieldContainer[QuestionOption]
    multiple: bool
    custom: bool
    def __init__(self, text: _Optional[str] = ..., header: _Optional[str] = ..., options: _Optional[_Iterable[_Union[QuestionOption, _Mapping]]] = ..., multiple: _Optional[bool] = ..., custom: _Optional[bool] = ...) -> None: ...

class QuestionOption(_message.Message):
    __slots__ = ("label", "description")
    LABEL_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    label: str
    description: str
    def __init__(self, label: _Optional[str] = ..., description: _Optional[str] = ...) -> None: ...

class QuestionResolved(_message.Message):
    __slots__ = ("question_id", "resolution", "answers")
    QUESTION_ID_FIELD_NUMBER: _ClassVar[int]
    RESOLUTION_FIELD_NUMBER: _ClassVar[int]
    ANSWERS_FIELD_NUMBER: _ClassVar[int]
    question_id: str
    resolution: QuestionResolution
    answers: _containers.RepeatedCompositeFieldContainer[Answer]
    def __init__(self, question_id: _Optional[str] = ..., resolution: _Optional[_Union[QuestionResolution, str]] = ..., answers: _Optional[_Iterable[_Union[Answer, _Mapping]]] = ...) -> None: ...

class Answer(_message.Message):
    __slots__ = ("text", "values")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    text: str
    values: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, text: _Optional[str] = ..., values: _Optional[_Iterable[str]] = ...) -> None: ...

class Image(_message.Message):
    __slots__ = ("mime_type", "data", "uri")
    MIME_TYPE_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    URI_FIELD_NUMBER: _ClassVar[int]
    mime_type: str
    data: bytes
    uri: str
    def __init__(self, mime_type: _Optional[str] = ..., data: _Optional[bytes] = ..., uri: _Optional[str] = ...) -> None: ...

class Notice(_message.Message):
    __slots__ = ("kind", "message")
    KIND_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    kind: NoticeKind
    message: str
    def __init__(self, kind: _Optional[_Union[NoticeKind, str]] = ..., message: _Optional[str] = ...) -> None: ...

class Raw(_message.Message):
    __slots__ = ("type", "kind", "data", "truncated")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    type: str
    kind: str
    data: str
    truncated: bool
    def __init__(self, type: _Optional[str] = ..., kind: _Optional[str] = ..., data: _Optional[str] = ..., truncated: _Optional[bool] = ...) -> None: ...

class Ended(_message.Message):
    __slots__ = ("reason", "error", "message", "retry_after", "resumable", "usage")
    REASON_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    RETRY_AFTER_FIELD_NUMBER: _ClassVar[int]
    RESUMABLE_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    reason: EndReason
    error: _error_reason_pb2.ErrorReason
    message: str
    retry_after: _duration_pb2.Duration
    resumable: bool
    usage: Usage
    def __init__(self, reason: _Optional[_Union[EndReason, str]] = ..., error: _Optional[_Union[_error_reason_pb2.ErrorReason, str]] = ..., message: _Optional[str] = ..., retry_after: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., resumable: _Optional[bool] = ..., usage: _Optional[_Union[Usage, _Mapping]] = ...) -> None: ...
