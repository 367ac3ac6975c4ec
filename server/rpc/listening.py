"""Binds the gRPC server to its address, and says in words where it cannot."""

import errno
import ipaddress
import socket
from contextlib import suppress
from typing import Any


async def listen(server: Any, host: str, port: int) -> int:
    """Bind and start the server and return its port; 0 takes a free one. Raises OSError."""
    _check_free(host, port)
    shown = f"[{host}]" if ":" in host else host
    try:
        bound = int(server.add_insecure_port(f"{shown}:{port}"))
    except RuntimeError:
        bound = 0
    if not bound:
        raise OSError(errno.EADDRNOTAVAIL, "gRPC cannot bind it")
    await server.start()
    return bound


def reachable_at(host: str, port: int) -> str:
    """Return where others reach a server that listens there; empty for a wildcard, which does not say."""
    with suppress(ValueError):  # a name
        if ipaddress.ip_address(host).is_unspecified:
            return ""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _check_free(host: str, port: int) -> None:
    """Bind the address once beforehand: it fails in words, where gRPC logs lines of its own."""
    family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    socket.create_server((host, port), family=family).close()
