"""Pages of lists, as `limit`, `order` and `after` ask for them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self

from facade.errors import ApiError, invalid

_MOST: Final = 100
_USUAL: Final = 20
_NUMBER: Final = re.compile("-?[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class Paging:
    """Which page: `limit` items behind the one called `after`, the newest first unless `ascending`."""

    limit: int
    after: str
    ascending: bool

    @classmethod
    def of(cls, asked: Mapping[str, str]) -> Self:
        """Read the query of a request; raises the 400."""
        limit = number_of(asked, "limit", _USUAL)
        if not 1 <= limit <= _MOST:
            raise invalid(f"`limit` must be from 1 to {_MOST}.", "limit")
        order = asked.get("order", "desc")
        if order not in ("asc", "desc"):
            raise invalid("`order` must be `asc` or `desc`.", "order")
        return cls(limit, asked.get("after", ""), order == "asc")

    def page(self, items: Sequence[dict[str, object]]) -> dict[str, object]:
        """Return the page of a whole list, which is given oldest first."""
        items = items if self.ascending else items[::-1]
        if self.after:
            ids = [item["id"] for item in items]
            if self.after not in ids:
                raise self.unknown()
            items = items[ids.index(self.after) + 1 :]
        return self.begun(items)

    def begun(self, items: Sequence[dict[str, object]]) -> dict[str, object]:
        """Return the page whose items are the first of these; it is the last one where there are no more."""
        page = items[: self.limit]
        return {
            "object": "list",
            "data": page,
            "first_id": page[0]["id"] if page else "",
            "last_id": page[-1]["id"] if page else "",
            "has_more": len(items) > self.limit,
        }

    @staticmethod
    def unknown() -> ApiError:
        """Return the 400 for an `after` that is not in the list."""
        return invalid("`after` names none of the items.", "after")


def number_of(asked: Mapping[str, str], name: str, default: int) -> int:
    """Return a number of a query; raises the 400."""
    text = asked.get(name, str(default))
    if not _NUMBER.fullmatch(text):
        raise invalid(f"`{name}` must be a number.", name)
    return int(text)
