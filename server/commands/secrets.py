"""`secrets rotate`: seals every cookie and password with a new key, beside servers that go on.

At every moment the keys in the file open everything in the database, so that nothing is lost where the
command is cut short; started again it finishes what was begun.
"""

from collections.abc import AsyncGenerator
from typing import Protocol

from server.store.errors import SealError
from server.store.keyring import GivenKeys, KeyFile
from server.store.seal import Key


class Sealed(Protocol):
    """What is needed of a store."""

    async def sealing_key(self) -> str:
        """Return the id of the key that seals now."""

    async def reseal(self, key: Key) -> int:
        """Seal all secrets with this key, which seals from then on; return of how many accounts."""


async def rotate(store: Sealed, source: KeyFile | GivenKeys) -> AsyncGenerator[str, None]:
    """Do a step and tell it, until all is sealed with the new key. Raises SealError."""
    match source:
        case KeyFile():
            with source.alone():
                async for told in _by_file(store, source):
                    yield told
        case GivenKeys():
            yield await _by_setting(store, source)


async def _by_file(store: Sealed, file: KeyFile) -> AsyncGenerator[str, None]:
    keys = file.read()
    sealing = await store.sealing_key()
    new = (
        keys[0] if keys[0].id != sealing else Key.new()
    )  # a first key that does not seal is one begun before
    file.replace([new, *(key for key in keys if key != new)])
    yield f"1/3  key {new.id} is in {file.where}"
    count = await store.reseal(new)
    yield f"2/3  {count} account{'' if count == 1 else 's'} sealed with it"
    file.replace([new])
    yield f"3/3  key {sealing} is dropped"


async def _by_setting(store: Sealed, given: GivenKeys) -> str:
    first = given.read()[0]
    if first.id == await store.sealing_key():
        raise SealError(
            f"{given.where}: its first key ({first.id}) seals already: put a new one before it "
            "(`openssl rand -base64 32`), restart every server with both, then rotate"
        )
    count = await store.reseal(first)
    return (
        f"{count} account{'' if count == 1 else 's'} sealed with key {first.id}: "
        f"drop the other keys from {given.where} when every server was restarted with it"
    )
