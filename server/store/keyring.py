"""The keys that a process has, and where they come from: HOWLER_SECRETS_KEY or a file.

The database says which key seals (its check value is sealed with it), so that all replicas seal with the same
one while `secrets rotate` passes from one to the next; every key of the ring opens.
"""

import fcntl
import os
import secrets
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Protocol

from server.store.errors import SealError
from server.store.seal import Key, key_id_of

_PLACE: Final = "database.check"
_CHECK: Final = "howler"


class KeySource(Protocol):
    """Where keys come from. `where` names the setting for people."""

    @property
    def where(self) -> str:
        """The setting, and the file where there is one."""

    def read(self) -> list[Key]:
        """Return the keys, the newest first; empty where there is no file yet. Raises SealError."""

    def found(self) -> list[Key]:
        """Return the keys as `read` does; a file that is not there is made, with a new key."""


class GivenKeys:
    """The keys of HOWLER_SECRETS_KEY, which only an operator can change."""

    where: Final = "HOWLER_SECRETS_KEY"

    def __init__(self, setting: str) -> None:
        """`setting` holds keys in base64 or hex with commas between. Raises SealError."""
        try:
            self._keys = [Key.parse(part.strip()) for part in setting.split(",")]
        except ValueError as error:
            raise SealError(f"{self.where}: {error}; `openssl rand -base64 32` makes one") from None

    def read(self) -> list[Key]:
        """See KeySource."""
        return self._keys

    def found(self) -> list[Key]:
        """See KeySource."""
        return self._keys


class KeyFile:
    """A private file with a key on each line, the newest first. Lines that begin with # are for people."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._draft_prefix = f".{path.name}.draft-"

    @property
    def where(self) -> str:
        """See KeySource."""
        return f"HOWLER_SECRETS_KEY_FILE ({self._path})"

    def read(self) -> list[Key]:
        """See KeySource. Raises SealError for a file that is not private or holds no key."""
        try:
            with self._path.open(encoding="ascii") as file:
                mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
                lines = [line.strip() for line in file]
        except FileNotFoundError:
            return []
        except (OSError, UnicodeError) as error:
            raise SealError(f"{self.where} cannot be read: {getattr(error, 'strerror', 'no text')}") from None
        if mode & 0o077:
            raise SealError(f"{self.where} can be read by others (mode {mode:04o}): chmod 600 {self._path}")
        try:
            keys = [Key.parse(line) for line in lines if line and not line.startswith("#")]
        except ValueError as error:
            raise SealError(f"{self.where}: {error}") from None
        if not keys:
            raise SealError(
                f"{self.where} holds no key: bring it back, or remove it if nothing is sealed yet"
            )
        return keys

    def found(self) -> list[Key]:
        """See KeySource. Of two processes that make the file at once, both get the key of one."""
        if not (keys := self.read()):
            with self._draft([Key.new()]) as draft:
                try:
                    os.link(draft, self._path)  # unlike a rename, refuses where the other was first
                except FileExistsError:
                    pass
                except OSError as error:
                    raise self._unwritable(error) from None
            keys = self.read()
        return keys

    def replace(self, keys: Sequence[Key]) -> None:
        """Put these keys into the file, all or nothing. Raises SealError."""
        with self._draft(keys) as draft:
            try:
                draft.replace(self._path)
                _sync(self._path.parent)
            except OSError as error:
                raise self._unwritable(error) from None

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep others from changing the file meanwhile. Raises SealError where another does."""
        folder = self._path.parent
        try:
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise self._unwritable(error) from None
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise SealError(f"{self.where}: another `secrets rotate` is at work in {folder}") from None
            for left in folder.glob(f"{self._draft_prefix}*"):  # by one that was killed
                left.unlink(missing_ok=True)
            yield
        finally:
            os.close(lock)

    @contextmanager
    def _draft(self, keys: Sequence[Key]) -> Iterator[Path]:
        """Write keys, private and durable, to a file beside the real one; it is gone afterwards."""
        draft = self._path.with_name(f"{self._draft_prefix}{secrets.token_hex(8)}")
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with os.fdopen(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
                file.write("# Howler's keys, the newest first. Without them the accounts cannot be read.\n")
                file.writelines(f"{key.spelled}\n" for key in keys)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise self._unwritable(error) from None
        try:
            yield draft
        finally:
            draft.unlink(missing_ok=True)

    def _unwritable(self, error: OSError) -> SealError:
        return SealError(f"{self.where} cannot be written: {error.strerror}")


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class KeyRing:
    """The keys that this process knows. Safe to use from several threads.

    A key that it does not know is looked for at the source anew: `secrets rotate` may have added it since.
    """

    def __init__(self, source: KeySource) -> None:
        self.source: Final = source
        self._keys: dict[str, Key] = {}

    def admit(self, check: str | None) -> str:
        """Return what a database must record as its check value, and prove that we can open it.

        None is a new database's; then the newest key seals, made where there is none.
        Raises SealError, whose message is a line for operators.
        """
        if check is None:
            return self.check_of(self.source.found()[0])
        self.sealing(check).open(_PLACE, "", check)
        return check

    def check_of(self, key: Key) -> str:
        """Return the check value of a database whose secrets this key seals."""
        self._keys[key.id] = key
        return key.seal(_PLACE, "", _CHECK)

    def sealing(self, check: str) -> Key:
        """Return the key that seals in the database of this check value. Raises SealError."""
        return self._key(key_id_of(check))

    def open(self, place: str, row_id: str, sealed: str) -> str:
        """Return a sealed text; an empty one was never sealed. Raises SealError."""
        return self._key(key_id_of(sealed)).open(place, row_id, sealed) if sealed else ""

    def _key(self, key_id: str) -> Key:
        if key_id not in self._keys:
            self._keys.update({key.id: key for key in self.source.read()})
        try:
            return self._keys[key_id]
        except KeyError:
            held = ", ".join(self._keys) or "none"
            raise SealError(
                f"{self.source.where} does not hold the key that the database is sealed with "
                f"({key_id}; held: {held}); every replica needs the one that sealed it"
            ) from None
