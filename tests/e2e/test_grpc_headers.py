"""P11: what a platform hears of each profile, from a whole server."""

from pathlib import Path
from typing import Any

import pytest
from howler.task.v1.start_turn_pb2 import TaskRetention
from howler.task.v1.task_event_pb2 import EndReason

from tests.support import headers
from tests.support.howler import Howler

# What HTTP itself says, of which no profile speaks.
OF_HTTP = {"host", "connection", "content-type", "content-length"}
OF_A_HANDSHAKE = {"host", "connection", "upgrade", "sec-websocket-key", "sec-websocket-version"}
STREAM = "GET /api/v1/users/tasks/stream"
# What Howler's HTTP says by itself where a profile does not.
UNSAID = {"plain": {"accept-encoding": "gzip, deflate"}, "browser": {}}


def heard(request: dict[str, Any], but: set[str]) -> dict[str, str]:
    """Return the headers that came with a request, without those of HTTP, by their names in small letters."""
    named = {name.lower(): value for name, value in request["headers"].items()}
    return {name: value for name, value in named.items() if name not in but}


@pytest.mark.parametrize("setting", ["plain", "browser"])
async def test_the_platform_hears_the_profile_of_each_call(setting: str, tmp_path: Path) -> None:
    """P11: a turn lists, creates, looks, streams and stops; each call has its profile and nothing besides."""
    env = {"HOWLER_UPSTREAM_HEADERS": setting}
    async with Howler(tmp_path, facade=False, env=env) as howler:
        events = await howler.turn("hello", retention=TaskRetention.TASK_RETENTION_STOP)
        assert events[-1].ended.reason == EndReason.END_REASON_COMPLETED
        requests = (await howler.sandbox.state())["request_log"]
        url = howler.sandbox.url
    api, websocket = (
        {name.lower(): value for name, value in headers.golden(kind, setting, url).items()}
        for kind in ("api", "websocket")
    )
    calls = {request["route"]: request for request in requests}
    assert {"GET /api/v1/users/models", "POST /api/v1/users/tasks", STREAM} <= set(calls)
    assert heard(calls.pop(STREAM), OF_A_HANDSHAKE) == websocket
    for request in calls.values():
        assert heard(request, OF_HTTP) == UNSAID[setting] | api
