from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ToolCallState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TOOL_CALL_STATE_UNSPECIFIED: _ClassVar[ToolCallState]
    TOOL_CALL_STATE_PENDING: _ClassVar[ToolCallState]
    TOOL_CALL_STATE_IN_PROGRESS: _ClassVar[ToolCallState]
    TOOL_CALL_STATE_COMPLETED: _ClassVar[ToolCallState]
    TOOL_CALL_STATE_FAILED: _ClassVar[ToolCallState]
TOOL_CALL_STATE_UNSPECIFIED: ToolCallState
TOOL_CALL_STATE_PENDING: ToolCallState
TOOL_CALL_STATE_IN_PROGRESS: ToolCallState
TOOL_CALL_STATE_COMPLETED: ToolCallState
TOOL_CALL_STATE_FAILED: ToolCallState

class ToolCall(_message.Message):
    __slots__ = ("id", "title", "kind", "state", "raw_input", "output", "raw_output", "locations", "diffs", "truncated")
    ID_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    RAW_INPUT_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    RAW_OUTPUT_FIELD_NUMBER: _ClassVar[int]
    LOCATIONS_FIELD_NUMBER: _ClassVar[int]
    DIFFS_FIELD_NUMBER: _ClassVar[int]
    TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    id: str
    title: str
    kind: str
    state: ToolCallState
    raw_input: str
    output: str
    raw_output: str
    locations: _containers.RepeatedCompositeFieldContainer[Location]
    diffs: _containers.RepeatedCompositeFieldContainer[Diff]
    truncated: bool
    def __init__(self, id: _Optional[str] = ..., title: _Optional[str] = ..., kind: _Optional[str] = ..., state: _Optional[_Union[ToolCallState, str]] = ..., raw_input: _Optional[str] = ..., output: _Optional[str] = ..., raw_output: _Optional[str] = ..., locations: _Optional[_Iterable[_Union[Location, _Mapping]]] = ..., diffs: _Optional[_Iterable[_Union[Diff, _Mapping]]] = ..., truncated: _Optional[bool] = ...) -> None: ...

class Location(_message.Message):
    __slots__ = ("path", "line")
    PATH_FIELD_NUMBER: _ClassVar[int]
    LINE_FIELD_NUMBER: _ClassVar[int]
    path: str
    line: int
    def __init__(self, path: _Optional[str] = ..., line: _Optional[int] = ...) -> None: ...

class Diff(_message.Message):
    __slots__ = ("path", "old_text", "new_text")
    PATH_FIELD_NUMBER: _ClassVar[int]
    OLD_TEXT_FIELD_NUMBER: _ClassVar[int]
    NEW_TEXT_FIELD_NUMBER: _ClassVar[int]
    path: str
    old_text: str
    new_text: str
    def __init__(self, path: _Optional[str] = ..., old_text: _Optional[str] = ..., new_text: _Optional[str] = ...) -> None: ...
