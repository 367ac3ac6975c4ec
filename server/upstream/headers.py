"""Header profiles: what Howler says of itself to the platform, as data.

The platform needs none of it (upstream-protocol §11).
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

VERSION: Final = "0.1.0"

plain: Final[Mapping[str, str]] = MappingProxyType(
    {
        "User-Agent": f"howler/{VERSION}",
        "Accept": "application/json",
    }
)
