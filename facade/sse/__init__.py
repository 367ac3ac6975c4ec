"""Answers turns over raw ASGI: as a stream of SSE bytes, the same as frames of a WebSocket, or whole."""

from facade.sse.asgi import Header, Turn, cancelled, send_json, told_by
from facade.sse.frames import FramedAnswer
from facade.sse.logged import Logged
from facade.sse.pace import KeepAlive, NonstreamPadding, Pace, Padding
from facade.sse.stream import Stream, TurnStream
from facade.sse.told import ToldTurn
from facade.sse.whole import Fold, TurnAnswer

__all__ = [
    "Fold",
    "FramedAnswer",
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
    "cancelled",
    "send_json",
    "told_by",
]
