"""A task's control socket: calls to what runs in its VM, and their answers (upstream-protocol §8).

The platform serves the calls of a socket one after another and leaves some unanswered for ever, so each has a
time limit here. What it tells beside the answers is for nobody.
"""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, NamedTuple, Self

from howler.error.v1.error_reason_pb2 import ErrorReason

from server.acp.decode import Decoder, parse
from server.acp.uplink import FrameTooLarge, call_frame
from server.errors import ServiceError
from server.upstream.errors import Undecided
from server.upstream.reply import on_one_line
from server.upstream.shapes import text
from server.upstream.socket import Socket

_E = ErrorReason

_MEANINGS: Final = (
    # Nobody promised the words of an `error` (§8); these are what such failures are called everywhere.
    (("virtual machine", "offline", "disconnect", "not connected"), _E.ERROR_REASON_VM_FAILED),
    (("permission", "denied"), _E.ERROR_REASON_UPSTREAM_FORBIDDEN),
    (("not exist", "no such", "not found", "not a directory"), _E.ERROR_REASON_FILE_NOT_FOUND),
)
_OF_FILES: Final = "repo_"  # kinds that begin so are about files of the VM


class _Waiting(NamedTuple):
    """A call that waits for its answer."""

    kind: str
    answer: "asyncio.Future[dict[str, Any]]"


class Control:
    """One control socket, open. Any number of calls may be made over it, also at once."""

    def __init__(self, socket: Socket, timeout: float) -> None:
        """`timeout` is the seconds that a call may take; the platform itself gives one 30."""
        self._socket = socket
        self._timeout = timeout
        self._waiting: dict[str, _Waiting] = {}
        self._made = 0

    @classmethod
    @contextmanager
    def over(cls, socket: Socket, timeout: float) -> Iterator[Self]:
        """Read a socket for as long as the body runs."""
        control = cls(socket, timeout)
        reading = asyncio.create_task(control._read(), name="control socket")
        try:
            yield control
        finally:
            reading.cancel()

    async def call(self, kind: str, fields: Mapping[str, object]) -> dict[str, Any]:
        """Make a call and return its answer, which may leave out any field that is zero.

        Raises INVALID_REQUEST for fields that no frame can hold, UPSTREAM_LOST and LEASE_LOST; where
        the answer says that it failed FILE_NOT_FOUND, UPSTREAM_FORBIDDEN, VM_FAILED or UPSTREAM_ERROR;
        UPSTREAM_UNAVAILABLE where there is none. Those that are Undecided leave open what has happened.
        """
        self._made += 1
        request_id = f"r{self._made}"
        try:
            frame = call_frame(kind, {"request_id": request_id, **fields})
        except FrameTooLarge as error:
            raise ServiceError(_E.ERROR_REASON_INVALID_REQUEST, f"the call {kind} makes {error}") from None
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[request_id] = _Waiting(kind, answer)
        try:
            self._socket.send(frame)
            async with asyncio.timeout(self._timeout):
                return _checked(kind, await answer)
        except TimeoutError:
            raise Undecided(
                _E.ERROR_REASON_UPSTREAM_UNAVAILABLE,
                f"the platform did not answer the call {kind} in {self._timeout:g} s",
            ) from None
        finally:
            del self._waiting[request_id]

    async def _read(self) -> None:
        try:
            await self._socket.each(self._take)
        except ServiceError as error:  # further calls meet the loss when they write
            for waiting in self._waiting.values():
                _fail(waiting, Undecided(error.reason, error.message))

    def _take(self, message: bytes) -> bool:
        frame = parse(message)
        if isinstance(frame, dict) and text(frame, "type") == "call-response":
            self._answered(text(frame, "kind"), Decoder().payload(frame.get("data")))
        return False

    def _answered(self, kind: str, payload: Any) -> None:
        """Give an answer to who waits for it; one that names no call is the oldest's of its kind."""
        request_id = text(payload, "request_id") if isinstance(payload, dict) else ""
        if request_id:
            waiting = self._waiting.get(request_id)
        else:
            waiting = next((one for one in self._waiting.values() if one.kind == kind), None)
        if waiting is None or waiting.answer.done():
            return
        if isinstance(payload, dict):
            waiting.answer.set_result(payload)
        else:
            # `null`: the backend got no data from the VM's side (§8).
            error = Undecided(_E.ERROR_REASON_UPSTREAM_UNAVAILABLE, f"the answer to the call {kind} is empty")
            _fail(waiting, error)


def _fail(waiting: _Waiting, error: ServiceError) -> None:
    if not waiting.answer.done():
        waiting.answer.set_exception(error)


def _checked(kind: str, answer: dict[str, Any]) -> dict[str, Any]:
    """Return the answer of a call that succeeded; `success` may be left out of one, but not its `error`."""
    said = text(answer, "error", "message")
    if answer.get("success") is True or (answer.get("success") is None and not text(answer, "error")):
        return answer
    told = said.lower()
    reason = next((reason for words, reason in _MEANINGS if any(word in told for word in words)), None)
    if reason is None or (reason == _E.ERROR_REASON_FILE_NOT_FOUND and not kind.startswith(_OF_FILES)):
        reason = _E.ERROR_REASON_UPSTREAM_ERROR
    quoted = f": {on_one_line(said)}" if said else ""
    raise ServiceError(reason, f"the platform could not carry out the call {kind}{quoted}")
