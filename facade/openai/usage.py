"""What a turn used, in the words of either API."""

from howler.task.v1.task_event_pb2 import TokenUsage


def chat_usage(tokens: TokenUsage) -> dict[str, object]:
    """Return `usage` of a chat completion. The platform tells neither cached nor reasoning tokens: zeros."""
    return {
        "prompt_tokens": tokens.input_tokens,
        "completion_tokens": tokens.output_tokens,
        "total_tokens": _total(tokens),
        "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }


def responses_usage(tokens: TokenUsage) -> dict[str, object]:
    """Return `usage` of a response, with the details that openai 3.x requires."""
    return {
        "input_tokens": tokens.input_tokens,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": tokens.output_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": _total(tokens),
    }


def _total(tokens: TokenUsage) -> int:
    return tokens.total_tokens or tokens.input_tokens + tokens.output_tokens
