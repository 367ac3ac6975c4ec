"""The facade's settings, from the environment and `.env`. Imported by __main__ only.

The processes share one `.env`: keys of the others are passed over here.
"""

import logging
import re
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from facade.openai.start import ForwardInstructions

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


Address = Annotated[str, AfterValidator(_address)]


class Settings(BaseSettings):
    """What an operator decides about the facade."""

    model_config = SettingsConfigDict(
        env_prefix="HOWLER_",
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
        "`never`, or `auto` (dropped when the request declares client tools, which it describes).",
    )
    max_body_bytes: int = Field(
        10 * 1024 * 1024, gt=0, description="The largest HTTP request body taken, in bytes; larger is a 413."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="What is logged, to stderr."
    )

    @classmethod
    def load(cls, **given: Any) -> Self:
        """Read the settings; raises SettingsError."""
        try:
            return cls(**given)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            name = "_".join(str(step) for step in first["loc"]).upper()
            reason = first["msg"].removeprefix("Value error, ")
            raise SettingsError(f"HOWLER_{name}: {reason}") from None

    def target(self) -> str:
        """Return where the gRPC server is."""
        return self.grpc_target or self.grpc_addr

    def level(self) -> int:
        """Return the level of logging."""
        return logging.getLevelNamesMapping()[self.log_level.upper()]
