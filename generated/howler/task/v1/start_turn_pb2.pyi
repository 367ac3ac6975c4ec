import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class BusyPolicy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    BUSY_POLICY_UNSPECIFIED: _ClassVar[BusyPolicy]
    BUSY_POLICY_WAIT: _ClassVar[BusyPolicy]
    BUSY_POLICY_REFUSE: _ClassVar[BusyPolicy]

class Attempt(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ATTEMPT_UNSPECIFIED: _ClassVar[Attempt]
    ATTEMPT_FIRST: _ClassVar[Attempt]
    ATTEMPT_RETRY: _ClassVar[Attempt]

class Role(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ROLE_UNSPECIFIED: _ClassVar[Role]
    ROLE_USER: _ClassVar[Role]
    ROLE_ASSISTANT: _ClassVar[Role]
    ROLE_TOOL: _ClassVar[Role]

class DetachAction(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DETACH_ACTION_UNSPECIFIED: _ClassVar[DetachAction]
    DETACH_ACTION_CANCEL: _ClassVar[DetachAction]
    DETACH_ACTION_KEEP: _ClassVar[DetachAction]

class TaskRetention(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TASK_RETENTION_UNSPECIFIED: _ClassVar[TaskRetention]
    TASK_RETENTION_KEEP: _ClassVar[TaskRetention]
    TASK_RETENTION_STOP: _ClassVar[TaskRetention]

class Durability(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DURABILITY_UNSPECIFIED: _ClassVar[Durability]
    DURABILITY_DURABLE: _ClassVar[Durability]
    DURABILITY_EPHEMERAL: _ClassVar[Durability]

class ApprovalPolicy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    APPROVAL_POLICY_UNSPECIFIED: _ClassVar[ApprovalPolicy]
    APPROVAL_POLICY_AUTO: _ClassVar[ApprovalPolicy]
    APPROVAL_POLICY_MANUAL: _ClassVar[ApprovalPolicy]

class QuestionPolicy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    QUESTION_POLICY_UNSPECIFIED: _ClassVar[QuestionPolicy]
    QUESTION_POLICY_AUTO: _ClassVar[QuestionPolicy]
    QUESTION_POLICY_DECLINE: _ClassVar[QuestionPolicy]
    QUESTION_POLICY_ASK: _ClassVar[QuestionPolicy]
BUSY_POLICY_UNSPECIFIED: BusyPolicy
BUSY_POLICY_WAIT: BusyPolicy
BUSY_POLICY_REFUSE: BusyPolicy
ATTEMPT_UNSPECIFIED: Attempt
ATTEMPT_FIRST: Attempt
ATTEMPT_RETRY: Attempt
ROLE_UNSPECIFIED: Role
ROLE_USER: Role
ROLE_ASSISTANT: Role
ROLE_TOOL: Role
DETACH_ACTION_UNSPECIFIED: DetachAction
DETACH_ACTION_CANCEL: DetachAction
DETACH_ACTION_KEEP: DetachAction
TASK_RETENTION_UNSPECIFIED: TaskRetention
TASK_RETENTION_KEEP: TaskRetention
TASK_RETENTION_STOP: TaskRetention
DURABILITY_UNSPECIFIED: Durability
DURABILITY_DURABLE: Durability
DURABILITY_EPHEMERAL: Durability
APPROVAL_POLICY_UNSPECIFIED: ApprovalPolicy
APPROVAL_POLICY_AUTO: ApprovalPolicy
APPROVAL_POLICY_MANUAL: ApprovalPolicy
QUESTION_POLICY_UNSPECIFIED: QuestionPolicy
QUESTION_POLICY_AUTO: QuestionPolicy
QUESTION_POLICY_DECLINE: QuestionPolicy
QUESTION_POLICY_ASK: QuestionPolicy

class StartTurn(_message.Message):
    __slots__ = ("model", "strict_model", "prompt", "messages", "instructions", "task_id", "principal", "request_id", "deadline", "on_detach", "retention", "durability", "approval_policy", "question_policy", "lease", "priority", "conversation_id", "recognise_history", "when_busy", "attachments", "idempotency", "keep_alive", "turn_id", "guidance", "session", "after_turn_ids")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    STRICT_MODEL_FIELD_NUMBER: _ClassVar[int]
    PROMPT_FIELD_NUMBER: _ClassVar[int]
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    INSTRUCTIONS_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    PRINCIPAL_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_FIELD_NUMBER: _ClassVar[int]
    ON_DETACH_FIELD_NUMBER: _ClassVar[int]
    RETENTION_FIELD_NUMBER: _ClassVar[int]
    DURABILITY_FIELD_NUMBER: _ClassVar[int]
    APPROVAL_POLICY_FIELD_NUMBER: _ClassVar[int]
    QUESTION_POLICY_FIELD_NUMBER: _ClassVar[int]
    LEASE_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    CONVERSATION_ID_FIELD_NUMBER: _ClassVar[int]
    RECOGNISE_HISTORY_FIELD_NUMBER: _ClassVar[int]
    WHEN_BUSY_FIELD_NUMBER: _ClassVar[int]
    ATTACHMENTS_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_FIELD_NUMBER: _ClassVar[int]
    KEEP_ALIVE_FIELD_NUMBER: _ClassVar[int]
    TURN_ID_FIELD_NUMBER: _ClassVar[int]
    GUIDANCE_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    AFTER_TURN_IDS_FIELD_NUMBER: _ClassVar[int]
    model: str
    strict_model: bool
    prompt: str
    messages: Transcript
    instructions: str
    task_id: str
    principal: str
    request_id: str
    deadline: _duration_pb2.Duration
    on_detach: OnDetach
    retention: TaskRetention
    durability: Durability
    approval_policy: ApprovalPolicy
    question_policy: QuestionPolicy
    lease: HeldLease
    priority: int
    conversation_id: str
    recognise_history: bool
    when_busy: BusyPolicy
    attachments: _containers.RepeatedCompositeFieldContainer[Attachment]
    idempotency: Idempotency
    keep_alive: _duration_pb2.Duration
    turn_id: str
    guidance: str
    session: str
    after_turn_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, model: _Optional[str] = ..., strict_model: _Optional[bool] = ..., prompt: _Optional[str] = ..., messages: _Optional[_Union[Transcript, _Mapping]] = ..., instructions: _Optional[str] = ..., task_id: _Optional[str] = ..., principal: _Optional[str] = ..., request_id: _Optional[str] = ..., deadline: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., on_detach: _Optional[_Union[OnDetach, _Mapping]] = ..., retention: _Optional[_Union[TaskRetention, str]] = ..., durability: _Optional[_Union[Durability, str]] = ..., approval_policy: _Optional[_Union[ApprovalPolicy, str]] = ..., question_policy: _Optional[_Union[QuestionPolicy, str]] = ..., lease: _Optional[_Union[HeldLease, _Mapping]] = ..., priority: _Optional[int] = ..., conversation_id: _Optional[str] = ..., recognise_history: _Optional[bool] = ..., when_busy: _Optional[_Union[BusyPolicy, str]] = ..., attachments: _Optional[_Iterable[_Union[Attachment, _Mapping]]] = ..., idempotency: _Optional[_Union[Idempotency, _Mapping]] = ..., keep_alive: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., turn_id: _Optional[str] = ..., guidance: _Optional[str] = ..., session: _Optional[str] = ..., after_turn_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class Attachment(_message.Message):
    __slots__ = ("filename", "mime_type", "data")
    FILENAME_FIELD_NUMBER: _ClassVar[int]
    MIME_TYPE_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    filename: str
    mime_type: str
    data: bytes
    def __init__(self, filename: _Optional[str] = ..., mime_type: _Optional[str] = ..., data: _Optional[bytes] = ...) -> None: ...

class Idempotency(_message.Message):
    __slots__ = ("key", "attempt")
    KEY_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    key: str
    attempt: Attempt
    def __init__(self, key: _Optional[str] = ..., attempt: _Optional[_Union[Attempt, str]] = ...) -> None: ...

class Transcript(_message.Message):
    __slots__ = ("messages",)
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    messages: _containers.RepeatedCompositeFieldContainer[Message]
    def __init__(self, messages: _Optional[_Iterable[_Union[Message, _Mapping]]] = ...) -> None: ...

class Message(_message.Message):
    __slots__ = ("role", "text", "name")
    ROLE_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    role: Role
    text: str
    name: str
    def __init__(self, role: _Optional[_Union[Role, str]] = ..., text: _Optional[str] = ..., name: _Optional[str] = ...) -> None: ...

class OnDetach(_message.Message):
    __slots__ = ("action", "grace")
    ACTION_FIELD_NUMBER: _ClassVar[int]
    GRACE_FIELD_NUMBER: _ClassVar[int]
    action: DetachAction
    grace: _duration_pb2.Duration
    def __init__(self, action: _Optional[_Union[DetachAction, str]] = ..., grace: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class HeldLease(_message.Message):
    __slots__ = ("lease_id", "token")
    LEASE_ID_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    lease_id: str
    token: int
    def __init__(self, lease_id: _Optional[str] = ..., token: _Optional[int] = ...) -> None: ...
