"""The response object of /v1/responses, as openai-surface.md §6.1 has it."""

from howler.task.v1.task_event_pb2 import TokenUsage

from facade.errors import ApiError
from facade.openai.responses_request import Echo
from facade.openai.usage import responses_usage


class ResponseObject:
    """The one response of a stream, whose id, model and time never change.

    `created_at` is in seconds since 1970.
    """

    def __init__(self, response_id: str, created_at: int, model: str, echo: Echo) -> None:
        self._echo = echo
        self._common: dict[str, object] = {
            "id": response_id,
            "object": "response",
            "created_at": created_at,
            "model": model,
            "background": echo.background,
            "error": None,
            "incomplete_details": None,
            "max_output_tokens": echo.max_output_tokens,
            "metadata": echo.metadata or {},
            "parallel_tool_calls": echo.parallel_tool_calls,
            "previous_response_id": echo.previous_response_id,
            "reasoning": {"effort": echo.effort, "summary": echo.summary},
            "store": echo.store,
            "temperature": echo.temperature,
            "text": {"format": echo.text_format or {"type": "text"}},
            "tool_choice": echo.tool_choice,
            "top_p": echo.top_p,
            "truncation": "disabled",
        }
        if echo.conversation is not None:
            self._common["conversation"] = {"id": echo.conversation}

    def in_progress(self) -> dict[str, object]:
        """Return the response while it runs: small, for each keep-alive repeats it."""
        return self._common | {
            "status": "in_progress",
            "instructions": None,
            "output": [],
            "tools": [],
            "usage": None,
        }

    def queued(self) -> dict[str, object]:
        """Return the response while nothing was heard of its turn."""
        return self.in_progress() | {"status": "queued"}

    def so_far(self, output: list[dict[str, object]], tokens: TokenUsage) -> dict[str, object]:
        """Return the response while it runs, with what there is of it."""
        return self._over("in_progress", output, tokens)

    def completed(self, output: list[dict[str, object]], tokens: TokenUsage, at: int) -> dict[str, object]:
        """Return the response with its whole answer; `at` is in seconds since 1970."""
        return self._over("completed", output, tokens) | {"completed_at": at}

    def incomplete(
        self, output: list[dict[str, object]], tokens: TokenUsage, reason: str
    ) -> dict[str, object]:
        """Return the response whose answer stops before its end; `reason` is a word of the closed set."""
        return self._over("incomplete", output, tokens) | {"incomplete_details": {"reason": reason}}

    def failed(
        self, output: list[dict[str, object]], tokens: TokenUsage, error: ApiError, code: str
    ) -> dict[str, object]:
        """Return the response that failed, with what there is of it; `code` is a word of the closed set."""
        told = {"code": code, "message": error.message}
        return self._over("failed", output, tokens) | {"error": told}

    def _over(self, status: str, output: list[dict[str, object]], tokens: TokenUsage) -> dict[str, object]:
        tools = [
            {
                "type": "function",
                "name": tool.name,
                "parameters": tool.parameters,
                "strict": tool.strict,
                "description": tool.description,
            }
            for tool in self._echo.tools
        ]
        return self._common | {
            "status": status,
            "instructions": self._echo.instructions,
            "output": output,
            "tools": tools,
            "usage": responses_usage(tokens),
        }
