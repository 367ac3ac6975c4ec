from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from typing import ClassVar as _ClassVar

DESCRIPTOR: _descriptor.FileDescriptor

class PoolEvent(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    POOL_EVENT_UNSPECIFIED: _ClassVar[PoolEvent]
    POOL_EVENT_SNAPSHOT: _ClassVar[PoolEvent]
    POOL_EVENT_IMPORTED: _ClassVar[PoolEvent]
    POOL_EVENT_CHANGED: _ClassVar[PoolEvent]
    POOL_EVENT_REMOVED: _ClassVar[PoolEvent]
    POOL_EVENT_LEASED: _ClassVar[PoolEvent]
    POOL_EVENT_RELEASED: _ClassVar[PoolEvent]
    POOL_EVENT_COOLING: _ClassVar[PoolEvent]
    POOL_EVENT_COOLED: _ClassVar[PoolEvent]
    POOL_EVENT_SESSION_ENDING: _ClassVar[PoolEvent]
POOL_EVENT_UNSPECIFIED: PoolEvent
POOL_EVENT_SNAPSHOT: PoolEvent
POOL_EVENT_IMPORTED: PoolEvent
POOL_EVENT_CHANGED: PoolEvent
POOL_EVENT_REMOVED: PoolEvent
POOL_EVENT_LEASED: PoolEvent
POOL_EVENT_RELEASED: PoolEvent
POOL_EVENT_COOLING: PoolEvent
POOL_EVENT_COOLED: PoolEvent
POOL_EVENT_SESSION_ENDING: PoolEvent
