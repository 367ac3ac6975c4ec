import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from howler.task.v1 import start_turn_pb2 as _start_turn_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ConversationState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CONVERSATION_STATE_UNSPECIFIED: _ClassVar[ConversationState]
    CONVERSATION_STATE_RUNNING: _ClassVar[ConversationState]
    CONVERSATION_STATE_IDLE: _ClassVar[ConversationState]
    CONVERSATION_STATE_DORMANT: _ClassVar[ConversationState]
CONVERSATION_STATE_UNSPECIFIED: ConversationState
CONVERSATION_STATE_RUNNING: ConversationState
CONVERSATION_STATE_IDLE: ConversationState
CONVERSATION_STATE_DORMANT: ConversationState

class Conversation(_message.Message):
    __slots__ = ("conversation_id", "principal", "model", "state", "task_id", "turn_id", "turns", "create_time", "last_used_time", "metadata", "session")
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    CONVERSATION_ID_FIELD_NUMBER: _ClassVar[int]
    PRINCIPAL_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    TURN_ID_FIELD_NUMBER: _ClassVar[int]
    TURNS_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    LAST_USED_TIME_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    conversation_id: str
    principal: str
    model: str
    state: ConversationState
    task_id: str
    turn_id: str
    turns: int
    create_time: _timestamp_pb2.Timestamp
    last_used_time: _timestamp_pb2.Timestamp
    metadata: _containers.ScalarMap[str, str]
    session: str
    def __init__(self, conversation_id: _Optional[str] = ..., principal: _Optional[str] = ..., model: _Optional[str] = ..., state: _Optional[_Union[ConversationState, str]] = ..., task_id: _Optional[str] = ..., turn_id: _Optional[str] = ..., turns: _Optional[int] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last_used_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., metadata: _Optional[_Mapping[str, str]] = ..., session: _Optional[str] = ...) -> None: ...

class CreateRequest(_message.Message):
    __slots__ = ("principal", "instructions", "history", "metadata")
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    PRINCIPAL_FIELD_NUMBER: _ClassVar[int]
    INSTRUCTIONS_FIELD_NUMBER: _ClassVar[int]
    HISTORY_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    principal: str
    instructions: str
    history: _start_turn_pb2.Transcript
    metadata: _containers.ScalarMap[str, str]
    def __init__(self, principal: _Optional[str] = ..., instructions: _Optional[str] = ..., history: _Optional[_Union[_start_turn_pb2.Transcript, _Mapping]] = ..., metadata: _Optional[_Mapping[str, str]] = ...) -> None: ...

class CreateResponse(_message.Message):
    __slots__ = ("conversation",)
    CONVERSATION_FIELD_NUMBER: _ClassVar[int]
    conversation: Conversation
    def __init__(self, conversation: _Optional[_Union[Conversation, _Mapping]] = ...) -> None: ...

class GetRequest(_message.Message):
    __slots__ = ("conversation_id", "with_history", "principal")
    CONVERSATION_ID_FIELD_NUMBER: _ClassVar[int]
    WITH_HISTORY_FIELD_NUMBER: _ClassVar[int]
    PRINCIPAL_FIELD_NUMBER: _ClassVar[int]
    conversation_id: str
    with_history: bool
    principal: str
    def __init__(self, conversation_id: _Optional[str] = ..., with_history: _Optional[bool] = ..., principal: _Optional[str] = ...) -> None: ...

class GetResponse(_message.Message):
    __slots__ = ("conversation", "history")
    CONVERSATION_FIELD_NUMBER: _ClassVar[int]
    HISTORY_FIELD_NUMBER: _ClassVar[int]
    conversation: Conversation
    history: _start_turn_pb2.Transcript
    def __init__(self, conversation: _Optional[_Union[Conversation, _Mapping]] = ..., history: _Optional[_Union[_start_turn_pb2.Transcript, _Mapping]] = ...) -> None: ...

