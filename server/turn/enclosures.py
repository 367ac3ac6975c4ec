"""Gives a turn's files to the platform, and a text that no frame holds as one (upstream-protocol §5.9, §6.4).

An upload is of use to the account alone that made it, so it is made under the turn's lease.
"""

import mimetypes
import time
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Final, NamedTuple

from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.task.v1.start_turn_pb2 import Attachment

from server.acp.uplink import Dialect, Enclosed, FrameTooLarge, prompt_frame
from server.errors import ServiceError
from server.ids import new_id
from server.pool.account import AccountId, Session
from server.turn.dialect import Spoken
from server.upstream.platform import Platform

_E = ErrorReason
MOST_FILES: Final = 10
"""What the platform takes with one prompt (§5.9)."""


class Sent(NamedTuple):
    """A prompt as it is sent: its text and the frame that holds it."""

    text: str
    frame: str


class Enclosures:
    """The files of one turn."""

    def __init__(self, files: Sequence[Attachment], platform: Platform, spoken: Spoken) -> None:
        self._files = files
        self._platform = platform
        self._spoken = spoken
        self._uploaded: dict[AccountId, tuple[Enclosed, ...]] = {}

    def drop(self) -> None:
        """Forget what the files hold: the platform has accepted the turn."""
        self._files = ()

    async def uploaded(self, session: Session) -> tuple[Enclosed, ...]:
        """Return the files as the account's prompts refer to them; for each account they are uploaded once.

        Raises UNSUPPORTED_VALUE where the platform has no storage or its dialect no attachments.
        """
        if not self._files:
            return ()
        if session.account_id not in self._uploaded:
            if self._spoken.dialect is not Dialect.NATIVE:
                raise ServiceError(
                    _E.ERROR_REASON_UNSUPPORTED_VALUE,
                    f"attachments: the backend's dialect {self._spoken.dialect.value} has none",
                )
            named = zip(names_of(self._files), self._files, strict=True)
            enclosed = [await self._enclosed(session, name, file.data) for name, file in named]
            self._uploaded[session.account_id] = tuple(enclosed)
        return self._uploaded[session.account_id]

    async def prompt(self, text: str, session: Session) -> Sent:
        """Return how a prompt goes to a task that exists, with its files uploaded.

        Raises PROMPT_TOO_LARGE for a text that neither a frame nor a file can take; else as `uploaded`.
        """
        enclosed = await self.uploaded(session)
        try:
            return Sent(text, prompt_frame(text, self._spoken.dialect, enclosed))
        except FrameTooLarge as error:
            too_large = error
        if self._spoken.dialect is not Dialect.NATIVE or len(enclosed) == MOST_FILES:
            raise _refused(too_large, "and cannot go as one more file")
        name = time.strftime("long-input-%Y%m%d-%H%M%S.txt", time.gmtime())
        try:
            told = await self._enclosed(session, name, text.encode())
        except ServiceError as error:
            if error.reason != _E.ERROR_REASON_UNSUPPORTED_VALUE:
                raise
            raise _refused(too_large, "and the platform has no storage for it as a file") from None
        short = instead_of(text, name)
        try:
            return Sent(short, prompt_frame(short, self._spoken.dialect, (*enclosed, told)))
        except FrameTooLarge as error:
            raise _refused(error, "for the addresses of its files") from None

    async def _enclosed(self, session: Session, name: str, data: bytes) -> Enclosed:
        # The platform keys an upload by its user and its name: the same one would overwrite another turn's.
        url = await self._platform.upload(session, f"{new_id('file')}-{name}", data)
        return Enclosed(url, name)


def names_of(files: Sequence[Attachment]) -> list[str]:
    """Return a name for each file that no other has; one without an ending gets that of its type."""
    names: list[str] = []
    for file in files:
        path = PurePosixPath(file.filename)
        stem, ending = path.stem, path.suffix or mimetypes.guess_extension(file.mime_type) or ""
        name, number = stem + ending, 1
        while name in names:
            number += 1
            name = f"{stem}-{number}{ending}"
        names.append(name)
    return names


def instead_of(text: str, name: str) -> str:
    """Return the prompt that stands for a long text, which is in the attached file `name`."""
    return (
        f"My message is too long to be sent as one, so all of it is in the attached file {name} "
        f"({len(text)} characters). Read that file to its end and answer it as if it stood here."
    )


def _refused(error: FrameTooLarge, why: str) -> ServiceError:
    return ServiceError(
        _E.ERROR_REASON_PROMPT_TOO_LARGE,
        f"the prompt makes {error}, {why}; a new task takes prompts of any length",
    )
