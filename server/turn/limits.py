"""The deadlines of a turn, and how long it is remembered, all in seconds."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """How long each part of a turn may take. Expiry of all but `turn` and `retention` is a failure."""

    queue: float = 30.0  # waiting for a slot
    boot: float = 600.0  # from `accepted` to a VM that is ready
    first_event: float = 60.0  # from then, or from the written input, to a sign of the agent
    idle: float = 35.0  # without any frame; the platform pings every 10 s
    reattach: float = 300.0  # from a lost socket to one that replays what was told
    turn: float = 7200.0  # the whole; its expiry is TIME_LIMIT
    detach: float = 0.0  # between the last watcher's leaving and the cancel
    retention: float = 86_400.0  # after its end, of a durable one's log
    cancel: float = 5.0  # between a `user-cancel` and giving up on the agent's `task-ended`
