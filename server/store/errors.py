"""What goes wrong with a store."""

from howler.error.v1.error_reason_pb2 import ErrorReason

from server.errors import ServiceError


class StoreError(RuntimeError):
    """The store failed. The message is a line for operators and holds no value of any row."""


class StoreAwayError(StoreError, ServiceError):
    """The database does not answer. Callers are told so much and no more; `line` is for operators."""

    def __init__(self, line: str) -> None:
        ServiceError.__init__(
            self, ErrorReason.ERROR_REASON_STORE_UNAVAILABLE, "Howler's database does not answer", 5.0
        )
        self.line = line

    def __str__(self) -> str:
        return self.line

    def __repr__(self) -> str:
        return f"StoreAwayError({self.line!r})"


class DatabaseUrlError(StoreError, ValueError):
    """HOWLER_DATABASE_URL names nothing that can be opened."""


class SchemaError(StoreError):
    """The database does not have the schema that this version of Howler needs."""


class SealError(StoreError):
    """A secret cannot be sealed or opened. The message names the setting and holds no key and no secret."""
