import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from howler.pool.v1 import alert_pb2 as _alert_pb2
from howler.pool.v1 import cooldown_pb2 as _cooldown_pb2
from howler.pool.v1 import pool_event_pb2 as _pool_event_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AccountState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ACCOUNT_STATE_UNSPECIFIED: _ClassVar[AccountState]
    ACCOUNT_STATE_CREATED: _ClassVar[AccountState]
    ACCOUNT_STATE_ACTIVE: _ClassVar[AccountState]
    ACCOUNT_STATE_EXPIRED: _ClassVar[AccountState]
    ACCOUNT_STATE_INVALID: _ClassVar[AccountState]

class LeaseMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LEASE_MODE_UNSPECIFIED: _ClassVar[LeaseMode]
    LEASE_MODE_SHARED: _ClassVar[LeaseMode]
    LEASE_MODE_EXCLUSIVE: _ClassVar[LeaseMode]
ACCOUNT_STATE_UNSPECIFIED: AccountState
ACCOUNT_STATE_CREATED: AccountState
ACCOUNT_STATE_ACTIVE: AccountState
ACCOUNT_STATE_EXPIRED: AccountState
ACCOUNT_STATE_INVALID: AccountState
LEASE_MODE_UNSPECIFIED: LeaseMode
LEASE_MODE_SHARED: LeaseMode
LEASE_MODE_EXCLUSIVE: LeaseMode

class Account(_message.Message):
    __slots__ = ("account_id", "email", "user_id", "name", "state", "enabled", "slots", "slots_used", "cooldowns", "has_password", "create_time", "last_used_time", "state_reason", "slots_closed", "session_expire_time", "session_age_unknown")
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    EMAIL_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    ENABLED_FIELD_NUMBER: _ClassVar[int]
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    SLOTS_USED_FIELD_NUMBER: _ClassVar[int]
    COOLDOWNS_FIELD_NUMBER: _ClassVar[int]
    HAS_PASSWORD_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    LAST_USED_TIME_FIELD_NUMBER: _ClassVar[int]
    STATE_REASON_FIELD_NUMBER: _ClassVar[int]
    SLOTS_CLOSED_FIELD_NUMBER: _ClassVar[int]
    SESSION_EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    SESSION_AGE_UNKNOWN_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    email: str
    user_id: str
    name: str
    state: AccountState
    enabled: bool
    slots: int
    slots_used: int
    cooldowns: _containers.RepeatedCompositeFieldContainer[_cooldown_pb2.Cooldown]
    has_password: bool
    create_time: _timestamp_pb2.Timestamp
    last_used_time: _timestamp_pb2.Timestamp
    state_reason: str
    slots_closed: int
    session_expire_time: _timestamp_pb2.Timestamp
    session_age_unknown: bool
    def __init__(self, account_id: _Optional[str] = ..., email: _Optional[str] = ..., user_id: _Optional[str] = ..., name: _Optional[str] = ..., state: _Optional[_Union[AccountState, str]] = ..., enabled: _Optional[bool] = ..., slots: _Optional[int] = ..., slots_used: _Optional[int] = ..., cooldowns: _Optional[_Iterable[_Union[_cooldown_pb2.Cooldown, _Mapping]]] = ..., has_password: _Optional[bool] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last_used_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., state_reason: _Optional[str] = ..., slots_closed: _Optional[int] = ..., session_expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., session_age_unknown: _Optional[bool] = ...) -> None: ...

class Lease(_message.Message):
    __slots__ = ("lease_id", "account_id", "mode", "token", "expire_time", "holder", "purpose")
    LEASE_ID_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    HOLDER_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    lease_id: str
    account_id: str
    mode: LeaseMode
    token: int
    expire_time: _timestamp_pb2.Timestamp
    holder: str
    purpose: str
    def __init__(self, lease_id: _Optional[str] = ..., account_id: _Optional[str] = ..., mode: _Optional[_Union[LeaseMode, str]] = ..., token: _Optional[int] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., holder: _Optional[str] = ..., purpose: _Optional[str] = ...) -> None: ...

