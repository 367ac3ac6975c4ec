"""The server's settings: HOWLER_* from the environment, else from `.env`, else the default.

Only `__main__` and `parts` may import this; everything else is given what it needs. The
text under each field stands in docs/configuration.md, which a test compares.
"""

import os
import re
from typing import Annotated, Final, Literal

from dotenv import dotenv_values
from pydantic import AfterValidator, Field, SecretStr, ValidationError, ValidationInfo
from pydantic_settings import BaseSettings, SettingsConfigDict

_ADDRESS: Final = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^:\[\]\s]+):(?P<port>\d{1,5})")


def host_and_port(address: str) -> tuple[str, int]:
    """Return the two halves of `host:port` (`[::1]:50051` for IPv6); raises ValueError."""
    found = _ADDRESS.fullmatch(address)
    if found is None or int(found["port"]) > 65535:  # gRPC would wrap it round and listen elsewhere
        raise ValueError("must be host:port")
    return found["host"].strip("[]"), int(found["port"])


def _address(address: str) -> str:
    host_and_port(address)
    return address


def _address_if_any(address: str) -> str:
    return _address(address) if address else address


class Misconfigured(Exception):
    """A setting cannot be meant; the message is one line that names it, without its value."""


def _renews_in_time(renew: float, info: ValidationInfo) -> float:
    ttl, margin = info.data.get("lease_ttl"), info.data.get("lease_margin")
    if ttl is not None and margin is not None and renew >= ttl - margin:
        raise ValueError("must be less than HOWLER_LEASE_TTL less HOWLER_LEASE_MARGIN")
    return renew


Address = Annotated[str, AfterValidator(_address)]
Seconds = Annotated[float, Field(gt=0, le=7 * 86400)]
Grace = Annotated[float, Field(ge=0, le=86400)]

PREFIX: Final = "HOWLER_"
ELSEWHERE: Final = frozenset(
    {
        "HOWLER_HTTP_ADDR",
        "HOWLER_GRPC_TARGET",
        "HOWLER_MODEL_FALLBACK",
        "HOWLER_FORWARD_INSTRUCTIONS",
        "HOWLER_CORS_ORIGINS",
        "HOWLER_RESPONSES_WEBSOCKET",
        "HOWLER_UNSUPPORTED_PARAMS",
        "HOWLER_KEEP_ALIVE",
        "HOWLER_KEEP_ALIVE_SECONDS",
        "HOWLER_NONSTREAM_PADDING",
        "HOWLER_QUESTIONS",
        "HOWLER_TOOL_DISPLAY",
        "HOWLER_THINKING",
        "HOWLER_REASONING_FIELD",
        "HOWLER_CLIENT_TOOLS",
        "HOWLER_MAX_BODY_BYTES",
        "HOWLER_KEEP_CHATS",
    }
)
"""Settings of the facade, which share the environment and `.env`. The sandbox's all begin HOWLER_SANDBOX_."""


