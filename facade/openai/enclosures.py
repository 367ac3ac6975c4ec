"""Images and files that a client puts into its messages (openai-surface.md §5.4, §6.7, §9).

Those of the newest input, which is what stands behind the assistant's last words, go to the agent with the
turn. For every one a line stands in its message, the same in each later request: a history is known again by
its text, so the name in the line tells the content apart. An address on the network is handed on in such a
line: the agent can fetch it from its own machine, and Howler never does (docs/decisions/0009).
"""

import base64
import binascii
import hashlib
import mimetypes
import re
from pathlib import PurePosixPath
from typing import Final, NamedTuple
from urllib.parse import unquote_to_bytes

from howler.task.v1.start_turn_pb2 import Attachment

from facade.errors import ApiError, invalid, unsupported
from facade.openai.wire import FileRef, Part, checked_text

MOST_FILES: Final = 10
MOST_FILE_BYTES: Final = 10 << 20
MOST_BYTES: Final = 15 << 20
"""What StartTurn.attachments takes: files, bytes of one, bytes of all."""

_IMAGES: Final = frozenset({"image_url", "input_image"})
_FILES: Final = frozenset({"file", "input_file"})
_DATA_URL: Final = re.compile(
    r"data:(?P<type>[^;,]{0,100})(?P<options>(?:;[^;,]{0,100}){0,9}),(?P<data>.*)", re.DOTALL
)
_UNSAFE: Final = re.compile(r"[/\\\x00-\x1f\x7f]")
_STEM_CHARS, _ENDING_CHARS = 40, 12  # four bytes each at most, so that a name stays below 255


class _Enclosed(NamedTuple):
    """A file, not decoded yet. `param` names the field that holds it."""

    mime_type: str
    data: str
    is_base64: bool
    param: str


class Enclosures:
    """The files of a request, oldest first."""

    def __init__(self) -> None:
        self._newest: dict[str, _Enclosed] = {}

    def takes(self, part: Part) -> bool:
        """Say whether a part of a message is an image or a file."""
        return part.type in _IMAGES or part.type in _FILES

    def line(self, part: Part, param: str) -> str:
        """Keep what a part holds and return the line that stands for it.

        Raises the 400 for what holds nothing that could be attached.
        """
        if part.type in _IMAGES:
            reference = part.image_url
            url = reference if isinstance(reference, str) else reference.url if reference else None
            return self._line(FileRef(file_data=url, file_id=part.file_id), "image", f"{param}.image_url")
        if part.type == "file":
            return self._line(part.file or FileRef(), "file", f"{param}.file")
        given = FileRef(part.file_data, part.filename, part.file_id, part.file_url)
        return self._line(given, "file", param)

    def _line(self, given: FileRef, kind: str, param: str) -> str:
        if given.file_id is not None and given.file_data is None:
            raise unsupported("There are no stored files: give the data itself.", f"{param}.file_id")
        url = given.file_data or given.file_url or ""
        if url[:8].lower().startswith(("http://", "https://")):
            return f"({kind}: {checked_text(url, param)})"
        if not given.file_data:
            raise invalid(f"The {kind} has neither data nor an http(s) address.", param)
        enclosed = _read(given.file_data, kind, param)
        if not enclosed.data:
            raise invalid(f"The {kind} is empty.", param)
        name = _name(given.filename or kind, enclosed)
        self._newest[name] = enclosed
        return f"(attached: {name})"

    def forget(self) -> None:
        """Take what was kept so far as old: the assistant has had its say since."""
        self._newest.clear()

    def attachments(self) -> list[Attachment]:
        """Return the files of the newest input; raises the 400 for those that are too many or too large."""
        room = MOST_BYTES
        files: list[Attachment] = []
        for name, enclosed in self._newest.items():
            if len(files) == MOST_FILES:
                raise invalid(f"At most {MOST_FILES} images and files go with one input.", enclosed.param)
            data = _decoded(enclosed)
            room -= len(data)
            if len(data) > MOST_FILE_BYTES or room < 0:
                raise _too_large(enclosed.param)
            files.append(Attachment(filename=name, mime_type=enclosed.mime_type, data=data))
        return files


def _read(data: str, kind: str, param: str) -> _Enclosed:
    """Read a `data:` URL (RFC 2397); a file's data may also be the bare base64."""
    url = _DATA_URL.fullmatch(data) if data[:5].lower() == "data:" else None
    if url is not None:
        return _Enclosed(
            url["type"].strip().lower(), url["data"], url["options"].lower().endswith(";base64"), param
        )
    if kind == "image" or data[:5].lower() == "data:":
        raise invalid("Not a data: URL and not an http(s) address.", param)
    return _Enclosed("", data, True, param)


def _name(given: str, enclosed: _Enclosed) -> str:
    """Return a name that tells the content apart: `shot-3f2a9c1b.png`."""
    path = PurePosixPath(_UNSAFE.sub("_", given.replace("\\", "/").rpartition("/")[2]) or "file")
    ending = path.suffix or mimetypes.guess_extension(enclosed.mime_type) or ""
    digest = hashlib.sha256(enclosed.data.encode(errors="replace")).hexdigest()[:8]
    return f"{path.stem.strip()[:_STEM_CHARS] or 'file'}-{digest}{ending[:_ENDING_CHARS]}"


def _decoded(enclosed: _Enclosed) -> bytes:
    if not enclosed.is_base64:
        return unquote_to_bytes(enclosed.data)
    if len(enclosed.data) // 4 > MOST_FILE_BYTES // 3 + 1:
        raise _too_large(enclosed.param)  # not worth decoding
    try:
        return base64.b64decode(enclosed.data, validate=True)
    except (binascii.Error, ValueError):
        raise invalid("The data is not valid base64.", enclosed.param) from None


def _too_large(param: str) -> ApiError:
    limits = f"{MOST_FILE_BYTES >> 20} MiB at most, and all of one input {MOST_BYTES >> 20} MiB"
    return invalid(f"An image or file holds {limits}.", param)
