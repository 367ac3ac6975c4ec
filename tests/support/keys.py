"""Keys for stores of tests, the same in every run."""

from server.store.keyring import GivenKeys, KeyRing

KEYS = ("ab" * 32, "cd" * 32, "ef" * 32)
"""Three keys in hex, as HOWLER_SECRETS_KEY takes them."""


def ring(*keys: str) -> KeyRing:
    """Return a ring of these keys, or of the first."""
    return KeyRing(GivenKeys(",".join(keys or KEYS[:1])))
