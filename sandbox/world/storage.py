"""Object storage in memory (protocol §5.9)."""

import hashlib
from collections import OrderedDict
from pathlib import PurePosixPath
from typing import Final
from urllib.parse import parse_qs, quote, urlsplit

from sandbox.wire.prompt import Attachment
from sandbox.world.accounts import Account

_PREFIX: Final = "temp/"
_SHARED: Final = ("avatar/", "spec/", "repo/")
_MOST: Final = 10
_BYTES: Final = 256 * 1024 * 1024


class BadAttachmentError(ValueError):
    """An attachment breaks a rule of §5.9."""


class Storage:
    """Objects by key; the oldest go when they are too many bytes."""

    def __init__(self) -> None:
        self._objects: OrderedDict[str, bytes] = OrderedDict()

    def put(self, key: str, data: bytes) -> None:
        """Store an object over whatever had its key."""
        self._objects.pop(key, None)
        self._objects[key] = data
        while sum(map(len, self._objects.values())) > _BYTES:
            self._objects.popitem(last=False)

    def get(self, key: str) -> bytes | None:
        """Return an object."""
        return self._objects.get(key)

    def referred(self, attachment: Attachment) -> bytes | None:
        """Return what an attachment refers to, None where nothing was uploaded there."""
        return self.get(_key_of(attachment.url))


def object_key(account: Account, filename: str) -> str:
    """Return the key of an upload: the same name overwrites (§5.9)."""
    digest = hashlib.md5(filename.encode(), usedforsecurity=False).hexdigest()
    return f"{_PREFIX}{account.id}_{digest}{PurePosixPath(filename).suffix}"


def access_url(key: str) -> str:
    """Return the address that attachments name."""
    return f"/api/v1/assets?key={quote(key, safe='')}"


def _key_of(url: str) -> str:
    return (parse_qs(urlsplit(url).query).get("key") or [""])[0]


def check_attachments(attachments: tuple[Attachment, ...], account: Account) -> None:
    """Raise BadAttachmentError unless the platform takes these from this account."""
    if len(attachments) > _MOST:
        raise BadAttachmentError("too many attachments")
    for attachment in attachments:
        if not attachment.url.strip() or not attachment.filename.strip():
            raise BadAttachmentError("an attachment without url or filename")
        parts = urlsplit(attachment.url)
        key = _key_of(attachment.url)
        own = key.startswith(_PREFIX) and PurePosixPath(key).name.startswith(account.id)
        if parts.scheme or parts.path != "/api/v1/assets" or not (own or key.startswith(_SHARED)):
            # Other addresses must match a configured prefix; the default list is empty.
            raise BadAttachmentError("an attachment that is not the caller's")
