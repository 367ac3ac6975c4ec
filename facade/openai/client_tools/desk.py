"""Where an agent's calls of the client's tools are taken, over the turns of one answer."""

from dataclasses import dataclass

from facade.openai.client_tools.call import ClientCall
from facade.openai.client_tools.declared import ClientTools
from facade.openai.client_tools.judge import Called, Faulty, judge
from facade.openai.client_tools.prompt import guidance, insisting, mending
from facade.openai.client_tools.scanner import Found, Over, Piece, Said, Scanner


@dataclass(frozen=True, slots=True)
class Taken:
    """What some more of a turn's text comes to: words, then calls."""

    words: str
    calls: tuple[ClientCall, ...]


class Desk:
    """Takes calls. `closed` says that the turn has said all that counts.

    The ids of the calls are made of the id of the turn that made them, so that
    they come out the same whenever its log is read.
    """

    def __init__(self, tools: ClientTools, nonce: str) -> None:
        self._tools = tools
        self._nonce = nonce
        self._scanner = self._new_scanner()
        self._unique = ""
        self.made = 0
        self.closed = False
        self.fault: str | None = None
        self.raw = ""
        """An envelope that was faulty, as it was written."""

    def begin(self, turn_id: str) -> None:
        """Begin a turn: the first one, or one that is to mend it."""
        self._unique = turn_id.removeprefix("turn_")
        self._scanner = self._new_scanner()
        self.closed, self.fault, self.raw = False, None, ""

    def receive(self, text: str) -> Taken:
        """Take more of what the agent says."""
        return self._taken(self._scanner.receive(text))

    def end(self) -> Taken:
        """Take what the end of the turn makes of the rest."""
        return self._taken(self._scanner.end())

    def guidance(self) -> str:
        """Return how the agent is to call."""
        return guidance(self._tools, self._nonce)

    def wish(self) -> str | None:
        """Return what to say to the agent where its turn must be mended; None where it need not."""
        if self.made:
            return None
        if self.fault is not None:
            return mending(self.fault)
        return insisting(self._tools) if self._tools.required else None

    def _new_scanner(self) -> Scanner:
        return Scanner(self._nonce, lambda body: judge(body, self._tools))

    def _taken(self, pieces: list[Piece]) -> Taken:
        words: list[str] = []
        calls: list[ClientCall] = []
        for piece in pieces:
            match piece:
                case _ if self.closed:
                    break
                case Said(text):
                    words.append(text)
                case Found(Called(made), _):
                    for tool, payload in made:
                        calls.append(ClientCall(f"call_{self._unique}_{self.made}", tool, payload))
                        self.made += 1
                    self.closed = self._tools.single
                case Found(Faulty(problem), raw):
                    self.fault, self.raw, self.closed = problem, raw, True
                case Over():
                    self.closed = True
        return Taken("".join(words), tuple(calls))
