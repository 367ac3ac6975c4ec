import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CooldownScope(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    COOLDOWN_SCOPE_UNSPECIFIED: _ClassVar[CooldownScope]
    COOLDOWN_SCOPE_ACCOUNT: _ClassVar[CooldownScope]
    COOLDOWN_SCOPE_ACCOUNT_MODEL: _ClassVar[CooldownScope]
    COOLDOWN_SCOPE_UPSTREAM: _ClassVar[CooldownScope]
COOLDOWN_SCOPE_UNSPECIFIED: CooldownScope
COOLDOWN_SCOPE_ACCOUNT: CooldownScope
COOLDOWN_SCOPE_ACCOUNT_MODEL: CooldownScope
COOLDOWN_SCOPE_UPSTREAM: CooldownScope

class Cooldown(_message.Message):
    __slots__ = ("reason", "scope", "until_time", "upstream_model_id", "probing")
    REASON_FIELD_NUMBER: _ClassVar[int]
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    UNTIL_TIME_FIELD_NUMBER: _ClassVar[int]
    UPSTREAM_MODEL_ID_FIELD_NUMBER: _ClassVar[int]
    PROBING_FIELD_NUMBER: _ClassVar[int]
    reason: str
    scope: CooldownScope
    until_time: _timestamp_pb2.Timestamp
    upstream_model_id: str
    probing: bool
    def __init__(self, reason: _Optional[str] = ..., scope: _Optional[_Union[CooldownScope, str]] = ..., until_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., upstream_model_id: _Optional[str] = ..., probing: _Optional[bool] = ...) -> None: ...
