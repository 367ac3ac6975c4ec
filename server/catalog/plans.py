"""Plans, and the models that they open (upstream-protocol §3.2, §3.5). PURE."""

from typing import Final

from howler.model.v1.model_service_pb2 import Model

_RANKS: Final = {"basic": 1, "pro": 2, "ultra": 3, "flagship": 3}
_GATES: Final = (("monkeycode-pro", "pro"), ("monkeycode-ultra", "ultra"))


def plan_needed(model: Model) -> str:
    """Return the plan without which a model cannot be used, "" where there is none.

    By the model's name, as the platform's own client has it. Its `access_level` is no gate:
    what that means to the platform is not known (§12.8).
    """
    name = model.model.lower()
    return next((plan for prefix, plan in _GATES if name.startswith(prefix)), "")


def covers(plan: str, needed: str) -> bool:
    """Say whether a plan holds what another one gives. A word that is not known bars nothing."""
    rank, least = _RANKS.get(plan.lower()), _RANKS.get(needed.lower())
    return rank is None or least is None or rank >= least
