"""Lists that the platform gives page by page (upstream-protocol §3.1, §4.1)."""

from typing import Any, Final

from server.pool.account import Session
from server.upstream.http import Call, Http
from server.upstream.shapes import objects_in, text

_PAGES: Final = 50  # a server that always has a next page is not followed for ever


async def rows(http: Http, session: Session, path: str, key: str) -> list[dict[str, Any]]:
    """Return the rows listed under `key`, of all pages."""
    found: list[dict[str, Any]] = []
    cursor, seen = "", {""}
    for _ in range(_PAGES):
        query = {"cursor": cursor} if cursor else {}
        data = await http.repeatable(Call("GET", path, session.cookie, query))
        found += objects_in(data, key)
        page = data.get("page") if isinstance(data, dict) else None
        if not isinstance(page, dict) or page.get("has_next_page") is not True:
            break
        cursor = text(page, "cursor")
        if cursor in seen:
            break
        seen.add(cursor)
    return found
