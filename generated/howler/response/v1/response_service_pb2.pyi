import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Response(_message.Message):
    __slots__ = ("response_id", "principal", "turn_id", "previous_response_id", "conversation_id", "request", "presentation", "create_time", "items_heard")
    RESPONSE_ID_FIELD_NUMBER: _ClassVar[int]
    PRINCIPAL_FIELD_NUMBER: _ClassVar[int]
    TURN_ID_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_RESPONSE_ID_FIELD_NUMBER: _ClassVar[int]
    CONVERSATION_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    PRESENTATION_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    ITEMS_HEARD_FIELD_NUMBER: _ClassVar[int]
    response_id: str
    principal: str
    turn_id: str
    previous_response_id: str
    conversation_id: str
    request: bytes
    presentation: bytes
    create_time: _timestamp_pb2.Timestamp
    items_heard: int
    def __init__(self, response_id: _Optional[str] = ..., principal: _Optional[str] = ..., turn_id: _Optional[str] = ..., previous_response_id: _Optional[str] = ..., conversation_id: _Optional[str] = ..., request: _Optional[bytes] = ..., presentation: _Optional[bytes] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., items_heard: _Optional[int] = ...) -> None: ...

class CreateRequest(_message.Message):
    __slots__ = ("response",)
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    response: Response
    def __init__(self, response: _Optional[_Union[Response, _Mapping]] = ...) -> None: ...

class CreateResponse(_message.Message):
    __slots__ = ("response",)
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    response: Response
    def __init__(self, response: _Optional[_Union[Response, _Mapping]] = ...) -> None: ...

class GetRequest(_message.Message):
    __slots__ = ("response_id", "principal")
    RESPONSE_ID_FIELD_NUMBER: _ClassVar[int]
    PRINCIPAL_FIELD_NUMBER: _ClassVar[int]
    response_id: str
    principal: str
    def __init__(self, response_id: _Optional[str] = ..., principal: _Optional[str] = ...) -> None: ...

class GetResponse(_message.Message):
    __slots__ = ("response",)
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    response: Response
    def __init__(self, response: _Optional[_Union[Response, _Mapping]] = ...) -> None: ...

class DeleteRequest(_message.Message):
    __slots__ = ("response_id", "principal")
    RESPONSE_ID_FIELD_NUMBER: _ClassVar[int]
    PRINCIPAL_FIELD_NUMBER: _ClassVar[int]
    response_id: str
    principal: str
    def __init__(self, response_id: _Optional[str] = ..., principal: _Optional[str] = ...) -> None: ...

class DeleteResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
