"""What goes wrong with a store."""


class StoreError(RuntimeError):
    """The store failed. The message is a line for operators and holds no value of any row."""


class DatabaseUrlError(StoreError, ValueError):
    """HOWLER_DATABASE_URL names nothing that can be opened."""


class SchemaError(StoreError):
    """The database does not have the schema that this version of Howler needs."""


class SealError(StoreError):
    """A secret cannot be sealed or opened. The message names the setting and holds no key and no secret."""
