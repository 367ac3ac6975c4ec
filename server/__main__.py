"""The server's composition root: settings -> store -> pool -> turns -> services.

`python -m server [serve]`. When it listens it says so in one line on stdout;
a setting that cannot be meant is one line on stderr and exit code 2.
"""

import argparse
import asyncio
import logging
import os
import signal
import socket
import sys
import time
from contextlib import AsyncExitStack
from typing import Any, Final

import grpc
import uvloop
from dotenv import dotenv_values
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio
from grpc_reflection.v1alpha import reflection
from howler.model.v1 import model_service_pb2, model_service_pb2_grpc
from howler.pool.v1 import pool_service_pb2, pool_service_pb2_grpc
from howler.task.v1 import task_service_pb2, task_service_pb2_grpc
from howler.task.v1.task_service_pb2 import Task
from pydantic import ValidationError

from server.catalog.cache import Catalog
from server.config import PREFIX, Settings, host_and_port, unknown_names
from server.errors import ServiceError
from server.pool.account import Credentials, TaskId
from server.pool.accounts_file import read_accounts
from server.pool.pool import Pool
from server.rpc.interceptors import Edge
from server.rpc.model_service import ModelService
from server.rpc.pool_service import PoolService
from server.rpc.task_service import TaskService
from server.store.errors import StoreError
from server.store.sqlite import Store
from server.turn.create import Creator
from server.turn.dialect import Spoken
from server.turn.hub import Hub
from server.turn.limits import Limits
from server.turn.rooms import Rooms
from server.turn.stopper import Stopper
from server.upstream.headers import PROFILES
from server.upstream.listing import Offers, keep_current
from server.upstream.platform import Platform

_log = logging.getLogger("howler")

