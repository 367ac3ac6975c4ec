"""The tools that a client declared, and which of them may be called."""

import enum
from collections.abc import Callable, Iterable
from dataclasses import dataclass


class Kind(enum.Enum):
    """What a tool takes."""

    FUNCTION = "function"
    """A JSON object, by its schema."""
    LEGACY = "legacy"
    """The same, declared and called in the way before `tools`: `functions` and `function_call`."""
    CUSTOM = "custom"
    """One text, as it is."""


@dataclass(frozen=True, slots=True)
class ClientTool:
    """A tool that runs at the client's.

    `namespace` is Codex's: its nested functions are called by both names.
    """

    name: str
    kind: Kind = Kind.FUNCTION
    description: str = ""
    parameters: dict[str, object] | None = None
    namespace: str = ""

    @property
    def full_name(self) -> str:
        """The name that the agent calls it by."""
        return f"{self.namespace}.{self.name}" if self.namespace else self.name


@dataclass(frozen=True, slots=True)
class ClientTools:
    """The tools that may be called in one answer, at least one.

    `declared` are all that the client told; a `tool_choice` may leave fewer
    `callable`. `required` says that the answer must be a call, `single` that it
    is one call at most.
    """

    declared: tuple[ClientTool, ...]
    callable: tuple[ClientTool, ...]
    required: bool = False
    single: bool = False

    def find(self, name: str) -> ClientTool | None:
        """Return the tool that a name means: exactly, or as the only one but for case and punctuation.

        A guess beyond that could run the wrong tool: None.
        """
        for key in (_exact, _plain):
            found = [tool for tool in self.callable if key(name) in _names(tool, key)]
            if len(found) == 1:
                return found[0]
            if found:  # a full name wins over another tool's short one
                full = [tool for tool in found if key(tool.full_name) == key(name)]
                return full[0] if len(full) == 1 else None
        return None


def _names(tool: ClientTool, key: Callable[[str], str]) -> Iterable[str]:
    return {key(tool.full_name), key(tool.name)}


def _exact(name: str) -> str:
    return name.strip()


def _plain(name: str) -> str:
    return "".join(char for char in name.casefold() if char.isalnum())
