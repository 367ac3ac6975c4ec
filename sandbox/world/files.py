"""PURE: the file tree of a machine, a small repository (protocol §8, repo_*)."""

import difflib
import hashlib
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Final

FILE, TREE = 1, 4  # entry_mode
_MODIFIED_AT: Final = 1_780_000_000  # unix s of the initial files
_INITIAL: Final = {
    ".gitignore": b"dist/\n",
    "README.md": b"# Demo\n\nA small repository.\n",
    "docs/guide.md": b"# Guide\n\nStart with `src/main.py`.\n",
    "src/main.py": b'print("hello")\n',
    "src/lib/text.py": b'GREETING = "hello"\n',
}


class NoSuchPathError(LookupError):
    """There is no such file or folder."""


@dataclass(slots=True)
class Repository:
    """The files by path, and those of the last commit."""

    committed: dict[str, bytes] = field(default_factory=lambda: dict(_INITIAL))
    files: dict[str, bytes] = field(default_factory=lambda: dict(_INITIAL))
    modified_at: dict[str, int] = field(default_factory=dict)

    @property
    def commit_hash(self) -> str:
        """The hash of the last commit."""
        digest = hashlib.sha256(b"\0".join(path.encode() + data for path, data in self.committed.items()))
        return digest.hexdigest()[:40]

    def write(self, path: str, content: bytes, at: int) -> None:
        """Write a file at unix second `at`."""
        self.files[path] = content
        self.modified_at[path] = at

    def entries(self, path: str, pattern: str, hidden: str) -> list[dict[str, object]]:
        """List a folder; `hidden` is "shown" or "left out". NoSuchPathError if it is none."""
        prefix = f"{path.strip('/')}/" if path.strip("/") else ""
        found: dict[str, dict[str, object]] = {}
        for file, data in sorted(self.files.items()):
            if not file.startswith(prefix):
                continue
            name, _, below = file[len(prefix) :].partition("/")
            found.setdefault(name, self._entry(prefix + name, TREE if below else FILE, data))
        if not found:
            raise NoSuchPathError(path)
        return [
            entry
            for name, entry in found.items()
            if fnmatchcase(name, pattern or "*") and (hidden == "shown" or not name.startswith("."))
        ]

    def read(self, path: str) -> bytes:
        """Return a file's content; NoSuchPathError."""
        try:
            return self.files[path.strip("/")]
        except KeyError:
            raise NoSuchPathError(path) from None

    def changes(self) -> list[dict[str, object]]:
        """Return what differs from the last commit."""
        changed: list[dict[str, object]] = []
        for path in sorted(self.committed.keys() | self.files.keys()):
            before, after = self.committed.get(path), self.files.get(path)
            if before != after:
                status = "??" if before is None else "D" if after is None else "M"
                lines = self.diff(path, 0).splitlines()[2:]  # without the two lines that name the file
                changed.append(
                    {
                        "path": path,
                        "status": status,
                        "additions": sum(line.startswith("+") for line in lines),
                        "deletions": sum(line.startswith("-") for line in lines),
                    }
                )
        return changed

    def diff(self, path: str, context: int) -> str:
        """Return the unified diff of a file against the last commit; NoSuchPathError."""
        if path not in self.committed and path not in self.files:
            raise NoSuchPathError(path)
        before = self.committed.get(path, b"").decode("utf-8", "replace").splitlines(keepends=True)
        after = self.files.get(path, b"").decode("utf-8", "replace").splitlines(keepends=True)
        return "".join(difflib.unified_diff(before, after, f"a/{path}", f"b/{path}", n=context))

    def _entry(self, path: str, mode: int, data: bytes) -> dict[str, object]:
        return {
            "name": path.rpartition("/")[2],
            "path": path,
            "entry_mode": mode,
            "size": len(data) if mode == FILE else 0,
            "modified_at": self.modified_at.get(path, _MODIFIED_AT),
        }
