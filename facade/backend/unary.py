"""Calls that have one answer."""

from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

import grpc

from facade.backend.status import told_by

Answer = TypeVar("Answer")

_TIMEOUT: Final = 30.0
"""Seconds. The server answers from its memory or its database, but its first list of models takes a call."""


async def ask(call: Callable[..., Awaitable[Answer]], request: Any, request_id: str = "") -> Answer:
    """Return the answer to a request that is on behalf of `request_id`; raises ApiError."""
    metadata = (("x-request-id", request_id),) if request_id else None
    try:
        return await call(request, timeout=_TIMEOUT, metadata=metadata)
    except grpc.aio.AioRpcError as error:
        raise told_by(error) from None