class ListRequest(_message.Message):
    __slots__ = ("principal", "state", "page_size", "page_token")
    PRINCIPAL_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    principal: str
    state: ConversationState
    page_size: int
    page_token: str
    def __init__(self, principal: _Optional[str] = ..., state: _Optional[_Union[ConversationState, str]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListResponse(_message.Message):
    __slots__ = ("conversations", "next_page_token")
    CONVERSATIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    conversations: _containers.RepeatedCompositeFieldContainer[Conversation]
    next_page_token: str
    def __init__(self, conversations: _Optional[_Iterable[_Union[Conversation, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class UpdateRequest(_message.Message):
    __slots__ = ("conversation_id", "principal", "metadata")
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    CONVERSATION_ID_FIELD_NUMBER: _ClassVar[int]
    PRINCIPAL_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    conversation_id: str
    principal: str
    metadata: _containers.ScalarMap[str, str]
    def __init__(self, conversation_id: _Optional[str] = ..., principal: _Optional[str] = ..., metadata: _Optional[_Mapping[str, str]] = ...) -> None: ...

class UpdateResponse(_message.Message):
    __slots__ = ("conversation",)
    CONVERSATION_FIELD_NUMBER: _ClassVar[int]
    conversation: Conversation
    def __init__(self, conversation: _Optional[_Union[Conversation, _Mapping]] = ...) -> None: ...

class DeleteRequest(_message.Message):
    __slots__ = ("conversation_id", "principal")
    CONVERSATION_ID_FIELD_NUMBER: _ClassVar[int]
    PRINCIPAL_FIELD_NUMBER: _ClassVar[int]
    conversation_id: str
    principal: str
    def __init__(self, conversation_id: _Optional[str] = ..., principal: _Optional[str] = ...) -> None: ...

class DeleteResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class RetellRequest(_message.Message):
    __slots__ = ("conversation_id", "principal", "turn_id", "history", "before", "session")
    CONVERSATION_ID_FIELD_NUMBER: _ClassVar[int]
    PRINCIPAL_FIELD_NUMBER: _ClassVar[int]
    TURN_ID_FIELD_NUMBER: _ClassVar[int]
    HISTORY_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    conversation_id: str
    principal: str
    turn_id: str
    history: _start_turn_pb2.Transcript
    before: _start_turn_pb2.Transcript
    session: str
    def __init__(self, conversation_id: _Optional[str] = ..., principal: _Optional[str] = ..., turn_id: _Optional[str] = ..., history: _Optional[_Union[_start_turn_pb2.Transcript, _Mapping]] = ..., before: _Optional[_Union[_start_turn_pb2.Transcript, _Mapping]] = ..., session: _Optional[str] = ...) -> None: ...

class RetellResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Item(_message.Message):
    __slots__ = ("item_id", "item", "number")
    ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    ITEM_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    item_id: str
    item: str
    number: int
    def __init__(self, item_id: _Optional[str] = ..., item: _Optional[str] = ..., number: _Optional[int] = ...) -> None: ...

class AddItemsRequest(_message.Message):
    __slots__ = ("conversation_id", "principal", "items")
    CONVERSATION_ID_FIELD_NUMBER: _ClassVar[int]
    PRINCIPAL_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    conversation_id: str
    principal: str
    items: _containers.RepeatedCompositeFieldContainer[Item]
    def __init__(self, conversation_id: _Optional[str] = ..., principal: _Optional[str] = ..., items: _Optional[_Iterable[_Union[Item, _Mapping]]] = ...) -> None: ...

class AddItemsResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListItemsRequest(_message.Message):
    __slots__ = ("conversation_id", "principal", "unheard", "page_token")
    CONVERSATION_ID_FIELD_NUMBER: _ClassVar[int]
    PRINCIPAL_FIELD_NUMBER: _ClassVar[int]
    UNHEARD_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    conversation_id: str
    principal: str
    unheard: bool
    page_token: str
    def __init__(self, conversation_id: _Optional[str] = ..., principal: _Optional[str] = ..., unheard: _Optional[bool] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListItemsResponse(_message.Message):
    __slots__ = ("entries", "deleted_item_ids", "next_page_token")
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    DELETED_ITEM_IDS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[Entry]
    deleted_item_ids: _containers.RepeatedScalarFieldContainer[str]
    next_page_token: str
    def __init__(self, entries: _Optional[_Iterable[_Union[Entry, _Mapping]]] = ..., deleted_item_ids: _Optional[_Iterable[str]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class Entry(_message.Message):
    __slots__ = ("item", "response_id")
    ITEM_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_ID_FIELD_NUMBER: _ClassVar[int]
    item: Item
    response_id: str
    def __init__(self, item: _Optional[_Union[Item, _Mapping]] = ..., response_id: _Optional[str] = ...) -> None: ...

class DeleteItemRequest(_message.Message):
    __slots__ = ("conversation_id", "principal", "item_id")
    CONVERSATION_ID_FIELD_NUMBER: _ClassVar[int]
    PRINCIPAL_FIELD_NUMBER: _ClassVar[int]
    ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    conversation_id: str
    principal: str
    item_id: str
    def __init__(self, conversation_id: _Optional[str] = ..., principal: _Optional[str] = ..., item_id: _Optional[str] = ...) -> None: ...

class DeleteItemResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