class AcquireRequest(_message.Message):
    __slots__ = ("mode", "holder", "purpose", "wait", "ttl", "account_id", "priority")
    MODE_FIELD_NUMBER: _ClassVar[int]
    HOLDER_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    WAIT_FIELD_NUMBER: _ClassVar[int]
    TTL_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    mode: LeaseMode
    holder: str
    purpose: str
    wait: _duration_pb2.Duration
    ttl: _duration_pb2.Duration
    account_id: str
    priority: int
    def __init__(self, mode: _Optional[_Union[LeaseMode, str]] = ..., holder: _Optional[str] = ..., purpose: _Optional[str] = ..., wait: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., ttl: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., account_id: _Optional[str] = ..., priority: _Optional[int] = ...) -> None: ...

class AcquireResponse(_message.Message):
    __slots__ = ("lease",)
    LEASE_FIELD_NUMBER: _ClassVar[int]
    lease: Lease
    def __init__(self, lease: _Optional[_Union[Lease, _Mapping]] = ...) -> None: ...

class RenewRequest(_message.Message):
    __slots__ = ("lease_id", "token", "ttl")
    LEASE_ID_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    TTL_FIELD_NUMBER: _ClassVar[int]
    lease_id: str
    token: int
    ttl: _duration_pb2.Duration
    def __init__(self, lease_id: _Optional[str] = ..., token: _Optional[int] = ..., ttl: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class RenewResponse(_message.Message):
    __slots__ = ("lease",)
    LEASE_FIELD_NUMBER: _ClassVar[int]
    lease: Lease
    def __init__(self, lease: _Optional[_Union[Lease, _Mapping]] = ...) -> None: ...

class ReleaseRequest(_message.Message):
    __slots__ = ("lease_id", "token")
    LEASE_ID_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    lease_id: str
    token: int
    def __init__(self, lease_id: _Optional[str] = ..., token: _Optional[int] = ...) -> None: ...

class ReleaseResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListAccountsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListAccountsResponse(_message.Message):
    __slots__ = ("accounts",)
    ACCOUNTS_FIELD_NUMBER: _ClassVar[int]
    accounts: _containers.RepeatedCompositeFieldContainer[Account]
    def __init__(self, accounts: _Optional[_Iterable[_Union[Account, _Mapping]]] = ...) -> None: ...

class GetPoolRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetPoolResponse(_message.Message):
    __slots__ = ("accounts", "usable", "states", "cooling", "disabled", "slots", "slots_used", "waiting", "utilization", "alerts", "sessions_ending")
    ACCOUNTS_FIELD_NUMBER: _ClassVar[int]
    USABLE_FIELD_NUMBER: _ClassVar[int]
    STATES_FIELD_NUMBER: _ClassVar[int]
    COOLING_FIELD_NUMBER: _ClassVar[int]
    DISABLED_FIELD_NUMBER: _ClassVar[int]
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    SLOTS_USED_FIELD_NUMBER: _ClassVar[int]
    WAITING_FIELD_NUMBER: _ClassVar[int]
    UTILIZATION_FIELD_NUMBER: _ClassVar[int]
    ALERTS_FIELD_NUMBER: _ClassVar[int]
    SESSIONS_ENDING_FIELD_NUMBER: _ClassVar[int]
    accounts: int
    usable: int
    states: _containers.RepeatedCompositeFieldContainer[StateCount]
    cooling: int
    disabled: int
    slots: int
    slots_used: int
    waiting: int
    utilization: float
    alerts: _containers.RepeatedCompositeFieldContainer[_alert_pb2.Alert]
    sessions_ending: int
    def __init__(self, accounts: _Optional[int] = ..., usable: _Optional[int] = ..., states: _Optional[_Iterable[_Union[StateCount, _Mapping]]] = ..., cooling: _Optional[int] = ..., disabled: _Optional[int] = ..., slots: _Optional[int] = ..., slots_used: _Optional[int] = ..., waiting: _Optional[int] = ..., utilization: _Optional[float] = ..., alerts: _Optional[_Iterable[_Union[_alert_pb2.Alert, _Mapping]]] = ..., sessions_ending: _Optional[int] = ...) -> None: ...

class StateCount(_message.Message):
    __slots__ = ("state", "count")
    STATE_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    state: AccountState
    count: int
    def __init__(self, state: _Optional[_Union[AccountState, str]] = ..., count: _Optional[int] = ...) -> None: ...

class ImportAccountRequest(_message.Message):
    __slots__ = ("cookie", "email", "password", "slots")
    COOKIE_FIELD_NUMBER: _ClassVar[int]
    EMAIL_FIELD_NUMBER: _ClassVar[int]
    PASSWORD_FIELD_NUMBER: _ClassVar[int]
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    cookie: str
    email: str
    password: str
    slots: int
    def __init__(self, cookie: _Optional[str] = ..., email: _Optional[str] = ..., password: _Optional[str] = ..., slots: _Optional[int] = ...) -> None: ...

class ImportAccountResponse(_message.Message):
    __slots__ = ("account", "created")
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    CREATED_FIELD_NUMBER: _ClassVar[int]
    account: Account
    created: bool
    def __init__(self, account: _Optional[_Union[Account, _Mapping]] = ..., created: _Optional[bool] = ...) -> None: ...

class ImportAccountsRequest(_message.Message):
    __slots__ = ("json",)
    JSON_FIELD_NUMBER: _ClassVar[int]
    json: str
    def __init__(self, json: _Optional[str] = ...) -> None: ...

class ImportAccountsResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[ImportedAccount]
    def __init__(self, results: _Optional[_Iterable[_Union[ImportedAccount, _Mapping]]] = ...) -> None: ...

class ImportedAccount(_message.Message):
    __slots__ = ("account", "created", "refusal", "message")
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    CREATED_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    account: Account
    created: bool
    refusal: str
    message: str
    def __init__(self, account: _Optional[_Union[Account, _Mapping]] = ..., created: _Optional[bool] = ..., refusal: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class EnableAccountRequest(_message.Message):
    __slots__ = ("account_id",)
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    def __init__(self, account_id: _Optional[str] = ...) -> None: ...

class EnableAccountResponse(_message.Message):
    __slots__ = ("account",)
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    account: Account
    def __init__(self, account: _Optional[_Union[Account, _Mapping]] = ...) -> None: ...

class DisableAccountRequest(_message.Message):
    __slots__ = ("account_id",)
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    def __init__(self, account_id: _Optional[str] = ...) -> None: ...

class DisableAccountResponse(_message.Message):
    __slots__ = ("account",)
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    account: Account
    def __init__(self, account: _Optional[_Union[Account, _Mapping]] = ...) -> None: ...

class CheckAccountRequest(_message.Message):
    __slots__ = ("account_id",)
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    def __init__(self, account_id: _Optional[str] = ...) -> None: ...

class CheckAccountResponse(_message.Message):
    __slots__ = ("account",)
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    account: Account
    def __init__(self, account: _Optional[_Union[Account, _Mapping]] = ...) -> None: ...

class ResetCooldownRequest(_message.Message):
    __slots__ = ("account_id", "upstream_model_id")
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    UPSTREAM_MODEL_ID_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    upstream_model_id: str
    def __init__(self, account_id: _Optional[str] = ..., upstream_model_id: _Optional[str] = ...) -> None: ...

class ResetCooldownResponse(_message.Message):
    __slots__ = ("cooldowns",)
    COOLDOWNS_FIELD_NUMBER: _ClassVar[int]
    cooldowns: _containers.RepeatedCompositeFieldContainer[_cooldown_pb2.Cooldown]
    def __init__(self, cooldowns: _Optional[_Iterable[_Union[_cooldown_pb2.Cooldown, _Mapping]]] = ...) -> None: ...

class RemoveAccountRequest(_message.Message):
    __slots__ = ("account_id",)
    ACCOUNT_ID_FIELD_NUMBER: _ClassVar[int]
    account_id: str
    def __init__(self, account_id: _Optional[str] = ...) -> None: ...

class RemoveAccountResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class WatchRequest(_message.Message):
    __slots__ = ("after",)
    AFTER_FIELD_NUMBER: _ClassVar[int]
    after: str
    def __init__(self, after: _Optional[str] = ...) -> None: ...

class WatchResponse(_message.Message):
    __slots__ = ("time_unix_ms", "event", "account", "cursor")
    TIME_UNIX_MS_FIELD_NUMBER: _ClassVar[int]
    EVENT_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    time_unix_ms: int
    event: _pool_event_pb2.PoolEvent
    account: Account
    cursor: str
    def __init__(self, time_unix_ms: _Optional[int] = ..., event: _Optional[_Union[_pool_event_pb2.PoolEvent, str]] = ..., account: _Optional[_Union[Account, _Mapping]] = ..., cursor: _Optional[str] = ...) -> None: ...
