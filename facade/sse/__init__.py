"""Answers turns over raw ASGI: as a stream of SSE bytes, or whole."""

from facade.sse.asgi import Header, Turn, send_json
from facade.sse.logged import Logged
from facade.sse.pace import KeepAlive, NonstreamPadding, Pace, Padding
from facade.sse.stream import Stream, TurnStream
from facade.sse.told import ToldTurn
from facade.sse.whole import Fold, TurnAnswer

__all__ = [
    "Fold",
    "Header",
    "KeepAlive",
    "Logged",
    "NonstreamPadding",
    "Pace",
    "Padding",
    "Stream",
    "ToldTurn",
    "Turn",
    "TurnAnswer",
    "TurnStream",
    "send_json",
]
