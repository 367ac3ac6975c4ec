"""Users, as the platform tells of them (upstream-protocol §2.2, §2.4)."""

from dataclasses import dataclass, field
from typing import Any

from server.upstream.shapes import flag, object_in, text, wrong_shape


@dataclass(frozen=True, slots=True)
class User:
    """Who a session belongs to. `role` and `is_blocked` are as of the login (§2.1); `team` is its name."""

    user_id: str
    name: str = field(default="", repr=False)
    email: str = field(default="", repr=False)
    role: str = ""
    is_blocked: bool = False
    team: str = ""


def read_user(data: Any) -> User:
    """Read a status or a login: the user inside `user`, or bare. Raises UPSTREAM_PROTOCOL without an id."""
    outer = object_in(data, "user")
    inner = outer.get("user")
    user = inner if isinstance(inner, dict) else outer
    user_id = text(user, "id", "user_id")
    if not user_id:
        raise wrong_shape("user id")
    return User(
        user_id=user_id,
        name=text(user, "name", "username"),
        email=text(user, "email"),
        role=text(user, "role"),
        is_blocked=flag(user, "is_blocked"),
        team=_team_of(user, outer),
    )


def _team_of(user: dict[str, Any], outer: dict[str, Any]) -> str:
    team = user.get("team")
    if isinstance(team, dict):
        return text(team, "name")
    teams = outer.get("teams")
    if isinstance(teams, list) and teams and isinstance(teams[0], dict):
        return text(teams[0], "team_name")
    return ""
