"""The pool's tests run on the loop that the server runs on: its time is another than asyncio's own."""

import asyncio
from collections.abc import Callable, Mapping

import uvloop


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Name the loop of the server."""
    return {"uvloop": uvloop.new_event_loop}
