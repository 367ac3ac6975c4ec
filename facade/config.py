"""The facade's settings, from the environment and `.env`. Imported by __main__ only.

The processes share one `.env`: keys of the others are passed over here, a
name that none of them knows is not.
"""

import logging
import os
import re
from typing import Annotated, Any, Final, Literal, Self

from dotenv import dotenv_values
from pydantic import AfterValidator, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from facade.cors import ANY_ORIGIN
from facade.openai.client_tools.mode import ClientToolsMode
from facade.openai.presentation import Presentation, ReasoningField, Thinking, ToolDisplay
from facade.openai.start import ForwardInstructions, Questions, UnsupportedParams
from facade.sse import KeepAlive, NonstreamPadding, Pace, Padding

PREFIX: Final = "HOWLER_"
ELSEWHERE: Final = frozenset(
    {
        "HOWLER_UPSTREAM_URL",
        "HOWLER_UPSTREAM_COOKIE",
        "HOWLER_UPSTREAM_EMAIL",
        "HOWLER_UPSTREAM_PASSWORD",
        "HOWLER_UPSTREAM_DIALECT",
        "HOWLER_UPSTREAM_HEADERS",
        "HOWLER_UPSTREAM_IMAGE_ID",
        "HOWLER_UPSTREAM_HOST_ID",
        "HOWLER_UPSTREAM_BASIC_AUTH",
        "HOWLER_UPSTREAM_CA_FILE",
        "HOWLER_ACCOUNTS_FILE",
        "HOWLER_ACCOUNT_SLOTS",
        "HOWLER_FREE_SLOTS",
        "HOWLER_CONVERSATION_IDLE",
        "HOWLER_ADVERTISE_ADDR",
        "HOWLER_DATABASE_URL",
        "HOWLER_SECRETS_KEY",
        "HOWLER_SECRETS_KEY_FILE",
        "HOWLER_LEASE_TTL",
        "HOWLER_LEASE_MARGIN",
        "HOWLER_LEASE_RENEW",
        "HOWLER_LEASE_RECLAIM",
        "HOWLER_SESSION_CHECK",
        "HOWLER_SESSION_WARN_DAYS",
        "HOWLER_QUEUE_TIMEOUT",
        "HOWLER_CONNECT_TIMEOUT",
        "HOWLER_BOOT_TIMEOUT",
        "HOWLER_FIRST_EVENT_TIMEOUT",
        "HOWLER_IDLE_TIMEOUT",
        "HOWLER_REATTACH_TIMEOUT",
        "HOWLER_TURN_TIMEOUT",
        "HOWLER_USAGE_WAIT",
        "HOWLER_TURN_RETENTION",
        "HOWLER_DISCONNECT_GRACE",
        "HOWLER_SHUTDOWN_GRACE",
        "HOWLER_RELAY_GATHER_MS",
    }
)
"""Settings of the server alone, which a test compares. The sandbox's all begin HOWLER_SANDBOX_."""

_ORIGIN: Final = re.compile(r"[a-z][a-z0-9+.-]*://(?:\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(?::\d{1,5})?")
_ADDRESS: Final = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^:\[\]\s]+):(?P<port>\d{1,5})")


class SettingsError(Exception):
    """A setting is wrong; the message names it in one line, without its value."""


def host_and_port(address: str) -> tuple[str, int]:
    """Return the two halves of `host:port` (`[::1]:8080` for IPv6); raises ValueError."""
    found = _ADDRESS.fullmatch(address)
    if found is None or int(found["port"]) > 65535:
        raise ValueError("must be host:port")
    return found["host"].strip("[]"), int(found["port"])


def _address(address: str) -> str:
    host_and_port(address)
    return address


def _origins(listed: str) -> str:
    for origin in _split(listed):
        if origin != ANY_ORIGIN and _ORIGIN.fullmatch(origin) is None:
            raise ValueError("must be origins such as https://chat.example, separated by commas, or *")
    return listed


def _split(listed: str) -> list[str]:
    return [origin for part in listed.split(",") if (origin := part.strip())]


Origins = Annotated[str, AfterValidator(_origins)]
Address = Annotated[str, AfterValidator(_address)]