class Settings(BaseSettings):
    """What an operator can say to the server. Times are in seconds."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        use_attribute_docstrings=True,
    )

    grpc_addr: Address = "127.0.0.1:50051"
    """Where the gRPC server listens, `host:port`; port 0 takes a free one."""
    advertise_addr: Annotated[str, AfterValidator(_address_if_any)] = ""
    """Where other servers that share the database reach this one, `host:port`: they forward what concerns a
    turn that runs here. Empty means where it listens, unless that is a wildcard (`0.0.0.0`).
    Servers on several machines need an address that is not loopback, in a network that only they are in."""
    upstream_url: str = ""
    """The platform, as `https://monkeycode-ai.com`. Where it is empty `make run` starts the bundled
    sandbox; `python -m server` needs it."""
    upstream_cookie: SecretStr = SecretStr("")
    """An account by its session cookie: the value of `monkeycode_ai_session`."""
    upstream_email: str = ""
    """An account by its e-mail, with HOWLER_UPSTREAM_PASSWORD."""
    upstream_password: SecretStr = SecretStr("")
    """The password that goes with HOWLER_UPSTREAM_EMAIL."""
    upstream_dialect: Literal["auto", "native", "text", "legacy"] = "auto"
    """How prompts are spelled toward the platform. `native` is the platform's own; `auto` starts
    native and takes `text` for a backend whose frames are not base64."""
    upstream_headers: Literal["plain", "browser"] = "plain"
    """What calls to the platform say of who calls. `plain` names Howler, and the platform needs no more;
    `browser` says what its web console says."""
    upstream_image_id: str = ""
    """The image of new tasks (a UUID). Empty picks the public one marked devbox, else the default,
    else the first."""
    upstream_host_id: str = ""
    """The host of new tasks. Empty picks `public_host` where the platform shows a public one or the
    account has none of its own online, else its own first; a subaccount takes its own first."""
    upstream_basic_auth: SecretStr = SecretStr("")
    """`user:password` where a proxy in front of the platform asks for HTTP Basic Auth."""
    upstream_ca_file: str = ""
    """A PEM file with the certificates to trust in place of the system's."""
    accounts_file: str = ""
    """A JSON list of accounts (`email`, `password`, `cookie`, `slots`), registered at each start by
    e-mail or user id."""
    account_slots: Annotated[int, Field(ge=1, le=10_000)] = 1
    """How many active tasks an account may have where its own record does not say."""
    free_slots: Annotated[int, Field(ge=0, le=10_000)] | None = None
    """How many slots of the pool are kept free for whoever comes next: idle tasks are stopped for it, the one
    used longest ago first. Empty means one of four, and at least one where there are two; 0 stops none."""
    conversation_idle: Seconds = 1800.0
    """How long nobody may speak in a conversation before its task is stopped; it goes on in a new one, which
    is told what was said."""
    database_url: Annotated[str, Field(repr=False)] = "sqlite:///var/howler.db"
    """Where accounts, leases and tasks are kept: `sqlite:///path`, or, for servers on several machines,
    `postgresql://user:password@host:5432/database`."""
    secrets_key: SecretStr = SecretStr("")
    """The key that cookies and passwords are sealed with in the database: 32 bytes in base64 or hex, as
    `openssl rand -base64 32` makes them. Several with commas between open what was sealed before;
    `secrets rotate` seals everything with the first. Empty takes HOWLER_SECRETS_KEY_FILE."""
    secrets_key_file: str = ""
    """A file with the key or keys, one on a line, mode 0600; it is made where there is none. Empty means
    the database's own with the ending `.key`, or `var/howler.key` with PostgreSQL. Whoever shares the
    database needs the same keys; who loses them must import the accounts anew."""
    lease_ttl: Seconds = 15.0
    """How long a lease lasts unless it is renewed. A process that stops for longer has lost its turns."""
    lease_margin: Seconds = 2.0
    """How long before its lease's end a process stops using it: what clocks and the way to the platform
    may be off by."""
    lease_renew: Annotated[Seconds, AfterValidator(_renews_in_time)] = 5.0
    """How often the leases of running turns are renewed; less than HOWLER_LEASE_TTL less
    HOWLER_LEASE_MARGIN."""
    lease_reclaim: Seconds = 10.0
    """How long after a lease's end, where nobody gave it back, its slot may be somebody else's."""
    session_check: Seconds = 3600.0
    """How often each account's session is checked; the checks are spread over this time."""
    session_warn_days: Annotated[float, Field(ge=0, le=30)] = 5.0
    """How many days before the fixed end of a session, where no password is stored to renew it, the operator
    is warned: by an event, an alert of GetPool and a line in the log."""
    queue_timeout: Seconds = 30.0
    """How long a caller waits for a free slot."""
    connect_timeout: Seconds = 10.0
    """How long connecting to the platform may take."""
    boot_timeout: Seconds = 600.0
    """How long a new task's VM may take to be ready."""
    first_event_timeout: Seconds = 60.0
    """How long the agent may take to give its first sign once the VM is ready or the prompt written."""
    idle_timeout: Seconds = 35.0
    """How long the platform may send nothing at all on a turn's socket. It pings every 10 s, so an
    agent may think silently for longer."""
    reattach_timeout: Seconds = 300.0
    """How long a turn whose connection to the platform was lost may take to find it again. Until then its
    callers see a pause; then it fails with UPSTREAM_LOST."""
    turn_timeout: Seconds = 7200.0
    """How long a turn may take in all; then it ends TIME_LIMIT (`incomplete`, `length`)."""
    usage_wait: Annotated[float, Field(ge=0, le=10)] = 2.0
    """How long the end of a turn may wait for the platform's count of its tokens, where the platform counts
    per task and tells nothing on the stream: the count is read until it stands still, which takes a quarter
    of this at least. Then usage is exact; where it comes later, or with 0, it is an estimate. Where the
    platform does not count nothing waits."""
    disconnect_grace: Grace = 10.0
    """How long a turn goes on when its last caller has left, for clients and people come back; then it is
    cancelled. 0 cancels it at once."""
    turn_retention: Annotated[float, Field(gt=0, le=90 * 86_400)] = 86_400.0
    """How long the log of a durable turn is kept after its end."""
    shutdown_grace: Grace = 10.0
    """How long the turns that run may go on at a shutdown. Then durable ones are left to another server, or
    to the next, and the others ended."""
    relay_gather_ms: Annotated[float, Field(ge=0, le=20)] = 1.0
    """How long a Relay gathers events after a write before it writes again, in milliseconds. After a pause
    nothing waits. 0 gathers only while a write is in flight, at a tenth more CPU for 50 paced streams; 2
    saves a few percent more, for another millisecond of delay."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """What is logged, to stderr."""


def read_settings() -> Settings:
    """Return the settings. Raises Misconfigured where one is wrong or unknown."""
    names = frozenset(name.upper() for name in (*os.environ, *dotenv_values(".env")))
    if unknown := unknown_names(names):
        raise Misconfigured(f"unknown setting {', '.join(unknown)}; docs/configuration.md lists them all")
    try:
        return Settings()
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_input=False)[0]
        raise Misconfigured(
            f"{PREFIX}{str(wrong['loc'][0]).upper()}: {wrong['msg'].removeprefix('Value error, ')}"
        ) from None


def unknown_names(names: frozenset[str]) -> list[str]:
    """Return those of the given HOWLER_* names that no part of Howler knows, sorted."""
    own = {PREFIX + field.upper() for field in Settings.model_fields}
    return sorted(
        name
        for name in names - own - ELSEWHERE
        if name.startswith(PREFIX) and not name.startswith(("HOWLER_SANDBOX_", "HOWLER_TEST_"))
    )
