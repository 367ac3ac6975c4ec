"""Fingerprints of what was said: how a conversation is found in the history that a caller resends. PURE.

A thread is the end of a chain of hashes over what users, tools and agents said, in order. White space around
a text is not in it, nor how an agent's words were cut into messages, for clients keep neither; instructions
and thoughts are not either. Two threads are equal only if the same was said.
"""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple, NewType

from howler.task.v1.start_turn_pb2 import Message, Role

Thread = NewType("Thread", str)
"""In hexadecimal digits; equal lengths."""

BEGINNING: Final = Thread(hashlib.sha256(b"howler thread").hexdigest())
"""Nothing was said."""

_ASSISTANT: Final = Role.ROLE_ASSISTANT
_MARKS: Final = {_ASSISTANT: b"a", Role.ROLE_TOOL: b"t"}


class Point(NamedTuple):
    """A place in a history: the thread of the first `at` messages."""

    at: int
    thread: Thread


def thread_of(messages: Iterable[Message], before: Thread = BEGINNING) -> Thread:
    """Return the thread of messages said behind another thread."""
    thread, words = before, None
    for message in messages:
        if message.role == _ASSISTANT:
            words = words or Words(thread)
            words.add(message.text)
            continue
        if words is not None:
            thread, words = words.thread(), None
        if text := _tidy(message.text).strip():
            thread = _link(thread, _MARKS.get(message.role, b"u"), text)
    return words.thread() if words is not None else thread


def openings(messages: Sequence[Message]) -> list[Point]:
    """Return where a conversation that these messages continue may have been left, the latest first.

    All that follows is new: users' and tools' messages, at least one. Before it something was said.
    """
    if len(messages) == 1:
        return []
    first = len(messages)
    while first > 0 and messages[first - 1].role != _ASSISTANT:
        first -= 1
    if first == len(messages):
        return []
    points = [Point(first, thread_of(messages[:first]))]
    for index in range(first, len(messages) - 1):
        points.append(Point(index + 1, thread_of(messages[index : index + 1], points[-1].thread)))
    return [point for point in reversed(points) if point.thread != BEGINNING]


def digest(instructions: str) -> str:
    """Return what instructions are known by; none by nothing."""
    return hashlib.sha256(instructions.encode()).hexdigest() if instructions else ""


class Words:
    """An agent's words, part by part, and the thread that they lead to from another one."""

    def __init__(self, before: Thread) -> None:
        self._before = before
        self._hash = hashlib.sha256(bytes.fromhex(before) + _MARKS[_ASSISTANT])
        self._white = ""  # behind what is hashed: more words may follow
        self._begun = False

    def add(self, text: str) -> None:
        """Take more of the words."""
        text = _tidy(text)
        if not self._begun:
            text = text.lstrip()
        body = text.rstrip()
        if body:
            self._hash.update((self._white + body).encode())
            self._white, self._begun = text[len(body) :], True
        elif self._begun:
            self._white += text

    def thread(self) -> Thread:
        """Return the thread behind the words so far; the one before them where there are none."""
        return Thread(self._hash.hexdigest()) if self._begun else self._before


def _link(before: Thread, mark: bytes, text: str) -> Thread:
    return Thread(hashlib.sha256(bytes.fromhex(before) + mark + text.encode()).hexdigest())


def _tidy(text: str) -> str:
    return text.replace("\r", "")
