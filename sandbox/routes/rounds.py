"""The stored log over REST (protocol §5.7, §5.8)."""

from aiohttp import web

from sandbox.routes.caller import account_of, backend_of, id_of, number_of, task_of
from sandbox.routes.envelope import Failure, answer, bad_request
from sandbox.world import replay

routes = web.RouteTableDef()
_ROUNDS, _MOST_ROUNDS = 2, 10
_INPUTS, _MOST_INPUTS = 20, 100


@routes.get("/api/v1/users/tasks/rounds")
async def rounds(request: web.Request) -> web.Response:
    """Page through a task's rounds by turn number."""
    account_of(request)
    task = task_of(request, id_of(request.query.get("id", "")))
    limit = number_of(request, "limit", _ROUNDS)
    limit = min(limit, _MOST_ROUNDS) if limit > 0 else _ROUNDS
    direction = request.query.get("direction") or "backward"
    if direction not in {"backward", "forward"}:
        raise bad_request()
    inclusive = request.query.get("inclusive") in {"true", "1"}
    last = task.channel.turns
    turns = range(last, 0, -1) if direction == "backward" else range(1, last + 1)
    cursor = request.query.get("cursor", "")
    if cursor:
        if not cursor.isdecimal():
            raise Failure(10000)
        at = int(cursor)
        sign = -1 if direction == "backward" else 1
        turns = range(at if inclusive else at + sign, turns.stop, sign)
    shown = [turn for turn in turns if 1 <= turn <= last][:limit]
    more = bool(shown) and any(turn not in shown and 1 <= turn <= last for turn in turns)
    behaviour = backend_of(request).faults.platform
    chunks = [chunk for turn in shown for chunk in replay.round_of(task, turn, behaviour)]
    page = {"next_cursor": str(shown[-1])} if more else {}
    return answer({"chunks": chunks} | page | {"has_more": more})


@routes.get("/api/v1/users/tasks/user-inputs")
async def user_inputs(request: web.Request) -> web.Response:
    """List a task's prompts, newest first."""
    account_of(request)
    task = task_of(request, id_of(request.query.get("id", "")))
    limit = number_of(request, "limit", _INPUTS)
    limit = min(limit, _MOST_INPUTS) if limit > 0 else _INPUTS
    items = replay.inputs(task, backend_of(request).faults.platform)
    before = number_of(request, "cursor", 0)
    if before:
        items = [one for one in items if one.at_ns < before]
    shown = items[:limit]
    more = len(items) > limit
    page = {"next_cursor": str(shown[-1].at_ns)} if more else {}
    return answer({"items": [replay.input_item(one) for one in shown]} | page | {"has_more": more})
