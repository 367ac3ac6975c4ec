"""Where a new task runs: image and host, picked as the platform's own clients do (upstream-protocol §4)."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from howler.error.v1.error_reason_pb2 import ErrorReason

from server.errors import ServiceError
from server.pool.account import AccountId, Session
from server.upstream.http import Call, Http
from server.upstream.pages import rows
from server.upstream.sessions import user_of
from server.upstream.shapes import flag, objects_in, text

PUBLIC_HOST: Final = "public_host"
KEPT_SECONDS: Final = 300.0


def best_image(images: list[dict[str, Any]]) -> str:
    """Return the public image marked devbox, else the default one, else the first.

    Raises IMAGE_NOT_FOUND where there is none.
    """
    usable = [image for image in images if text(image, "id")]
    if not usable:
        raise ServiceError(
            ErrorReason.ERROR_REASON_IMAGE_NOT_FOUND,
            "the platform offers the account no image that a task could start from",
        )
    for wanted in (_is_devbox, lambda image: flag(image, "is_default")):
        for image in usable:
            if wanted(image):
                return text(image, "id")
    return text(usable[0], "id")


def _is_devbox(image: dict[str, Any]) -> bool:
    owner = image.get("owner")
    kind = text(owner, "type") if isinstance(owner, dict) else owner
    return text(image, "remark") == "devbox" and kind == "public"


def best_host(hosts: list[dict[str, Any]]) -> tuple[str, str]:
    """Return the host of a subaccount and that of any other user.

    A subaccount takes its first host that is online; the others take
    `public_host`, and so does a subaccount without one. A server that shows no
    public host has none and would refuse the word, so there the user's own
    host stands in.
    """
    public = any(text(host, "id").startswith(PUBLIC_HOST) for host in hosts)
    own = next(
        (
            text(host, "id")
            for host in hosts
            if text(host, "status") == "online" and not text(host, "id").startswith(PUBLIC_HOST)
        ),
        "",
    )
    return own or PUBLIC_HOST, PUBLIC_HOST if public or not own else own


class Places:
    """Picks image and host for each account, and keeps what it picked for KEPT_SECONDS.

    `image_id` and `host_id` settle the matter where they are not empty; `clock` counts seconds.
    """

    def __init__(
        self, http: Http, image_id: str, host_id: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._http = http
        self._image_id = image_id
        self._host_id = host_id
        self._clock = clock
        self._images: dict[AccountId, _Pick] = {}
        self._hosts: dict[AccountId, _Pick] = {}

    async def image(self, session: Session) -> str:
        """Return the account's image. Raises IMAGE_NOT_FOUND."""
        if self._image_id:
            return self._image_id
        pick = self._images.get(session.account_id)
        if pick is None or pick.until <= self._clock():
            images = await rows(self._http, session, "/users/images", "images")
            pick = self._images[session.account_id] = self._kept(best_image(images))
        return pick.chosen

    async def host(self, session: Session) -> str:
        """Return the account's host."""
        if self._host_id:
            return self._host_id
        pick = self._hosts.get(session.account_id)
        if pick is None or pick.until <= self._clock():
            pick = self._hosts[session.account_id] = self._kept(await self._best_host(session))
        return pick.chosen

    async def _best_host(self, session: Session) -> str:
        data = await self._http.repeatable(Call("GET", "/users/hosts", session.cookie))
        subaccounts, others = best_host(objects_in(data, "hosts"))
        if subaccounts == others:  # mostly so, and nobody has to ask who it is
            return others
        user = await user_of(self._http, session.cookie)
        return subaccounts if user.role == "subaccount" else others

    def forget(self, account_id: AccountId) -> None:
        """Drop what was picked: it may be why a create was refused."""
        self._images.pop(account_id, None)
        self._hosts.pop(account_id, None)

    def _kept(self, chosen: str) -> "_Pick":
        return _Pick(chosen, self._clock() + KEPT_SECONDS)


@dataclass(frozen=True, slots=True)
class _Pick:
    chosen: str
    until: float
