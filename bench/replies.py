"""What the stub's REST says: just enough of the platform for a gateway to start turns, always the same."""

import time
import uuid
from typing import Any, Final

from bench.tokens import Ask

_TASKS: Final = "/api/v1/users/tasks"
_CREATED: Final = 1_795_000_000  # unix seconds; any time will do


def answer(method: str, path: str, body: bytes, tasks: dict[str, Ask]) -> dict[str, Any]:
    """Return the reply to a REST call in the platform's envelope (§1.2)."""
    if path == "/v1/models":
        return {"object": "list", "data": [{"id": "bench", "object": "model", "owned_by": "bench"}]}
    data: dict[str, Any] = {}
    if path == _TASKS and method == "POST":
        task_id = str(uuid.uuid4())
        tasks[task_id] = Ask.read(body.decode(errors="replace"))
        data = {"id": task_id, "status": "pending", "created_at": int(time.time())}
    elif path in _REPLIES:
        data = _REPLIES[path]
    elif path.startswith(_TASKS + "/") and method == "GET":
        online = {"id": "agent_bench", "status": "online", "conditions": None}
        data = {
            "id": path.removeprefix(_TASKS + "/"),
            "status": "processing",
            "content": "",
            "virtualmachine": online,
            "created_at": _CREATED,
        }
    return {"code": 0, "message": "success", "data": data}


_PUBLIC: Final = {"id": "bench-owner", "type": "public", "name": "MonkeyCode-AI"}
_REPLIES: Final[dict[str, dict[str, Any]]] = {
    "/api/v1/users/status": {
        "user": {"id": "bench-user", "name": "bench", "role": "individual", "status": "active"},
        "teams": [],
    },
    "/api/v1/users/models": {
        "models": [
            {
                "id": "0b6c4d1e-8f2a-4c55-9a57-3f1f0a9be0be",
                "provider": "BaiZhiCloud",
                "model": "bench",
                "is_default": True,
                "weight": 1,
                "owner": _PUBLIC,
                "interface_type": "openai_chat",
                "created_at": _CREATED,
            }
        ],
        "page": {"has_next_page": False},
    },
    "/api/v1/users/images": {
        "images": [
            {
                "id": "c2b1a3f4-1111-4222-8333-9444555566be",
                "name": "devbox",
                "remark": "devbox",
                "is_default": True,
                "owner": _PUBLIC,
            }
        ],
        "page": {"has_next_page": False},
    },
    "/api/v1/users/hosts": {
        "hosts": [{"id": "public_host_a_b_c", "name": "MonkeyCode-AI", "status": "online", "weight": 1}]
    },
    "/api/v1/users/subscription": {"plan": "ultra", "auto_renew": False},
    "/api/v1/server/config": {"edition": "private", "captcha_enabled": False},
    _TASKS: {"tasks": [], "page_info": {"has_next_page": False, "total_count": 0}},
    _TASKS + "/rounds": {"chunks": [], "has_more": False},
}
