"""Calls of a client's tools as a chat completion has them (`tool_calls`, `function_call`)."""

from facade.openai.client_tools.call import ClientCall
from facade.openai.client_tools.declared import Kind


def call_deltas(call: ClientCall, index: int) -> list[dict[str, object]]:
    """Return the deltas that tell a call: which tool first, then its arguments."""
    name = call.tool.full_name
    match call.tool.kind:
        case Kind.LEGACY:
            return [
                {"function_call": {"name": name, "arguments": ""}},
                {"function_call": {"arguments": call.payload}},
            ]
        case Kind.CUSTOM:
            head: dict[str, object] = {"index": index, "id": call.call_id, "type": "custom"}
            return [
                {"tool_calls": [head | {"custom": {"name": name, "input": ""}}]},
                {"tool_calls": [{"index": index, "custom": {"input": call.payload}}]},
            ]
        case Kind.FUNCTION:
            head = {"index": index, "id": call.call_id, "type": "function"}
            return [
                {"tool_calls": [head | {"function": {"name": name, "arguments": ""}}]},
                {"tool_calls": [{"index": index, "function": {"arguments": call.payload}}]},
            ]


def called(calls: list[ClientCall]) -> dict[str, object]:
    """Return the fields of a whole message that makes calls; none where it makes none."""
    if not calls:
        return {}
    if calls[0].tool.kind is Kind.LEGACY:
        return {"function_call": {"name": calls[0].tool.full_name, "arguments": calls[0].payload}}
    return {"tool_calls": [_whole(call) for call in calls]}


def _whole(call: ClientCall) -> dict[str, object]:
    name = call.tool.full_name
    if call.tool.kind is Kind.CUSTOM:
        return {"id": call.call_id, "type": "custom", "custom": {"name": name, "input": call.payload}}
    return {"id": call.call_id, "type": "function", "function": {"name": name, "arguments": call.payload}}
