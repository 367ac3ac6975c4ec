"""The server's composition root: settings -> store -> pool -> turns -> services, or a command on the pool.

`python -m server [serve | accounts … | secrets …]`. When it listens it says so in one line on stdout; what is
refused is one line on stderr and exit code 1, a setting or an argument that cannot be meant exit code 2.
"""

import asyncio
import gc
import logging
import signal
import sys
import time
from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack, aclosing
from typing import Final

import grpc
import uvloop
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio
from grpc_reflection.v1alpha import reflection
from howler.conversation.v1 import conversation_service_pb2, conversation_service_pb2_grpc
from howler.model.v1 import model_service_pb2, model_service_pb2_grpc
from howler.pool.v1 import pool_service_pb2, pool_service_pb2_grpc
from howler.response.v1 import response_service_pb2, response_service_pb2_grpc
from howler.task.v1 import task_service_pb2, task_service_pb2_grpc

from server.catalog.cache import Catalog
from server.commands import orders
from server.commands.accounts import Accounts, Refused
from server.commands.entries import Entry, InputError, read_entries
from server.commands.json_lines import JsonLines
from server.commands.lines import Lines
from server.commands.orders import read_order
from server.commands.secrets import rotate
from server.config import Misconfigured, Settings, host_and_port, read_settings
from server.errors import ServiceError, reason_name
from server.parts import Parts, credentials, keys_of, opened, store_of
from server.pool.account import TaskId
from server.rpc.conversation_service import ConversationService
from server.rpc.interceptors import Edge
from server.rpc.listening import listen, reachable_at
from server.rpc.model_service import ModelService
from server.rpc.owners import Owners
from server.rpc.peers import Peers
from server.rpc.pool_service import PoolService
from server.rpc.presence import Presence
from server.rpc.reach import Reach
from server.rpc.response_service import ResponseService
from server.rpc.task_service import TaskService
from server.store.addresses import Addresses
from server.store.conversations import Conversations
from server.store.errors import StoreError
from server.store.items import Items
from server.store.responses import Responses
from server.turn.counting import Counting
from server.turn.create import Creator
from server.turn.dialect import Spoken
from server.turn.hub import Hub
from server.turn.journal import Journal
from server.turn.limits import Limits
from server.turn.retiring import Retiring
from server.turn.rooms import Rooms
from server.turn.speakers import Speakers
from server.turn.sweep import Sweep
from server.turn.workspaces import Workspaces
from server.upstream.listing import Offers

_log = logging.getLogger("howler")

SERVICES: Final = (
    task_service_pb2.DESCRIPTOR.services_by_name["TaskService"].full_name,
    conversation_service_pb2.DESCRIPTOR.services_by_name["ConversationService"].full_name,
    model_service_pb2.DESCRIPTOR.services_by_name["ModelService"].full_name,
    pool_service_pb2.DESCRIPTOR.services_by_name["PoolService"].full_name,
    response_service_pb2.DESCRIPTOR.services_by_name["ResponseService"].full_name,
)
OPTIONS: Final = (
    ("grpc.so_reuseport", 0),  # a port that is taken is an error, not a second server
    ("grpc.max_receive_message_length", 16 << 20),
    ("grpc.max_send_message_length", 16 << 20),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
    ("grpc.http2.max_ping_strikes", 2),
)
STOP_SECONDS: Final = 2.0  # the turns are over by then: what is left watches the pool or the health


