"""A call of a client's tool, on its way to the client."""

from dataclasses import dataclass

from facade.openai.client_tools.declared import ClientTool


@dataclass(frozen=True, slots=True)
class ClientCall:
    """A call that the client is to carry out.

    `payload` is the arguments of a function as a JSON text (`{}` where there
    are none), or the input of a custom tool as it is.
    """

    call_id: str
    tool: ClientTool
    payload: str
