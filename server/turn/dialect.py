"""Which dialect the backend is spoken to in (HOWLER_UPSTREAM_DIALECT)."""

import logging

from server.acp.decode import Decoder
from server.acp.uplink import Dialect

_log = logging.getLogger(__name__)


class Spoken:
    """The uplink dialect of one backend.

    `auto` starts native; the first backend frame whose `data` is not base64
    pins `text` (upstream-protocol §10).
    """

    def __init__(self, setting: str) -> None:
        self._auto = setting == "auto"
        self.dialect = Dialect.NATIVE if self._auto else Dialect(setting)

    def learn(self, decoder: Decoder) -> None:
        """Pin the dialect by what a turn's frames looked like."""
        if self._auto and decoder.foreign and not decoder.native and self.dialect is Dialect.NATIVE:
            self.dialect = Dialect.TEXT
            _log.warning("the backend sends data that is not base64: prompts go as plain text from now on")
