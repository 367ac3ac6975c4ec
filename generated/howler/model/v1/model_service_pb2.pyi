import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class OwnerType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OWNER_TYPE_UNSPECIFIED: _ClassVar[OwnerType]
    OWNER_TYPE_PRIVATE: _ClassVar[OwnerType]
    OWNER_TYPE_TEAM: _ClassVar[OwnerType]
    OWNER_TYPE_PUBLIC: _ClassVar[OwnerType]

class MatchedBy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MATCHED_BY_UNSPECIFIED: _ClassVar[MatchedBy]
    MATCHED_BY_ID: _ClassVar[MatchedBy]
    MATCHED_BY_PROVIDER_MODEL: _ClassVar[MatchedBy]
    MATCHED_BY_MODEL: _ClassVar[MatchedBy]
    MATCHED_BY_DISPLAY_NAME: _ClassVar[MatchedBy]
    MATCHED_BY_DEFAULT: _ClassVar[MatchedBy]
    MATCHED_BY_FIRST: _ClassVar[MatchedBy]
OWNER_TYPE_UNSPECIFIED: OwnerType
OWNER_TYPE_PRIVATE: OwnerType
OWNER_TYPE_TEAM: OwnerType
OWNER_TYPE_PUBLIC: OwnerType
MATCHED_BY_UNSPECIFIED: MatchedBy
MATCHED_BY_ID: MatchedBy
MATCHED_BY_PROVIDER_MODEL: MatchedBy
MATCHED_BY_MODEL: MatchedBy
MATCHED_BY_DISPLAY_NAME: MatchedBy
MATCHED_BY_DEFAULT: MatchedBy
MATCHED_BY_FIRST: MatchedBy

class Model(_message.Message):
    __slots__ = ("id", "upstream_id", "provider", "model", "display_name", "owner", "is_free", "is_default", "context_limit", "output_limit", "thinking", "images", "create_time", "access_level", "interface_type")
    ID_FIELD_NUMBER: _ClassVar[int]
    UPSTREAM_ID_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_NAME_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    IS_FREE_FIELD_NUMBER: _ClassVar[int]
    IS_DEFAULT_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_LIMIT_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_LIMIT_FIELD_NUMBER: _ClassVar[int]
    THINKING_FIELD_NUMBER: _ClassVar[int]
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    ACCESS_LEVEL_FIELD_NUMBER: _ClassVar[int]
    INTERFACE_TYPE_FIELD_NUMBER: _ClassVar[int]
    id: str
    upstream_id: str
    provider: str
    model: str
    display_name: str
    owner: Owner
    is_free: bool
    is_default: bool
    context_limit: int
    output_limit: int
    thinking: bool
    images: bool
    create_time: _timestamp_pb2.Timestamp
    access_level: str
    interface_type: str
    def __init__(self, id: _Optional[str] = ..., upstream_id: _Optional[str] = ..., provider: _Optional[str] = ..., model: _Optional[str] = ..., display_name: _Optional[str] = ..., owner: _Optional[_Union[Owner, _Mapping]] = ..., is_free: _Optional[bool] = ..., is_default: _Optional[bool] = ..., context_limit: _Optional[int] = ..., output_limit: _Optional[int] = ..., thinking: _Optional[bool] = ..., images: _Optional[bool] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., access_level: _Optional[str] = ..., interface_type: _Optional[str] = ...) -> None: ...

class Owner(_message.Message):
    __slots__ = ("type", "name", "id")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    type: OwnerType
    name: str
    id: str
    def __init__(self, type: _Optional[_Union[OwnerType, str]] = ..., name: _Optional[str] = ..., id: _Optional[str] = ...) -> None: ...

class ResolveRequest(_message.Message):
    __slots__ = ("model", "strict")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    STRICT_FIELD_NUMBER: _ClassVar[int]
    model: str
    strict: bool
    def __init__(self, model: _Optional[str] = ..., strict: _Optional[bool] = ...) -> None: ...

class ResolveResponse(_message.Message):
    __slots__ = ("model", "matched_by")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    MATCHED_BY_FIELD_NUMBER: _ClassVar[int]
    model: Model
    matched_by: MatchedBy
    def __init__(self, model: _Optional[_Union[Model, _Mapping]] = ..., matched_by: _Optional[_Union[MatchedBy, str]] = ...) -> None: ...

class ListRequest(_message.Message):
    __slots__ = ("owner", "free")
    OWNER_FIELD_NUMBER: _ClassVar[int]
    FREE_FIELD_NUMBER: _ClassVar[int]
    owner: OwnerType
    free: bool
    def __init__(self, owner: _Optional[_Union[OwnerType, str]] = ..., free: _Optional[bool] = ...) -> None: ...

class ListResponse(_message.Message):
    __slots__ = ("models", "fetch_time")
    MODELS_FIELD_NUMBER: _ClassVar[int]
    FETCH_TIME_FIELD_NUMBER: _ClassVar[int]
    models: _containers.RepeatedCompositeFieldContainer[Model]
    fetch_time: _timestamp_pb2.Timestamp
    def __init__(self, models: _Optional[_Iterable[_Union[Model, _Mapping]]] = ..., fetch_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class RefreshRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class RefreshResponse(_message.Message):
    __slots__ = ("models", "fetch_time")
    MODELS_FIELD_NUMBER: _ClassVar[int]
    FETCH_TIME_FIELD_NUMBER: _ClassVar[int]
    models: _containers.RepeatedCompositeFieldContainer[Model]
    fetch_time: _timestamp_pb2.Timestamp
    def __init__(self, models: _Optional[_Iterable[_Union[Model, _Mapping]]] = ..., fetch_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
