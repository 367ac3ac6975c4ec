"""HOWLER_DATABASE_URL as PostgreSQL's: checked, and shown without its password."""

from dataclasses import dataclass, field
from typing import Final, Self
from urllib.parse import parse_qs, urlsplit

from server.store.errors import DatabaseUrlError

SCHEMES: Final = frozenset({"postgresql", "postgres"})
_FORM: Final = "HOWLER_DATABASE_URL: must have the form postgresql://user:password@host:5432/database"


@dataclass(frozen=True, slots=True)
class Address:
    """Where a database is. `url` may hold a password; `shown` does not."""

    url: str = field(repr=False)
    shown: str

    @classmethod
    def of(cls, url: str) -> Self:
        """Read a URL as libpq writes it. Raises DatabaseUrlError, which does not repeat the URL."""
        try:
            parts = urlsplit(url)
            port = f":{parts.port}" if parts.port else ""
            query = parse_qs(parts.query)
        except ValueError:
            raise DatabaseUrlError(_FORM) from None
        if parts.scheme not in SCHEMES or parts.fragment:
            raise DatabaseUrlError(_FORM)
        host = parts.hostname or query.get("host", [""])[0]
        user = f"{parts.username}@" if parts.username else ""
        return cls(url, f"postgresql://{user}{host}{port}{parts.path}")
