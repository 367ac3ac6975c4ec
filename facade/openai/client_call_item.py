"""The output item of a call that the client is to carry out, and its events (openai-surface.md §6.2)."""

from facade.openai.client_tools.call import ClientCall
from facade.openai.client_tools.declared import Kind
from facade.openai.event_writer import EventWriter


class ClientCallItem:
    """A `function_call` or a `custom_tool_call`: told whole, for it is known whole when it is known."""

    def __init__(self, writer: EventWriter, item_id: str, index: int, call: ClientCall) -> None:
        custom = call.tool.kind is Kind.CUSTOM
        kind, key = ("custom_tool_call", "input") if custom else ("function_call", "arguments")
        events = f"response.{kind}_input" if custom else f"response.{kind}_arguments"
        common: dict[str, object] = {
            "id": item_id,
            "type": kind,
            "call_id": call.call_id,
            "name": call.tool.name,
        }
        if call.tool.namespace:
            common["namespace"] = call.tool.namespace
        at = {"item_id": item_id, "output_index": index}
        self.item = common | {key: call.payload} | _status(call, "completed")
        begun = common | {key: ""} | _status(call, "in_progress")
        writer.write("response.output_item.added", {"output_index": index, "item": begun})
        writer.write(f"{events}.delta", {**at, "delta": call.payload})
        writer.write(f"{events}.done", {**at, key: call.payload})
        writer.write("response.output_item.done", {"output_index": index, "item": self.item})


def _status(call: ClientCall, status: str) -> dict[str, object]:
    """Return the status of a function's call; a custom tool's has none."""
    return {} if call.tool.kind is Kind.CUSTOM else {"status": status}
