"""What was said on one connection and is stored nowhere, for requests that go on from it. Pure."""

from collections.abc import Mapping, Sequence

import msgspec

from facade.openai.continuation import Said, input_of


class Spoken:
    """The newest responses of a connection: as many as `most` bytes hold. `known` has them by their ids."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._sizes: dict[str, int] = {}
        self.known: dict[str, Said] = {}

    def keep(self, response_id: str, body: bytes, output: Sequence[Mapping[str, object]]) -> None:
        """Keep a response: the request that it answers, written out, and what it put out."""
        self.known[response_id] = Said(input_of(body), output)
        self._sizes[response_id] = len(body) + len(msgspec.json.encode(output))
        while sum(self._sizes.values()) > self._most:
            oldest = next(iter(self._sizes))
            del self._sizes[oldest], self.known[oldest]
