"""What the platform offers to the pool, at one moment. PURE."""

from collections.abc import Mapping
from dataclasses import dataclass

from howler.model.v1.model_service_pb2 import Model


@dataclass(frozen=True, slots=True)
class Listing:
    """The models of all accounts, named, in the platform's order.

    `accounts` says which accounts have a model, by its upstream id; `fetched_at` is in unix seconds.
    """

    models: tuple[Model, ...]
    accounts: Mapping[str, frozenset[str]]
    fetched_at: float