def main(arguments: Sequence[str]) -> int:
    """Run a command and return its exit code."""
    order = read_order(arguments)
    try:
        settings = read_settings()
        serves = isinstance(order.command, orders.Serve)
        logging.basicConfig(
            # A command tells in one line what went wrong; what the pool warns of would be a second.
            level=settings.log_level.upper() if serves or settings.log_level == "debug" else "ERROR",
            format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        )
        entries = read_entries(order.command) if isinstance(order.command, orders.Import) else []
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            match order.command:
                case orders.Serve():
                    runner.run(serve(settings))
                case orders.Rotate():
                    runner.run(rotate_secrets(settings))
                case command:
                    runner.run(
                        see_to_accounts(settings, command, entries, JsonLines() if order.json else Lines())
                    )
    except (Misconfigured, InputError, StoreError, Refused) as error:
        print(f"server: {error}", file=sys.stderr)
        return 1 if isinstance(error, Refused) else 2
    except ServiceError as error:
        print(f"server: {reason_name(error.reason)}: {error.message}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


async def serve(settings: Settings) -> None:
    """Serve until SIGINT or SIGTERM, then end in order. Raises Misconfigured and StoreError."""
    stop = asked_to_stop()
    accounts = credentials(settings)
    async with AsyncExitStack() as stack:
        parts = await stack.enter_async_context(opened(settings))
        store, pool = parts.store, parts.pool
        catalog = Catalog(Offers(pool, parts.platform).load)
        stack.push_async_callback(catalog.close)
        journal = await stack.enter_async_context(Journal(store.turns))
        rooms = rooms_of(settings, parts, catalog, journal)
        hub = Hub(rooms)
        pool.offer_orphans(hub.adopt)
        pool.heed_accounts(catalog.renew)
        await stack.enter_async_context(pool)
        for name, chore in chores_of(settings, rooms, hub, Responses(store)).items():
            stack.callback(asyncio.create_task(chore, name=name).cancel)
        stack.push_async_callback(hub.close, settings.shutdown_grace)
        await pool.register(accounts)

        addresses = Addresses(store, store.replica, settings.lease_ttl)
        reach = Reach(hub, Owners(hub, addresses), await stack.enter_async_context(Peers()))
        server = grpc.aio.server(interceptors=[Edge()], options=OPTIONS)
        add_services(server, settings, parts, rooms, reach)
        health = add_health(server)
        host, port = await bound(server, settings.grpc_addr)
        await stack.enter_async_context(
            Presence(addresses, settings.advertise_addr or reachable_at(host, port), settings.lease_renew)
        )
        for name in ("", *SERVICES):
            await health.set(name, health_pb2.HealthCheckResponse.SERVING)
        settle_memory()
        print(f"server: serving {settings.grpc_addr.rpartition(':')[0]}:{port}", flush=True)
        await stop.wait()
        _log.info("shutting down")
        await health.enter_graceful_shutdown()
        await hub.close(settings.shutdown_grace)
        await server.stop(STOP_SECONDS)


def asked_to_stop() -> asyncio.Event:
    """Return what SIGINT and SIGTERM set from now on."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    return stop


def chores_of(
    settings: Settings, rooms: Rooms, hub: Hub, responses: Responses
) -> dict[str, Coroutine[object, object, None]]:
    """Return what is to be done beside the services for as long as they serve, by name."""
    sweep = Sweep(
        hub, rooms.turns, responses, retention=settings.turn_retention, longest=settings.turn_timeout
    )
    retiring = Retiring(rooms.conversations, rooms.pool, settings.conversation_idle)
    return {
        "sweep of turns": sweep.run(),
        "end of idle conversations": retiring.run(),
    }


def add_services(
    server: grpc.aio.Server, settings: Settings, parts: Parts, rooms: Rooms, reach: Reach
) -> None:
    """Register the services of `howler.*`: those that SERVICES names."""
    store, pool = parts.store, parts.pool
    workspaces = Workspaces(pool, parts.platform, store)
    task_service_pb2_grpc.add_TaskServiceServicer_to_server(
        TaskService(reach, store, workspaces, store.replica, settings.relay_gather_ms / 1000), server
    )
    conversation_service_pb2_grpc.add_ConversationServiceServicer_to_server(
        ConversationService(rooms.conversations, Items(store), reach), server
    )
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(ModelService(rooms.catalog), server)
    pool_service_pb2_grpc.add_PoolServiceServicer_to_server(
        PoolService(pool, settings.queue_timeout, settings.lease_ttl), server
    )
    response_service_pb2_grpc.add_ResponseServiceServicer_to_server(ResponseService(Responses(store)), server)


def add_health(server: grpc.aio.Server) -> health_aio.HealthServicer:
    """Register health and reflection, and return the health: it is told later which services serve."""
    health = health_aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    shown = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
    reflection.enable_server_reflection((*SERVICES, shown, reflection.SERVICE_NAME), server)
    return health


async def bound(server: grpc.aio.Server, address: str) -> tuple[str, int]:
    """Let the server listen, and return at which host and port it does. Raises Misconfigured."""
    host, port = host_and_port(address)
    try:
        return host, await listen(server, host, port)
    except OSError as error:
        raise Misconfigured(f"HOWLER_GRPC_ADDR: cannot listen on {address}: {error.strerror}") from None


def settle_memory() -> None:
    """Take what is there now for what stays: the collector looks through it no more, and looks less often.

    A request leaves little for it. Both together take a tenth of a request's CPU away.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


async def see_to_accounts(
    settings: Settings, order: orders.OnAccounts, entries: Sequence[Entry], form: JsonLines | Lines
) -> None:
    """Carry out an order on accounts. Raises Refused, ServiceError, Misconfigured and StoreError."""
    async with opened(settings) as parts, parts.pool.visit():
        await Accounts(parts.pool, parts.platform, form, say).carry_out(order, entries)


async def rotate_secrets(settings: Settings) -> None:
    """Seal every secret with a new key. Raises Misconfigured and StoreError."""
    async with store_of(settings) as store, aclosing(rotate(store, keys_of(settings))) as steps:
        async for step in steps:
            say(step)


def say(line: str) -> None:
    """Tell a line on stdout."""
    print(line, flush=True)


def rooms_of(settings: Settings, parts: Parts, catalog: Catalog, journal: Journal) -> Rooms:
    """Return what turns work with."""

    async def recorded(task_id: TaskId) -> bool:
        return await parts.store.task(task_id) is not None

    return Rooms(
        pool=parts.pool,
        platform=parts.platform,
        catalog=catalog,
        store=parts.store,
        turns=parts.store.turns,
        journal=journal,
        conversations=Conversations(parts.store),
        speakers=Speakers(),
        creator=Creator(parts.platform, recorded, time.time),
        stopper=parts.stopper,
        counting=Counting(parts.platform, settings.usage_wait),
        spoken=Spoken(settings.upstream_dialect),
        limits=Limits(
            queue=settings.queue_timeout,
            boot=settings.boot_timeout,
            first_event=settings.first_event_timeout,
            idle=settings.idle_timeout,
            reattach=settings.reattach_timeout,
            turn=settings.turn_timeout,
            detach=settings.disconnect_grace,
            retention=settings.turn_retention,
        ),
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
