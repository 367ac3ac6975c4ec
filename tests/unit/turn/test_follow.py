"""Following a turn: what there is of it once nobody follows it."""

from howler.task.v1.start_turn_pb2 import Durability, QuestionPolicy, StartTurn

from server.acp.turn import Turn
from server.turn.dialect import Spoken
from server.turn.follow import Follower
from server.turn.journal import Journal
from server.turn.limits import Limits
from server.turn.live import LiveTurn, TurnId


async def test_a_turn_that_was_left_takes_no_answer(journal: Journal) -> None:
    start = StartTurn(prompt="hello", durability=Durability.DURABILITY_EPHEMERAL)
    live = LiveTurn(TurnId("turn_1"), start, journal, detach_grace=0)
    policy = QuestionPolicy.QUESTION_POLICY_ASK
    follower = Follower(live, lambda answered: Turn(0, policy, answered), Spoken("auto"), Limits())
    assert live.answerer is not None
    follower.leave()
    assert live.answerer is None, "hub and Relay would call into what is gone"
