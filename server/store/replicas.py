"""The processes that share a SQLite database: who of them lives, and how one wakes the others.

Each has two files in `<database>.replicas/`: one that it keeps locked while it lives, so that a lock that can
be had proves a death, and a datagram socket that the others tell what they changed.
"""

import asyncio
import fcntl
import os
import secrets
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Final

from server.pool.account import AccountId
from server.store.errors import StoreError

Told = Callable[[frozenset[AccountId] | None], None]

_LOCK, _SOCKET = ".lock", ".socket"
_ANY: Final = b"*"  # anything may have changed
_MESSAGE_BYTES: Final = 32_768
_TICK_NS: Final = 100_000_000  # far more than any file system's
_AGAIN_AFTER: Final = 0.05  # seconds before a process whose queue was full is told again


class Replicas:
    """This process among those that share the database. Open in the loop that is to be told.

    `told` is called with the accounts that another process changed, `died` when one was found dead.
    """

    def __init__(self, database: Path, told: Told, died: Callable[[], None]) -> None:
        self.name: Final = f"{os.getpid()}-{secrets.token_hex(4)}"
        self._folder = database.with_name(f"{database.name}.replicas")
        self._told = told
        self._died = died
        self._owed: dict[str, set[AccountId] | None] = {}
        self._again: asyncio.TimerHandle | None = None
        self._handle = -1
        self._known: Sequence[str] = ()
        self._read_at = 0
        self._lock: IO[bytes] | None = None
        self._socket: socket.socket | None = None

    def open(self) -> None:
        """Take a lock and a socket. Raises StoreError."""
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            self._handle = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
            self._lock = self._locked()
            own = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
            self._socket = own
            own.bind(self._address(self.name + _SOCKET))
        except OSError as error:
            self.close()
            raise StoreError(f"{self._folder} cannot be used: {error.strerror or error}") from error
        asyncio.get_running_loop().add_reader(own, self._receive)

    def _locked(self) -> IO[bytes]:
        """Make the file under another name first: nobody may see it before it is locked."""
        draft = self._folder / f".{self.name}"
        lock = os.fdopen(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600), "r+b")
        fcntl.flock(lock, fcntl.LOCK_EX)
        draft.rename(self._folder / (self.name + _LOCK))
        return lock

    def _address(self, name: str) -> str:
        """Name a socket in the folder, however long the folder's path is (sun_path holds 107 bytes)."""
        return f"/proc/self/fd/{self._handle}/{name}"

    def close(self) -> None:
        """Leave: what this process still holds is anybody's to reclaim."""
        if self._again is not None:
            self._again.cancel()
        if self._socket is not None:
            with suppress(RuntimeError, ValueError):
                asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
        if self._lock is not None:
            self._remove(self.name)
            self._lock.close()
        if self._handle >= 0:
            os.close(self._handle)
        self._socket, self._lock, self._handle = None, None, -1

    def is_dead(self, name: str) -> bool:
        """Tell whether the process of this name has ended, and clear away what it left."""
        try:
            handle = os.open(self._folder / (name + _LOCK), os.O_RDWR)
        except FileNotFoundError:
            return True
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._remove(name)
        except OSError:
            return False
        finally:
            os.close(handle)
        return True

    def _remove(self, name: str) -> None:
        for ending in (_SOCKET, _LOCK):
            (self._folder / (name + ending)).unlink(missing_ok=True)

    def tell(self, accounts: frozenset[AccountId]) -> None:
        """Tell every other process that these accounts changed."""
        if self._socket is None:
            return
        for name in self._others():
            owed = self._owed.setdefault(name, set())
            if owed is not None:
                owed |= accounts
        if self._owed:
            self._pay()

    def _others(self) -> Sequence[str]:
        """Return the names of the other processes. The folder is read where it may have changed.

        Two changes within a tick of the file system's clock have one time: a fresh one is looked at again.
        """
        changed = os.fstat(self._handle).st_mtime_ns
        if changed != self._read_at:
            found = os.listdir(self._handle)  # noqa: PTH208 -- by the handle, at a third of the cost
            names = (entry.removesuffix(_SOCKET) for entry in found if entry.endswith(_SOCKET))
            self._known = [name for name in names if name != self.name]
            self._read_at = changed if time.time_ns() - changed > _TICK_NS else 0
        return self._known

    def _pay(self) -> None:
        """Send what is owed; a process that does not read at the moment is told later."""
        self._again = None
        for name, accounts in list(self._owed.items()):
            message = _ANY if accounts is None else "\n".join(sorted(accounts)).encode()
            if len(message) > _MESSAGE_BYTES:
                message = _ANY
            assert self._socket is not None
            try:
                self._socket.sendto(message, self._address(name + _SOCKET))
            except BlockingIOError:
                continue  # it is slow or stopped
            except (FileNotFoundError, ConnectionRefusedError):
                if self.is_dead(name):
                    self._died()
            except OSError:
                self._owed[name] = None  # too much at once
                continue
            del self._owed[name]
        if self._owed:
            self._again = asyncio.get_running_loop().call_later(_AGAIN_AFTER, self._pay)

    def _receive(self) -> None:
        accounts: set[AccountId] = set()
        anything = False
        assert self._socket is not None
        with suppress(BlockingIOError):
            while True:
                message = self._socket.recv(2 * _MESSAGE_BYTES)
                if message == _ANY:
                    anything = True
                else:
                    accounts.update(AccountId(name) for name in message.decode(errors="replace").split("\n"))
        if anything or accounts:
            self._told(None if anything else frozenset(accounts))
