"""The answers of GET /v1/models and /v1/models/{id}."""

from collections.abc import Sequence
from typing import Final

import msgspec
from howler.model.v1.model_service_pb2 import Model

_USUAL_CONTEXT: Final = 272_000


def model_object(model: Model) -> dict[str, object]:
    """Return the model as OpenAI's API shows one; `created` is in seconds since 1970, 0 where unknown."""
    return {
        "id": model.id,
        "object": "model",
        "created": model.create_time.seconds,
        "owned_by": model.owner.name or model.provider or "monkeycode",
    }


def model_list(models: Sequence[Model]) -> bytes:
    """Return the list, with Codex's catalogue of the same models beside it (openai-surface.md §2, §12)."""
    return msgspec.json.encode(
        {
            "object": "list",
            "data": [model_object(model) for model in models],
            "models": [_codex_entry(model, place) for place, model in enumerate(models, 1)],
        }
    )


def _codex_entry(model: Model, place: int) -> dict[str, object]:
    """Return what Codex insists on; `shell_type` disabled takes its own shell out of the request."""
    context = model.context_limit or _USUAL_CONTEXT
    return {
        "slug": model.id,
        "display_name": model.display_name or model.model or model.id,
        "description": "Runs its own tools on a remote VM",
        "supported_reasoning_levels": [{"effort": "medium", "description": "default"}],
        "default_reasoning_level": "medium",
        "shell_type": "disabled",
        "visibility": "list",
        "supported_in_api": True,
        "priority": place,
        "base_instructions": "You are driving a remote agent.",
        "supports_reasoning_summaries": True,
        "support_verbosity": False,
        "truncation_policy": {"mode": "tokens", "limit": 10_000},
        "supports_parallel_tool_calls": True,
        "context_window": context,
        "max_context_window": context,
        "experimental_supported_tools": [],
        "input_modalities": ["text"],
    }
