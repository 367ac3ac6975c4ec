"""The accounts of the sandbox and their sessions (protocol §2)."""

import json
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

USER_COOKIE: Final = "monkeycode_ai_session"
TEAM_COOKIE: Final = "monkeycode_ai_team_session"
SESSION_SECONDS: Final = 30 * 86_400  # fixed, never renewed (§2.1)
_NAMESPACE: Final = uuid.UUID("8b6f0a52-6c1e-4d43-9d0e-2f8f5a3c7e10")


class AccountsFileError(ValueError):
    """The accounts file is unusable; the message is one line."""


def stable_uuid(name: str) -> str:
    """Return the uuid that `name` has in every run of the sandbox."""
    return str(uuid.uuid5(_NAMESPACE, name))


@dataclass(slots=True)
class Account:
    """A user. `slots` is how many tasks may be pending or processing at once, `models` name private ones."""

    email: str
    password: str = field(repr=False)
    slots: int
    name: str = ""
    cookie: str = field(default="", repr=False)  # of a session that is valid from the start
    role: str = "individual"
    plan: str = "pro"
    models: tuple[str, ...] = ()
    blocked: bool = False
    logins: int = 0

    @property
    def id(self) -> str:
        """The user's uuid."""
        return stable_uuid(f"user {self.email}")

    def user(self) -> dict[str, object]:
        """Return the User object (§2.2)."""
        return {
            "id": self.id,
            "name": self.name or self.email.partition("@")[0],
            "avatar_url": "",
            "email": self.email,
            "role": self.role,
            "status": "active",
            "is_blocked": self.blocked,
            "wechat_mp_bound": False,
            "identities": [],
            "has_password": True,
        }


@dataclass(frozen=True, slots=True)
class Session:
    """A login. The user is a snapshot as of then (§2.1)."""

    account: Account
    user: dict[str, object]
    expires_at: float  # unix s


class Accounts:
    """All accounts, found by e-mail or by session cookie."""

    def __init__(self, accounts: list[Account]) -> None:
        self.users = {account.email.lower(): account for account in accounts}
        team_admin = Account("admin@sandbox.example", "sandbox-admin", 8, "Admin", role="enterprise")
        self._team_admins = {team_admin.email: team_admin}
        self._plans = {account.email: account.plan for account in accounts}
        self._sessions: dict[tuple[str, str], Session] = {}
        for account in accounts:
            if account.cookie:
                self._open(USER_COOKIE, account, account.cookie)

    def login(self, cookie_name: str, email: str, password: str) -> Account | None:
        """Return the account that a password opens through the route of this cookie, else None."""
        accounts = self.users if cookie_name == USER_COOKIE else self._team_admins
        account = accounts.get(email.strip().lower())
        if account is None or account.password != password:
            return None
        return account

    def open_session(self, cookie_name: str, account: Account) -> str:
        """Begin a session beside those there are; return its cookie."""
        account.logins += 1
        token = str(uuid.uuid4())
        self._open(cookie_name, account, token)
        return token

    def session(self, cookie_name: str, token: str) -> Session | None:
        """Return the session of a cookie, None if there is none or it is over."""
        session = self._sessions.get((cookie_name, token))
        if session is None or session.expires_at < time.time():
            return None
        return session

    def close_session(self, cookie_name: str, token: str) -> None:
        """End one session."""
        self._sessions.pop((cookie_name, token), None)

    def expire(self, emails: list[str]) -> None:
        """End every session of these accounts, or of all for "*"."""
        self._sessions = {
            key: session
            for key, session in self._sessions.items()
            if "*" not in emails and session.account.email not in emails
        }

    def block(self, emails: list[str]) -> None:
        """Block these accounts, or all for "*"."""
        for account in self.users.values():
            account.blocked = account.blocked or "*" in emails or account.email in emails

    def change_plans(self, plans: Mapping[str, str]) -> None:
        """Give accounts other plans, by e-mail, or all by "*"."""
        for account in self.users.values():
            account.plan = plans.get(account.email, plans.get("*", account.plan))

    def restore(self) -> None:
        """Unblock all accounts, give back their plans, revive the sessions that are valid from the start."""
        for account in self.users.values():
            account.blocked = False
            account.plan = self._plans[account.email]
            if account.cookie:
                self._open(USER_COOKIE, account, account.cookie)

    def sessions_of(self, account: Account) -> int:
        """Count the sessions of an account."""
        return sum(session.account is account for session in self._sessions.values())

    def _open(self, cookie_name: str, account: Account, token: str) -> None:
        self._sessions[cookie_name, token] = Session(account, account.user(), time.time() + SESSION_SECONDS)


def load(path: str) -> list[Account]:
    """Read the accounts file, a JSON list.

    A row is {"email", "password", "slots", "name"?, "cookie"?, "plan"?, "models"?}.
    """
    try:
        rows = json.loads(Path(path).read_text("utf-8"))
        return [
            Account(
                email=str(row["email"]),
                password=str(row["password"]),
                slots=int(row["slots"]),
                name=str(row.get("name", "")),
                cookie=str(row.get("cookie", "")),
                plan=str(row.get("plan", "pro")),
                models=tuple(str(name) for name in row.get("models", ())),
            )
            for row in rows
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise AccountsFileError(f"accounts file {path}: {type(error).__name__}") from None
