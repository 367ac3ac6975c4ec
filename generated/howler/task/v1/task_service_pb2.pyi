import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.rpc import status_pb2 as _status_pb2
from howler.task.v1 import task_event_pb2 as _task_event_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

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

class TaskState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TASK_STATE_UNSPECIFIED: _ClassVar[TaskState]
    TASK_STATE_RUNNING: _ClassVar[TaskState]
    TASK_STATE_IDLE: _ClassVar[TaskState]
    TASK_STATE_ENDED: _ClassVar[TaskState]
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
TASK_STATE_UNSPECIFIED: TaskState
TASK_STATE_RUNNING: TaskState
TASK_STATE_IDLE: TaskState
TASK_STATE_ENDED: TaskState

class StreamRequest(_message.Message):
    __slots__ = ("start",)
    START_FIELD_NUMBER: _ClassVar[int]
    start: StartTurn
    def __init__(self, start: _Optional[_Union[StartTurn, _Mapping]] = ...) -> None: ...

class StreamResponse(_message.Message):
    __slots__ = ("events",)
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[_task_event_pb2.TaskEvent]
    def __init__(self, events: _Optional[_Iterable[_Union[_task_event_pb2.TaskEvent, _Mapping]]] = ...) -> None: ...

class RelayRequest(_message.Message):
    __slots__ = ("tag", "start", "watch", "cancel", "answer", "grant", "detach")
    TAG_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    WATCH_FIELD_NUMBER: _ClassVar[int]
    CANCEL_FIELD_NUMBER: _ClassVar[int]
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    GRANT_FIELD_NUMBER: _ClassVar[int]
    DETACH_FIELD_NUMBER: _ClassVar[int]
    tag: int
    start: StartTurn
    watch: WatchTurn
    cancel: CancelTurn
    answer: AnswerTurn
    grant: Grant
    detach: Detach
    def __init__(self, tag: _Optional[int] = ..., start: _Optional[_Union[StartTurn, _Mapping]] = ..., watch: _Optional[_Union[WatchTurn, _Mapping]] = ..., cancel: _Optional[_Union[CancelTurn, _Mapping]] = ..., answer: _Optional[_Union[AnswerTurn, _Mapping]] = ..., grant: _Optional[_Union[Grant, _Mapping]] = ..., detach: _Optional[_Union[Detach, _Mapping]] = ...) -> None: ...

class WatchTurn(_message.Message):
    __slots__ = ("turn_id", "after_seq")
    TURN_ID_FIELD_NUMBER: _ClassVar[int]
    AFTER_SEQ_FIELD_NUMBER: _ClassVar[int]
    turn_id: str
    after_seq: int
    def __init__(self, turn_id: _Optional[str] = ..., after_seq: _Optional[int] = ...) -> None: ...

