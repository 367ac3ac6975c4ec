from google.rpc import status_pb2 as _status_pb2
from howler.task.v1 import start_turn_pb2 as _start_turn_pb2
from howler.task.v1 import task_event_pb2 as _task_event_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RelayRequest(_message.Message):
    __slots__ = ("tag", "start", "watch", "cancel", "answer", "grant", "detach", "also")
    TAG_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    WATCH_FIELD_NUMBER: _ClassVar[int]
    CANCEL_FIELD_NUMBER: _ClassVar[int]
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    GRANT_FIELD_NUMBER: _ClassVar[int]
    DETACH_FIELD_NUMBER: _ClassVar[int]
    ALSO_FIELD_NUMBER: _ClassVar[int]
    tag: int
    start: _start_turn_pb2.StartTurn
    watch: WatchTurn
    cancel: CancelTurn
    answer: AnswerTurn
    grant: Grant
    detach: Detach
    also: _containers.RepeatedCompositeFieldContainer[RelayRequest]
    def __init__(self, tag: _Optional[int] = ..., start: _Optional[_Union[_start_turn_pb2.StartTurn, _Mapping]] = ..., watch: _Optional[_Union[WatchTurn, _Mapping]] = ..., cancel: _Optional[_Union[CancelTurn, _Mapping]] = ..., answer: _Optional[_Union[AnswerTurn, _Mapping]] = ..., grant: _Optional[_Union[Grant, _Mapping]] = ..., detach: _Optional[_Union[Detach, _Mapping]] = ..., also: _Optional[_Iterable[_Union[RelayRequest, _Mapping]]] = ...) -> None: ...

class WatchTurn(_message.Message):
    __slots__ = ("turn_id", "after_seq", "until_now")
    TURN_ID_FIELD_NUMBER: _ClassVar[int]
    AFTER_SEQ_FIELD_NUMBER: _ClassVar[int]
    UNTIL_NOW_FIELD_NUMBER: _ClassVar[int]
    turn_id: str
    after_seq: int
    until_now: bool
    def __init__(self, turn_id: _Optional[str] = ..., after_seq: _Optional[int] = ..., until_now: _Optional[bool] = ...) -> None: ...

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
    __slots__ = ("events", "tag", "first_seq", "failed", "told")
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    TAG_FIELD_NUMBER: _ClassVar[int]
    FIRST_SEQ_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    TOLD_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[_task_event_pb2.TaskEvent]
    tag: int
    first_seq: int
    failed: _status_pb2.Status
    told: bool
    def __init__(self, events: _Optional[_Iterable[_Union[_task_event_pb2.TaskEvent, _Mapping]]] = ..., tag: _Optional[int] = ..., first_seq: _Optional[int] = ..., failed: _Optional[_Union[_status_pb2.Status, _Mapping]] = ..., told: _Optional[bool] = ...) -> None: ...
