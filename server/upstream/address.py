"""Where the platform is and how its door is opened: checked once, at the start."""

import base64
import ssl
from urllib.parse import urlsplit


def checked_url(base_url: str) -> str:
    """Return the platform's address without a slash at its end.

    Raises ValueError, which does not repeat it, for one that cannot be meant.
    """
    parts = urlsplit(base_url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("the platform's address must look like https://monkeycode-ai.com")
    if parts.username is not None or parts.password is not None:
        raise ValueError("the platform's address holds a user; HTTP Basic Auth has a setting of its own")
    if parts.query or parts.fragment:
        raise ValueError("the platform's address must have no query and no fragment")
    return base_url.rstrip("/")


def trusting(ca_file: str) -> ssl.SSLContext:
    """Return the TLS settings that trust the certificates of a PEM file, or the system's.

    Raises ValueError for a file that cannot be read.
    """
    try:
        return ssl.create_default_context(cafile=ca_file or None)
    except OSError as error:
        raise ValueError(f"certificates: {ca_file}: {error.strerror or 'not PEM'}") from None


def basic(user_and_password: str) -> str:
    """Return the Authorization header of `user:password`."""
    return "Basic " + base64.b64encode(user_and_password.encode()).decode()
