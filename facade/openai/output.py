"""The output of a response: its items in order, what is open among them.

At most one message or reasoning item is open at a time, and a new tool's item
closes it; tools that run beside each other, or while the agent goes on speaking,
stay open until they are over.
"""

from facade.openai.client_call_item import ClientCallItem
from facade.openai.client_tools.call import ClientCall
from facade.openai.event_writer import EventWriter
from facade.openai.output_items import (
    COMMENTARY,
    COMPLETED,
    FINAL_ANSWER,
    INCOMPLETE,
    AsideItem,
    MessageItem,
    ReasoningItem,
)
from facade.openai.tool_items import FunctionCallItem, FunctionOutputItem, McpCallItem
from facade.openai.tools import Tool


class Output:
    """The items of the response whose ids are made of `unique`."""

    def __init__(self, writer: EventWriter, unique: str) -> None:
        self._writer = writer
        self._unique = unique
        self._items: list[
            MessageItem
            | ReasoningItem
            | AsideItem
            | McpCallItem
            | FunctionCallItem
            | FunctionOutputItem
            | ClientCallItem
        ] = []
        self._awaits_client = False
        self._calls: dict[str, McpCallItem | FunctionCallItem] = {}
        self.speaking: MessageItem | ReasoningItem | AsideItem | None = None
        """What is open, calls aside."""

    def items(self) -> list[dict[str, object]]:
        """Return the items as far as they were told."""
        return [item.item for item in self._items]

    def message(self) -> MessageItem:
        """Return the open message, or a new one."""
        if not isinstance(self.speaking, MessageItem):
            self._hush()
            self.speaking = self._new_message()
            self._items.append(self.speaking)
        return self.speaking

    def reasoning(self) -> ReasoningItem:
        """Return the open reasoning item, or a new one."""
        if not isinstance(self.speaking, ReasoningItem):
            self._hush()
            self.speaking = ReasoningItem(self._writer, self._id("rs"), len(self._items))
            self._items.append(self.speaking)
        return self.speaking

    def aside(self) -> AsideItem:
        """Return the open message of what is no answer, or a new one."""
        if not isinstance(self.speaking, AsideItem):
            self._hush()
            self.speaking = AsideItem(self._new_message())
            self._items.append(self.speaking)
        return self.speaking

    def mcp_call(self, tool: Tool) -> None:
        """Show a tool as an `mcp_call`, which is closed once the tool is over."""
        self._call(McpCallItem, "mcp", tool)

    def function_call(self, tool: Tool) -> None:
        """Show a tool as a `function_call`, which its output follows once the tool is over."""
        self._call(FunctionCallItem, "fc", tool)

    def _call(self, kind: type[McpCallItem | FunctionCallItem], prefix: str, tool: Tool) -> None:
        if tool.id not in self._calls:
            self._hush()
            call = kind(self._writer, self._id(prefix), len(self._items), tool)
            self._items.append(call)
            self._calls[tool.id] = call
        if tool.is_over():
            self._close(self._calls[tool.id])

    def client_call(self, call: ClientCall) -> None:
        """Show a call that the client is to carry out."""
        self._hush()
        self._items.append(ClientCallItem(self._writer, self._id("fc"), len(self._items), call))
        self._awaits_client = True

    def end(self, status: str) -> None:
        """Close all that is open; the last item is a message, were it empty, or a call for the client."""
        self._close_calls()
        if self._awaits_client:
            self._hush()
        else:
            self.message().close(status, FINAL_ANSWER)

    def break_off(self) -> None:
        """Close all that is open, for nothing more comes."""
        self._close_calls()
        match self.speaking:
            case MessageItem() as message:
                message.close(INCOMPLETE, FINAL_ANSWER)
            case ReasoningItem() | AsideItem() as beside:
                beside.close(INCOMPLETE)

    def _hush(self) -> None:
        """Close the open message or reasoning item, for the agent goes on with something else."""
        match self.speaking:
            case MessageItem() as message:
                message.close(COMPLETED, COMMENTARY)
            case ReasoningItem() | AsideItem() as beside:
                beside.close(COMPLETED)
        self.speaking = None

    def _close_calls(self) -> None:
        for call in self._calls.values():
            if not call.tool.is_over():
                self._close(call)

    def _close(self, call: McpCallItem | FunctionCallItem) -> None:
        call.close()
        if isinstance(call, FunctionCallItem):
            self._hush()  # the message goes on after the output: the last item is always a message
            output = FunctionOutputItem(self._writer, self._id("fco"), len(self._items), call)
            self._items.append(output)

    def _new_message(self) -> MessageItem:
        return MessageItem(self._writer, self._id("msg"), len(self._items))

    def _id(self, prefix: str) -> str:
        return f"{prefix}_{self._unique}_{len(self._items)}"
