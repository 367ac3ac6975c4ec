"""What the platform says of an account: its plan, its models, its limits."""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Final, TypeVar

from howler.model.v1.model_service_pb2 import Model

from server.catalog.names import named
from server.catalog.plans import covers, plan_needed
from server.errors import ServiceError
from server.pool.account import Session
from server.upstream.platform import Platform, Subscription, Wallet

T = TypeVar("T")

_AT_A_TIME: Final = {"basic": 1, "pro": 3, "ultra": 3, "flagship": 3}
"""Active tasks by plan, as the web console has them; no call tells, and a team's policy may differ (§9)."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found. A ServiceError stands where the platform would not say, None where it never does."""

    subscription: Subscription | ServiceError | None
    wallet: Wallet | ServiceError | None
    models: tuple[Model, ...] | ServiceError

    @property
    def plan(self) -> str:
        """The plan's name, empty where unknown."""
        return self.subscription.plan if isinstance(self.subscription, Subscription) else ""

    @property
    def tasks_at_a_time(self) -> int | None:
        """How many active tasks the plan usually allows, None where that is not known."""
        return _AT_A_TIME.get(self.plan)

    @property
    def within_plan(self) -> list[Model]:
        """The models that the account may use."""
        return [model for model in self._listed if covers(self.plan, plan_needed(model))]

    @property
    def beyond_plan(self) -> list[Model]:
        """The models that need another plan."""
        return [model for model in self._listed if not covers(self.plan, plan_needed(model))]

    @property
    def _listed(self) -> tuple[Model, ...]:
        return () if isinstance(self.models, ServiceError) else self.models


async def look(platform: Platform, session: Session) -> Findings:
    """Ask the platform about an account. What it refuses is a finding too."""
    subscription, wallet, models = await asyncio.gather(
        _said(platform.subscription(session)),
        _said(platform.wallet(session)),
        _said(platform.models(session)),
    )
    return Findings(subscription, wallet, models if isinstance(models, ServiceError) else named(models))


async def _said(call: Awaitable[T]) -> T | ServiceError:
    try:
        return await call
    except ServiceError as error:
        return error
