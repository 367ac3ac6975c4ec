"""What asyncpg raises, as what the rest of the store works with. Nothing here repeats a value of a row."""

from typing import Final

import asyncpg

from server.store.errors import StoreAwayError, StoreError
from server.store.postgres.address import Address

LOST: Final = (
    OSError,  # TimeoutError is one
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,  # shut down, crashed, starting up
    asyncpg.TooManyConnectionsError,
)
"""The connection failed, or there was none. A statement that was sent has run, or not, or will."""

UNDONE: Final = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError)
"""The database undid the statement for the sake of another one: it may be sent again."""

FAILED: Final = (*LOST, asyncpg.PostgresError)
"""All that a statement may raise."""

_VALUES: Final = ("22", "23")  # classes of SQLSTATE whose messages may quote a row: bad data, constraints


def store_error(error: BaseException, address: Address) -> StoreError:
    """Return a failure, as one line for operators; of a database that is away callers are told, too."""
    where = f"HOWLER_DATABASE_URL: PostgreSQL at {address.shown}"
    match error:
        case asyncpg.InvalidAuthorizationSpecificationError():
            return StoreError(f"{where} does not let this user in, or not with this password")
        case asyncpg.InvalidCatalogNameError():
            return StoreError(f"{where} has no such database; make it with createdb")
        case asyncpg.CannotConnectNowError():
            return StoreAwayError(f"{where} is starting or stopping")
        case asyncpg.TooManyConnectionsError():
            return StoreAwayError(f"{where} has no connection left; raise its max_connections")
        case asyncpg.InsufficientPrivilegeError():
            return StoreError(f"{where} lets this user do too little: {error.message}")
        case asyncpg.ClientConfigurationError():
            return StoreError(f"{where} cannot be used with these parameters")
        case asyncpg.PostgresError() if not isinstance(error, LOST):
            state = error.sqlstate or ""
            told = error.constraint_name if state[:2] in _VALUES else error.message
            return StoreError(f"the database refused: {type(error).__name__} {state} {told or ''}".rstrip())
        case TimeoutError():
            return StoreAwayError(f"{where} does not answer")
        case OSError():
            return StoreAwayError(f"{where} cannot be reached: {error.strerror or type(error).__name__}")
    return StoreAwayError(f"{where} is away: {type(error).__name__}")
