"""What turns work with."""

from dataclasses import dataclass

from server.catalog.cache import Catalog
from server.pool.pool import Pool
from server.turn.create import Creator
from server.turn.dialect import Spoken
from server.turn.limits import Limits
from server.turn.stopper import Records, Stopper
from server.upstream.platform import Platform


@dataclass(frozen=True, slots=True)
class Rooms:
    """What a turn works with."""

    pool: Pool
    platform: Platform
    catalog: Catalog
    store: Records
    creator: Creator
    stopper: Stopper
    spoken: Spoken
    limits: Limits
