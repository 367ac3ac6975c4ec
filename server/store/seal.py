"""Seals what the store keeps secret: AES-256-GCM under a key of 32 bytes.

A sealed text reads `v1.<key's id>.<base64 of nonce, ciphertext and tag>`. It opens only in the place that it
was sealed for, so that nobody who can write the database can hand one account's cookie to another.
"""

import base64
import binascii
import hashlib
import secrets
from dataclasses import dataclass, field
from typing import Final, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from server.store.errors import SealError

KEY_BYTES: Final = 32
_VERSION: Final = "v1"
_NONCE_BYTES: Final = 12
"""96 random bits: NIST SP 800-38D §8.3 allows 2^32 of them under one key; a key here seals thousands."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key. `id` tells it from others and gives nothing of it away."""

    id: str
    _secret: bytes = field(repr=False)
    _cipher: AESGCM = field(repr=False, compare=False)

    @classmethod
    def of(cls, secret: bytes) -> Self:
        """Return the key of these bytes. Raises ValueError where they are not 32."""
        if len(secret) != KEY_BYTES:
            raise ValueError(f"a key has {KEY_BYTES} bytes, not {len(secret)}")
        return cls(hashlib.sha256(b"howler key id" + secret).hexdigest()[:8], secret, AESGCM(secret))

    @classmethod
    def new(cls) -> Self:
        """Return a key that nobody has had."""
        return cls.of(secrets.token_bytes(KEY_BYTES))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the key that hex or base64 spells. Raises ValueError, which repeats nothing of it."""
        try:
            if len(text) == 2 * KEY_BYTES:
                return cls.of(bytes.fromhex(text))
            standard = text.replace("-", "+").replace("_", "/").rstrip("=")
            return cls.of(base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True))
        except (ValueError, binascii.Error):
            raise ValueError(f"a key is {KEY_BYTES} bytes in base64 or hex") from None

    @property
    def spelled(self) -> str:
        """The key in base64."""
        return base64.b64encode(self._secret).decode()

    def seal(self, place: str, row_id: str, text: str) -> str:
        """Seal a text for a place (`account.cookie`) in a row. An empty one stays empty: it is no secret."""
        if not text:
            return ""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = self._cipher.encrypt(nonce, text.encode(), _bound(place, row_id))
        return f"{_VERSION}.{self.id}.{base64.b64encode(nonce + sealed).decode()}"

    def open(self, place: str, row_id: str, sealed: str) -> str:
        """Return the text. Raises SealError for one of another key, place or row, or one tampered with."""
        try:
            raw = base64.b64decode(sealed.rpartition(".")[2], validate=True)
            nonce, rest = raw[:_NONCE_BYTES], raw[_NONCE_BYTES:]
            return self._cipher.decrypt(nonce, rest, _bound(place, row_id)).decode()
        except (InvalidTag, ValueError):
            raise SealError(
                f"{place} of {row_id or 'the database'} does not open with key {self.id}: "
                "it was tampered with, or moved there from elsewhere"
            ) from None


def key_id_of(sealed: str) -> str:
    """Return the id of the key that sealed a text. Raises SealError where it is not sealed."""
    match sealed.split("."):
        case [version, key_id, _] if version == _VERSION:
            return key_id
        case _:
            raise SealError("the database holds a secret that is not sealed as this Howler seals")


def _bound(place: str, row_id: str) -> bytes:
    return f"{place}\0{row_id}".encode()
