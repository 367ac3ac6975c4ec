"""Header profiles: what Howler says of itself to the platform, as data (upstream-protocol §11).

The platform requires none of it: `Cookie`, `Content-Type` and a handshake's own headers are set where a call
is made. So `plain`, which names Howler, is the default. `browser` says what the platform's web console says,
for an operator whose front expects it. It is words and no more: the order of the headers, TLS and HTTP stay
those of Howler's libraries, and nothing here answers a challenge.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

VERSION: Final = "0.1.0"
Headers = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Profiles:
    """The headers of each kind of call; `{origin}` stands for the platform's scheme, host and port.

    `api` goes with every call below /api/v1, `websocket` with the handshake of a task's stream. `page` is
    for a navigation, `baizhi` for Baizhi Cloud, which logs users of the platform in. Howler makes no call
    of these two kinds: an account's owner logs in and imports the cookie (§2.3, §2.5).
    """

    api: Headers
    page: Headers
    websocket: Headers
    baizhi: Headers


def spoken(profile: Headers, base_url: str) -> dict[str, str]:
    """Return a profile's headers toward the platform at `base_url`."""
    parts = urlsplit(base_url)
    origin = f"{parts.scheme}://{parts.netloc}"
    return {name: value.replace("{origin}", origin) for name, value in profile.items()}


def _frozen(*parts: Headers) -> Headers:
    return MappingProxyType({name: value for part in parts for name, value in part.items()})


_HOWLER: Final = {"User-Agent": f"howler/{VERSION}"}
_JSON: Final = {"Accept": "application/json"}

_CONSOLE: Final = {
    "User-Agent": "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/148.0.0.0 Safari/537.36",
    "Accept-Language": "zh-CN,zh;q=0.9,en;q=0.8",
}
_HINTS: Final = {
    "Accept-Encoding": "gzip, deflate",  # without a console's `br`, which could not be read here
    "Sec-Ch-Ua": '"Chromium";v="148", "Google Chrome";v="148", "Not/A)Brand";v="99"',
    "Sec-Ch-Ua-Mobile": "?0",
    "Sec-Ch-Ua-Platform": '"macOS"',
}
_FETCH: Final = {
    "Accept": "application/json, text/plain, */*",
    "Sec-Fetch-Dest": "empty",
    "Sec-Fetch-Mode": "cors",
    "Sec-Fetch-Site": "same-origin",
    "Priority": "u=1, i",
}

PLAIN: Final = Profiles(
    api=_frozen(_HOWLER, _JSON),
    page=_frozen(_HOWLER, {"Accept": "text/html"}),
    websocket=_frozen(_HOWLER),
    baizhi=_frozen(_HOWLER, _JSON),
)
BROWSER: Final = Profiles(
    # No Referer: the console's policy is no-referrer.
    api=_frozen(_CONSOLE, _HINTS, _FETCH, {"Origin": "{origin}"}),
    page=_frozen(
        _CONSOLE,
        _HINTS,
        {
            "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,"
            "image/apng,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7",
            "Sec-Fetch-Dest": "document",
            "Sec-Fetch-Mode": "navigate",
            "Sec-Fetch-Site": "cross-site",
            "Priority": "u=0, i",
            "Upgrade-Insecure-Requests": "1",
        },
    ),
    websocket=_frozen(_CONSOLE, {"Origin": "{origin}", "Cache-Control": "no-cache", "Pragma": "no-cache"}),
    baizhi=_frozen(
        _CONSOLE, _HINTS, _FETCH, {"Origin": "https://baizhi.cloud", "Referer": "https://baizhi.cloud/"}
    ),
)

PROFILES: Final[Mapping[str, Profiles]] = MappingProxyType({"plain": PLAIN, "browser": BROWSER})
"""The profiles by the value of HOWLER_UPSTREAM_HEADERS."""
