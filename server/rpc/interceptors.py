"""What every RPC has in common: errors become statuses, and one log line tells how it went.

The line holds the method, the caller's request id, the status and the time; no
field of a request or an answer ever stands in it.
"""

import asyncio
import logging
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, Final, TypeAlias

import grpc

from server.errors import ServiceError, incident, reason_name
from server.rpc.status import to_status

_log = logging.getLogger("howler.rpc")
_QUIET: Final = ("/grpc.health.v1.", "/grpc.reflection.")
_ID: Final = re.compile(r"[\x21-\x7e]{1,128}")
_Context = grpc.aio.ServicerContext[Any, Any]
_Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"  # generic in the stubs alone


class Edge(grpc.aio.ServerInterceptor):
    """The last word on every RPC."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], "Awaitable[_Handler | None]"],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> "_Handler | None":
        """Wrap the handler of one RPC."""
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None or method.startswith(_QUIET):
            return handler
        if handler.unary_unary is not None:
            return grpc.unary_unary_rpc_method_handler(
                _unary(handler.unary_unary, method),
                request_deserializer=handler.request_deserializer,
                response_serializer=handler.response_serializer,
            )
        if handler.unary_stream is not None:
            return grpc.unary_stream_rpc_method_handler(
                _stream(handler.unary_stream, method),
                request_deserializer=handler.request_deserializer,
                response_serializer=_spelled_by(handler.response_serializer),
            )
        if handler.stream_stream is not None:
            return grpc.stream_stream_rpc_method_handler(
                _stream(handler.stream_stream, method),
                request_deserializer=handler.request_deserializer,
                response_serializer=_spelled_by(handler.response_serializer),
            )
        raise AssertionError(f"no wrapper for the kind of {method}")


def _unary(call: Any, method: str) -> Any:
    async def wrapped(request: Any, context: _Context) -> Any:
        with _Account(method, context) as account:
            try:
                return await call(request, context)
            except Exception as error:
                await account.abort(error)
                raise AssertionError("abort raises") from error

    return wrapped


def _stream(call: Any, method: str) -> Any:
    async def wrapped(request: Any, context: _Context) -> AsyncIterator[Any]:
        with _Account(method, context) as account:
            try:
                async with aclosing(
                    call(request, context)
                ) as answers:  # leaving is told to the handler at once
                    async for answer in answers:
                        yield answer
            except Exception as error:
                await account.abort(error)

    return wrapped


def _spelled_by(serialize: Any) -> Callable[[Any], bytes]:
    """Return a serializer that leaves an answer as it is that is bytes already (server/turn/wire.py)."""

    def spelled(answer: Any) -> bytes:
        return answer if type(answer) is bytes else bytes(serialize(answer))

    return spelled


class _Account:
    """Keeps account of one RPC and writes its line."""

    def __init__(self, method: str, context: _Context) -> None:
        self._method = method
        self._context = context
        self._started = time.monotonic()
        self._outcome = "OK"
        given = dict(context.invocation_metadata() or ()).get("x-request-id", "")
        self._request_id = given if isinstance(given, str) and _ID.fullmatch(given) else "-"

    def __enter__(self) -> "_Account":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None and self._outcome == "OK":
            self._outcome = (
                "CALLER_LEFT" if kind in (asyncio.CancelledError, GeneratorExit) else kind.__name__
            )
        spent = (time.monotonic() - self._started) * 1000
        _log.info("%s %s in %.1f ms, request %s", self._method, self._outcome, spent, self._request_id)

    async def abort(self, error: Exception) -> None:
        """End the RPC with the status that the error means; always raises."""
        if isinstance(error, grpc.aio.AbortError):
            raise error
        if not isinstance(error, ServiceError):
            error = incident(error, self._method)
        self._outcome = reason_name(error.reason)
        await self._context.abort_with_status(to_status(error))
