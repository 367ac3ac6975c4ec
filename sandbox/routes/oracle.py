"""The sandbox's own control endpoint: faults to order, and what was received. No auth."""

import time
from dataclasses import asdict
from typing import Any

import msgspec
from aiohttp import web

from sandbox.agent.repertoire import REPERTOIRE
from sandbox.routes.caller import backend_of
from sandbox.routes.envelope import reply
from sandbox.world.backend import Backend
from sandbox.world.faults import AccountFault, FaultOrder, MachineFault
from sandbox.world.task import Task

routes = web.RouteTableDef()


@routes.get("/readyz")
async def ready(_request: web.Request) -> web.Response:
    """Say that the sandbox serves."""
    return web.Response(text="ready\n")


@routes.get("/__sandbox/scenarios")
async def scenarios(_request: web.Request) -> web.Response:
    """List what the agent plays."""
    return reply(200, {"scenarios": REPERTOIRE.described()})


@routes.put("/__sandbox/faults")
async def order_faults(request: web.Request) -> web.Response:
    """Order faults (world/faults.py); 400 with the reason if the order makes no sense."""
    try:
        order = msgspec.json.decode(await request.read(), type=FaultOrder)
    except msgspec.DecodeError as error:
        return reply(400, {"error": str(error)})
    backend = backend_of(request)
    backend.faults.order(order)
    if isinstance(order.accounts, AccountFault):
        backend.accounts.expire(order.accounts.expire)
        backend.accounts.block(order.accounts.block)
        backend.accounts.change_plans(order.accounts.plans)
    if isinstance(order.machines, MachineFault):
        await _harm(backend, order.machines)
    return reply(200, {"faults": "ordered"})


@routes.delete("/__sandbox/faults")
async def reset_faults(request: web.Request) -> web.Response:
    """Let everything go well again; plans and sessions are those of the start again."""
    backend = backend_of(request)
    backend.faults.reset()
    backend.accounts.restore()
    return reply(200, {"faults": "reset"})


@routes.get("/__sandbox/state")
async def state(request: web.Request) -> web.Response:
    """Tell all that was received and what stands."""
    backend = backend_of(request)
    oracle = backend.oracle
    sockets = [asdict(record) for record in oracle.sockets.values()]
    return reply(
        200,
        {
            "accounts": _accounts(backend),
            "tasks": [_task(task) for task in backend.tasks],
            "sockets": {
                "opened": oracle.sockets_opened,
                "stream": sum(one["channel"] == "stream" for one in sockets),
                "control": sum(one["channel"] == "control" for one in sockets),
                "open": sockets,
            },
            "frames": list(oracle.frames),
            "requests": dict(oracle.requests),
            "request_log": list(oracle.request_log),
        },
    )


@routes.get("/__sandbox/log")
async def log(request: web.Request) -> web.Response:
    """Tell all that the agent of a task told, message by message, as it happened; 404 for an unknown task."""
    task = backend_of(request).tasks.get(request.query.get("task", ""))
    if task is None:
        return reply(404, {"error": "no such task"})
    rows = [
        {
            "turn": entry.turn,
            "seq": entry.seq,
            "type": entry.type,
            "kind": entry.kind,
            "payload": entry.payload,
        }
        for entry in task.channel.log
    ]
    return reply(200, {"log": rows})


async def _harm(backend: Backend, order: MachineFault) -> None:
    for task in backend.tasks:
        if "*" in order.kill or task.id in order.kill:
            await backend.lifecycle.lose(task)
        if "*" in order.hibernate or task.id in order.hibernate:
            backend.lifecycle.hibernate(task)


def _accounts(backend: Backend) -> list[dict[str, Any]]:
    return [
        {
            "email": account.email,
            "id": account.id,
            "slots": account.slots,
            "plan": account.plan,
            "active_tasks": backend.tasks.active(account),
            "logins": account.logins,
            "sessions": backend.accounts.sessions_of(account),
            "blocked": account.blocked,
        }
        for account in backend.accounts.users.values()
    ]


def _task(task: Task) -> dict[str, Any]:
    turns = task.agent.turns if task.agent else []
    return {
        "id": task.id,
        "account": task.account.email,
        "status": task.status,
        "deleted": task.is_deleted,
        "content": task.order.content,
        "system_prompt": task.order.system_prompt,
        "cli_name": task.order.cli_name,
        "model": f"{task.model.provider}/{task.model.model}",
        "model_id": task.model.id,
        "created_at": task.created_at,
        "vm": task.machine.status(int(time.time())) if task.machine else None,
        "auto_approve": task.auto_approve,
        "client_ips": task.client_ips,
        "control_sockets": task.control_sockets,
        "stats": task.agent.used().fields() if task.agent else None,
        "frames_logged": len(task.channel.log),
        "prompts": len(turns),
        "turns": [
            {
                "number": turn.number,
                "via": turn.via,
                "prompt": turn.prompt.text,
                "attachments": [attachment.fields() for attachment in turn.prompt.attachments],
                "ending": turn.ending.value,
                "replies": [one.payload() for one in turn.replies],
            }
            for turn in turns
        ],
    }