class CancelTurn(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class AnswerTurn(_message.Message):
    __slots__ = ("question_id", "answers", "decline")
    QUESTION_ID_FIELD_NUMBER: _ClassVar[int]
    ANSWERS_FIELD_NUMBER: _ClassVar[int]
    DECLINE_FIELD_NUMBER: _ClassVar[int]
    question_id: str
    answers: _containers.RepeatedCompositeFieldContainer[_task_event_pb2.Answer]
    decline: bool
    def __init__(self, question_id: _Optional[str] = ..., answers: _Optional[_Iterable[_Union[_task_event_pb2.Answer, _Mapping]]] = ..., decline: _Optional[bool] = ...) -> None: ...

class Grant(_message.Message):
    __slots__ = ("bytes",)
    BYTES_FIELD_NUMBER: _ClassVar[int]
    bytes: int
    def __init__(self, bytes: _Optional[int] = ...) -> None: ...

class Detach(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class RelayResponse(_message.Message):
    __slots__ = ("frames",)
    FRAMES_FIELD_NUMBER: _ClassVar[int]
    frames: _containers.RepeatedCompositeFieldContainer[TurnFrame]
    def __init__(self, frames: _Optional[_Iterable[_Union[TurnFrame, _Mapping]]] = ...) -> None: ...

class TurnFrame(_message.Message):
    __slots__ = ("events", "tag", "first_seq", "failed")
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    TAG_FIELD_NUMBER: _ClassVar[int]
    FIRST_SEQ_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[_task_event_pb2.TaskEvent]
    tag: int
    first_seq: int
    failed: _status_pb2.Status
    def __init__(self, events: _Optional[_Iterable[_Union[_task_event_pb2.TaskEvent, _Mapping]]] = ..., tag: _Optional[int] = ..., first_seq: _Optional[int] = ..., failed: _Optional[_Union[_status_pb2.Status, _Mapping]] = ...) -> None: ...

class StartTurn(_message.Message):
    __slots__ = ("model", "strict_model", "prompt", "messages", "instructions", "task_id", "principal", "request_id", "deadline", "on_detach", "retention", "durability", "approval_policy", "question_policy", "lease", "priority")
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
    model: str
    strict_model: bool
    prompt: str
    messages: Conversation
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
    def __init__(self, model: _Optional[str] = ..., strict_model: _Optional[bool] = ..., prompt: _Optional[str] = ..., messages: _Optional[_Union[Conversation, _Mapping]] = ..., instructions: _Optional[str] = ..., task_id: _Optional[str] = ..., principal: _Optional[str] = ..., request_id: _Optional[str] = ..., deadline: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., on_detach: _Optional[_Union[OnDetach, _Mapping]] = ..., retention: _Optional[_Union[TaskRetention, str]] = ..., durability: _Optional[_Union[Durability, str]] = ..., approval_policy: _Optional[_Union[ApprovalPolicy, str]] = ..., question_policy: _Optional[_Union[QuestionPolicy, str]] = ..., lease: _Optional[_Union[HeldLease, _Mapping]] = ..., priority: _Optional[int] = ...) -> None: ...

class Conversation(_message.Message):
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

class Task(_message.Message):
    __slots__ = ("task_id", "state", "account_id", "model", "principal", "turn_id", "create_time", "last_used_time")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    PRINCIPAL_FIELD_NUMBER: _ClassVar[int]
    TURN_ID_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    LAST_USED_TIME_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    state: TaskState
    account_id: str
    model: str
    principal: str
    turn_id: str
    create_time: _timestamp_pb2.Timestamp
    last_used_time: _timestamp_pb2.Timestamp
    def __init__(self, task_id: _Optional[str] = ..., state: _Optional[_Union[TaskState, str]] = ..., account_id: _Optional[str] = ..., model: _Optional[str] = ..., principal: _Optional[str] = ..., turn_id: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last_used_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class GetTaskRequest(_message.Message):
    __slots__ = ("task_id",)
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    def __init__(self, task_id: _Optional[str] = ...) -> None: ...

class GetTaskResponse(_message.Message):
    __slots__ = ("task",)
    TASK_FIELD_NUMBER: _ClassVar[int]
    task: Task
    def __init__(self, task: _Optional[_Union[Task, _Mapping]] = ...) -> None: ...

class ListTasksRequest(_message.Message):
    __slots__ = ("state", "principal", "page_size", "page_token")
    STATE_FIELD_NUMBER: _ClassVar[int]
    PRINCIPAL_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    state: TaskState
    principal: str
    page_size: int
    page_token: str
    def __init__(self, state: _Optional[_Union[TaskState, str]] = ..., principal: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListTasksResponse(_message.Message):
    __slots__ = ("tasks", "next_page_token")
    TASKS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    tasks: _containers.RepeatedCompositeFieldContainer[Task]
    next_page_token: str
    def __init__(self, tasks: _Optional[_Iterable[_Union[Task, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class StopTaskRequest(_message.Message):
    __slots__ = ("task_id",)
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    def __init__(self, task_id: _Optional[str] = ...) -> None: ...

class StopTaskResponse(_message.Message):
    __slots__ = ("task",)
    TASK_FIELD_NUMBER: _ClassVar[int]
    task: Task
    def __init__(self, task: _Optional[_Union[Task, _Mapping]] = ...) -> None: ...

class CancelTurnRequest(_message.Message):
    __slots__ = ("turn_id",)
    TURN_ID_FIELD_NUMBER: _ClassVar[int]
    turn_id: str
    def __init__(self, turn_id: _Optional[str] = ...) -> None: ...

class CancelTurnResponse(_message.Message):
    __slots__ = ("reason",)
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason: _task_event_pb2.EndReason
    def __init__(self, reason: _Optional[_Union[_task_event_pb2.EndReason, str]] = ...) -> None: ...

class AnswerQuestionRequest(_message.Message):
    __slots__ = ("turn_id", "question_id", "answers", "decline")
    TURN_ID_FIELD_NUMBER: _ClassVar[int]
    QUESTION_ID_FIELD_NUMBER: _ClassVar[int]
    ANSWERS_FIELD_NUMBER: _ClassVar[int]
    DECLINE_FIELD_NUMBER: _ClassVar[int]
    turn_id: str
    question_id: str
    answers: _containers.RepeatedCompositeFieldContainer[_task_event_pb2.Answer]
    decline: bool
    def __init__(self, turn_id: _Optional[str] = ..., question_id: _Optional[str] = ..., answers: _Optional[_Iterable[_Union[_task_event_pb2.Answer, _Mapping]]] = ..., decline: _Optional[bool] = ...) -> None: ...

class AnswerQuestionResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
