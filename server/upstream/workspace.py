"""A workspace's files, from the platform's words to ours (upstream-protocol §8, repo_*).

Fields that are zero are mostly left out there.
"""

import base64
import binascii
from typing import Any, Final

from howler.task.v1.workspace_pb2 import FileChange, FileEntry, FileKind, ReadFileResponse

from server.upstream.shapes import number, small, text, wrong_shape

_KINDS: Final = (  # by `entry_mode`
    FileKind.FILE_KIND_UNSPECIFIED,
    FileKind.FILE_KIND_FILE,
    FileKind.FILE_KIND_EXECUTABLE,
    FileKind.FILE_KIND_SYMLINK,
    FileKind.FILE_KIND_FOLDER,
    FileKind.FILE_KIND_SUBMODULE,
)
_LAST_SECOND: Final = 253402300799  # of the year 9999, the last that a Timestamp may hold


def read_entry(row: dict[str, Any]) -> FileEntry:
    """Read an entry of a folder."""
    mode = number(row, "entry_mode")
    entry = FileEntry(
        name=text(row, "name"),
        path=text(row, "path"),
        kind=_KINDS[mode] if mode < len(_KINDS) else FileKind.FILE_KIND_UNSPECIFIED,
        size_bytes=number(row, "size"),
        symlink_target=text(row, "symlink_target"),
    )
    modified = number(row, "modified_at")
    if 0 < modified <= _LAST_SECOND:
        entry.modify_time.seconds = modified
    return entry


def read_piece(answer: dict[str, Any], offset: int, length: int) -> ReadFileResponse:
    """Read the piece of a file that was asked for, whatever was sent. Raises UPSTREAM_PROTOCOL."""
    try:
        sent = base64.b64decode(text(answer, "content"), validate=True)
    except binascii.Error:
        raise wrong_shape("base64 of a file") from None
    content = sent[:length]
    total = max(number(answer, "total_size"), offset + len(sent) if sent else 0)
    truncated = offset + len(content) < total or answer.get("is_truncated") is True
    return ReadFileResponse(content=content, offset=offset, total_size_bytes=total, truncated=truncated)


def read_change(row: dict[str, Any]) -> FileChange:
    """Read a changed file, its diff left empty."""
    return FileChange(
        path=text(row, "path"),
        status=text(row, "status"),
        additions=small(row, "additions"),
        deletions=small(row, "deletions"),
        old_path=text(row, "old_path"),
    )