class Settings(BaseSettings):
    """What an operator decides about the facade."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_file=".env",
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
    )

    http_addr: Address = Field(
        "127.0.0.1:8080", description="Where the facade listens for HTTP. Port 0 takes a free one."
    )
    grpc_addr: Address = Field("127.0.0.1:50051", description="Where the server listens for gRPC.")
    grpc_target: str = Field(
        "", description="The gRPC server that the facade connects to; default HOWLER_GRPC_ADDR."
    )
    model_fallback: bool = Field(
        False,
        description="Serve a model name that is unknown by the default model instead of a 404.",
    )
    forward_instructions: ForwardInstructions = Field(
        ForwardInstructions.AUTO,
        description="Whether system and developer text becomes the agent's system prompt: `always`, "
        "`never`, or `auto` (dropped when the request declares client tools and they are ignored).",
    )
    client_tools: ClientToolsMode = Field(
        ClientToolsMode.IGNORE,
        description="What becomes of the tools that a request declares: `ignore` (the agent has its own), or "
        "`emulate` (the agent calls the client's and is told to leave its own alone). A request chooses by "
        "the header `x-gateway-client-tools`.",
    )
    tool_display: ToolDisplay = Field(
        ToolDisplay.AUTO,
        description="Where the tools that the agent ran are shown. `auto`: as finished `mcp_call` items of a "
        "response, as lines of a chat's reasoning. `reasoning`: as reasoning on both. `text`: as `> [tool]` "
        "lines in the text. `none`: nowhere, nor thoughts; the answer only. `function_call`: as "
        "`function_call` items with their outputs, on responses; agent loops run those again. A request "
        "may say otherwise by the header `x-gateway-tool-display`.",
    )
    thinking: Thinking = Field(
        Thinking.REASONING,
        description="What becomes of the agent's thoughts: `reasoning`, `prefix` (in the text, after "
        "`[Thinking] `) or `off`. A request may say otherwise by the header `x-gateway-thinking`.",
    )
    reasoning_field: ReasoningField = Field(
        ReasoningField.REASONING_CONTENT,
        description="Where a chat tells reasoning: `reasoning_content`, `both` (that and `reasoning`), or "
        "`think_tags` (`<think>` in `content`).",
    )
    unsupported_params: UnsupportedParams = Field(
        UnsupportedParams.IGNORE,
        description="What becomes of fields that have no effect, such as `temperature`: `ignore` (the answer "
        "names them in `x-gateway-ignored-params`) or `error` (a 400 names the first).",
    )
    keep_alive: KeepAlive = Field(
        KeepAlive.EVENT,
        description="What fills the silences of a stream: `event` (a valid event that says nothing), "
        "`comment` (which resets no timer of Codex) or `off`.",
    )
    keep_alive_seconds: float = Field(
        15.0, gt=0, le=3600, description="The silence after which a stream is kept alive."
    )
    nonstream_padding: NonstreamPadding = Field(
        NonstreamPadding.RESPONSES,
        description="Which answers that are not streamed begin after 30 s with blanks, one every 15 s, so "
        "that no proxy gives up on them: `responses`, `all` or `off`. Their status is 200 then, whatever "
        "comes; a failure stands in the body, in a response as `status: failed`, in a chat as an `error`.",
    )
    questions: Questions = Field(
        Questions.AUTO,
        description="What becomes of the agent's questions: `auto` answers each with its first option, "
        "`decline` tells the agent to go on without an answer. Over gRPC a caller may answer them itself.",
    )
    responses_websocket: bool = Field(
        True,
        description="Whether `/v1/responses` may be spoken to over a WebSocket, as Codex and the SDKs' "
        "`responses.connect()` do. `off` answers 426, at which Codex falls back to HTTP.",
    )
    cors_origins: Origins = Field(
        "",
        description="The origins whose pages may use the API from a browser, as `https://chat.example`, "
        "separated by commas; `*` allows any. None by default.",
    )
    keep_chats: bool = Field(
        True,
        description="Whether the agent of a chat or response stays for the next one: a client that sends all "
        "that was said is recognised, and only what is new goes to the agent. `off` stops its task at once; "
        "the next one is told everything.",
    )
    max_body_bytes: int = Field(
        10 * 1024 * 1024, gt=0, description="The largest HTTP request body taken, in bytes; larger is a 413."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="What is logged, to stderr."
    )

    @classmethod
    def load(cls, **given: Any) -> Self:
        """Read the settings; raises SettingsError where one is wrong or unknown."""
        if unknown := unknown_names(frozenset((*os.environ, *dotenv_values(".env")))):
            raise SettingsError(f"unknown setting {', '.join(unknown)}; docs/configuration.md lists them all")
        try:
            return cls(**given)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            name = "_".join(str(step) for step in first["loc"]).upper()
            reason = first["msg"].removeprefix("Value error, ")
            raise SettingsError(f"{PREFIX}{name}: {reason}") from None

    def target(self) -> str:
        """Return where the gRPC server is."""
        return self.grpc_target or self.grpc_addr

    def presentation(self) -> Presentation:
        """Return how answers are told to whom does not say."""
        return Presentation(self.tool_display, self.thinking, self.reasoning_field)

    def pace(self) -> Pace:
        """Return when streams speak unasked."""
        return Pace(keep_alive_after=self.keep_alive_seconds, keep_alive=self.keep_alive)

    def chat_padding(self) -> Padding | None:
        """Return how whole chats are padded."""
        return Padding() if self.nonstream_padding is NonstreamPadding.ALL else None

    def response_padding(self) -> Padding | None:
        """Return how whole responses are padded."""
        return None if self.nonstream_padding is NonstreamPadding.OFF else Padding()

    def origins(self) -> tuple[str, ...]:
        """Return whose pages may use the API."""
        return tuple(_split(self.cors_origins))

    def level(self) -> int:
        """Return the level of logging."""
        return logging.getLevelNamesMapping()[self.log_level.upper()]


def unknown_names(names: frozenset[str]) -> list[str]:
    """Return those of the given HOWLER_* names that no part of Howler knows, sorted."""
    own = {PREFIX + field.upper() for field in Settings.model_fields}
    return sorted(
        name
        for name in {name.upper() for name in names} - own - ELSEWHERE
        if name.startswith(PREFIX) and not name.startswith(("HOWLER_SANDBOX_", "HOWLER_TEST_"))
    )
