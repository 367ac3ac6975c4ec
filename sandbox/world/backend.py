"""Everything behind the routes, put together."""

from dataclasses import dataclass, field

from sandbox.settings import Settings
from sandbox.wire.dialect import DIALECTS, Dialect
from sandbox.world.accounts import Accounts, load
from sandbox.world.faults import Faults
from sandbox.world.lifecycle import Lifecycle
from sandbox.world.oracle import Oracle
from sandbox.world.storage import Storage
from sandbox.world.tasks import Tasks


@dataclass(slots=True)
class Backend:
    """The state of one sandbox."""

    settings: Settings
    accounts: Accounts
    faults: Faults
    lifecycle: Lifecycle
    storage: Storage
    tasks: Tasks = field(default_factory=Tasks)
    oracle: Oracle = field(default_factory=Oracle)

    @property
    def dialect(self) -> Dialect:
        """How its sockets are spoken to."""
        return DIALECTS[self.settings.dialect]

    async def close(self) -> None:
        """End what still runs."""
        for task in self.tasks:
            await self.lifecycle.close(task)


def build(settings: Settings) -> Backend:
    """Make a fresh backend; AccountsFileError if its accounts cannot be read."""
    faults, storage = Faults(), Storage()
    lifecycle = Lifecycle(settings, faults, storage)
    return Backend(settings, Accounts(load(settings.accounts)), faults, lifecycle, storage)
