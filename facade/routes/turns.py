"""Starts what answers a request: one turn, or a dialogue where its words must become the answer."""

import base64
import hashlib

from howler.task.v1.start_turn_pb2 import StartTurn

from facade.dialogue import Dialogue, Peer
from facade.openai.client_tools.desk import Desk
from facade.openai.emulation import Emulation
from facade.openai.start import Asked
from facade.sse import Turn

_NONCE = 6  # characters


def turn_of(peer: Peer, asked: Asked, start: StartTurn) -> Turn:
    """Start the turn at the server, or have it found; what was asked decides what emulation it needs."""
    if asked.client_tools is None and asked.json_format is None:
        return peer.start(start)
    desk = None if asked.client_tools is None else Desk(asked.client_tools, _nonce_of(start))
    return Dialogue(Emulation(start, desk, asked.json_format), peer)


def _nonce_of(start: StartTurn) -> str:
    """Return what marks this request's calls.

    It is a digest of the caller's key and of all that was said, neither of which
    anybody knows whose text the agent may come to quote. The same request sent
    again has the same: it may be answered by the turn that runs already.
    """
    said = start.principal.encode() + b"\0" + start.messages.SerializeToString(deterministic=True)
    return base64.b32encode(hashlib.sha256(said).digest())[:_NONCE].decode()