SERVICES: Final = (
    task_service_pb2.DESCRIPTOR.services_by_name["TaskService"].full_name,
    model_service_pb2.DESCRIPTOR.services_by_name["ModelService"].full_name,
    pool_service_pb2.DESCRIPTOR.services_by_name["PoolService"].full_name,
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


class Misconfigured(Exception):
    """A setting cannot be meant; the message is one line that names it."""


def main(arguments: list[str]) -> int:
    """Run a subcommand and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m server", description="The gRPC server of Howler.")
    parser.add_argument("command", nargs="?", choices=["serve"], default="serve", help="serve (default)")
    parser.parse_args(arguments)
    try:
        settings = read_settings()
        logging.basicConfig(
            level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s"
        )
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(settings))
    except (Misconfigured, StoreError) as error:
        print(f"server: {error}", file=sys.stderr)
        return 2
    return 0


def read_settings() -> Settings:
    """Return the settings. Raises Misconfigured where one is wrong or unknown."""
    names = frozenset(name.upper() for name in (*os.environ, *dotenv_values(".env")))
    if unknown := unknown_names(names):
        raise Misconfigured(f"unknown setting {', '.join(unknown)}; docs/configuration.md lists them all")
    try:
        settings = Settings()
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_input=False)[0]
        raise Misconfigured(
            f"{PREFIX}{str(wrong['loc'][0]).upper()}: {wrong['msg'].removeprefix('Value error, ')}"
        ) from None
    if not settings.upstream_url:
        raise Misconfigured(
            "HOWLER_UPSTREAM_URL is not set: name the platform, or use `make run`, which brings a sandbox"
        )
    return settings


def credentials(settings: Settings) -> list[Credentials]:
    """Return the accounts that the settings name. Raises Misconfigured."""
    cookie = settings.upstream_cookie.get_secret_value()
    password = settings.upstream_password.get_secret_value()
    own = []
    if cookie or password or settings.upstream_email:
        own = [Credentials(email=settings.upstream_email, password=password, cookie=cookie)]
    try:
        for given in own:
            given.checked()
    except ServiceError as error:
        raise Misconfigured(
            f"HOWLER_UPSTREAM_COOKIE, HOWLER_UPSTREAM_EMAIL, HOWLER_UPSTREAM_PASSWORD: {error.message}"
        ) from None
    try:
        return own + (read_accounts(settings.accounts_file) if settings.accounts_file else [])
    except ValueError as error:
        raise Misconfigured(f"HOWLER_ACCOUNTS_FILE: {error}") from None


async def serve(settings: Settings) -> None:
    """Serve until SIGINT or SIGTERM, then end in order. Raises Misconfigured and StoreError."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    accounts = credentials(settings)
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        store = await enter(Store(settings.database_url))
        platform = await enter(platform_of(settings))

        async def evict(task: Task) -> None:
            await stopper.stop_upstream(task)

        pool = Pool(store, platform, evict=evict, default_slots=settings.account_slots)
        stopper = Stopper(pool, platform, store)
        await enter(pool)
        catalog = Catalog(Offers(pool, platform).load)
        stack.push_async_callback(catalog.close)
        current = asyncio.create_task(keep_current(pool, catalog), name="catalogue keeper")
        stack.callback(current.cancel)
        hub = Hub(rooms_of(settings, pool, platform, catalog, store, stopper))
        stack.push_async_callback(hub.close, settings.shutdown_grace)
        await pool.register(accounts)

        health = health_aio.HealthServicer()
        server = grpc.aio.server(interceptors=[Edge()], options=OPTIONS)
        task_service_pb2_grpc.add_TaskServiceServicer_to_server(
            TaskService(hub, store, settings.relay_gather_ms / 1000), server
        )
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(ModelService(catalog), server)
        pool_service_pb2_grpc.add_PoolServiceServicer_to_server(
            PoolService(pool, settings.queue_timeout), server
        )
        health_pb2_grpc.add_HealthServicer_to_server(health, server)
        reflection.enable_server_reflection(
            (*SERVICES, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name, reflection.SERVICE_NAME),
            server,
        )
        address = await listen(server, settings.grpc_addr)
        for name in ("", *SERVICES):
            await health.set(name, health_pb2.HealthCheckResponse.SERVING)
        print(f"server: serving {address}", flush=True)
        await stop.wait()
        _log.info("shutting down")
        await health.enter_graceful_shutdown()
        await hub.close(settings.shutdown_grace)
        await server.stop(STOP_SECONDS)


def platform_of(settings: Settings) -> Platform:
    """Return the platform that the settings name. Raises Misconfigured."""
    try:
        return Platform(
            settings.upstream_url,
            connect_timeout=settings.connect_timeout,
            image_id=settings.upstream_image_id,
            host_id=settings.upstream_host_id,
            basic_auth=settings.upstream_basic_auth.get_secret_value(),
            ca_file=settings.upstream_ca_file,
            profiles=PROFILES[settings.upstream_headers],
        )
    except ValueError as error:
        raise Misconfigured(f"HOWLER_UPSTREAM_URL or HOWLER_UPSTREAM_CA_FILE: {error}") from None


def rooms_of(
    settings: Settings, pool: Pool, platform: Platform, catalog: Catalog, store: Store, stopper: Stopper
) -> Rooms:
    """Return what turns work with."""

    async def recorded(task_id: TaskId) -> bool:
        return await store.task(task_id) is not None

    return Rooms(
        pool=pool,
        platform=platform,
        catalog=catalog,
        store=store,
        creator=Creator(platform, recorded, time.time),
        stopper=stopper,
        spoken=Spoken(settings.upstream_dialect),
        limits=Limits(
            queue=settings.queue_timeout,
            boot=settings.boot_timeout,
            first_event=settings.first_event_timeout,
            idle=settings.idle_timeout,
            turn=settings.turn_timeout,
            detach=settings.disconnect_grace,
        ),
    )


async def listen(server: Any, address: str) -> str:
    """Bind and start the server and return where it listens. Raises Misconfigured."""
    host, _, _ = address.rpartition(":")
    _check_free(address)
    try:
        port = server.add_insecure_port(address)
    except RuntimeError:
        port = 0
    if not port:
        raise Misconfigured(f"HOWLER_GRPC_ADDR: cannot listen on {address}")
    await server.start()
    return f"{host}:{port}"


def _check_free(address: str) -> None:
    """Bind the address once beforehand: it fails in words, where gRPC logs lines of its own."""
    host, port = host_and_port(address)
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        raise Misconfigured(f"HOWLER_GRPC_ADDR: cannot listen on {address}: {error.strerror}") from None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
