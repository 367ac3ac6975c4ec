"""What tests of the facade need: events in short, a scripted gRPC peer, a facade on a real socket."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc
import uvicorn
from google.protobuf import any_pb2, duration_pb2
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio
from grpc_status import rpc_status
from howler.error.v1.error_reason_pb2 import ErrorReason
from howler.model.v1 import model_service_pb2 as models_pb2
from howler.model.v1 import model_service_pb2_grpc as models_grpc
from howler.task.v1 import task_event_pb2 as pb
from howler.task.v1 import task_service_pb2 as tasks_pb2
from howler.task.v1 import task_service_pb2_grpc as tasks_grpc

from facade.app import create_app
from facade.backend import Backend
from facade.openai.start import Rules
from facade.routes.front import Front
from facade.sse import Pace

MODEL = models_pb2.Model(id="monkeycode/OpenAI/gpt-x", provider="OpenAI", model="gpt-x", context_limit=1000)


def accepted(model: str = MODEL.id) -> pb.TaskEvent:
    """The turn is accepted."""
    told = pb.Accepted(turn_id="turn_1", task_id="task_1", model=models_pb2.Model(id=model))
    return pb.TaskEvent(accepted=told)


def started() -> pb.TaskEvent:
    """The agent begins."""
    return pb.TaskEvent(started=pb.Started())


def text(said: str) -> pb.TaskEvent:
    """More of the answer."""
    return pb.TaskEvent(text_delta=pb.TextDelta(text=said))


def thought(said: str) -> pb.TaskEvent:
    """More of a thought."""
    return pb.TaskEvent(thought_delta=pb.ThoughtDelta(text=said))


def tool(call_id: str, state: int, **fields: Any) -> pb.TaskEvent:
    """A change of a tool call; states are 1 pending, 2 running, 3 completed, 4 failed."""
    fields = {"title": "Bash", "kind": "execute"} | fields
    return pb.TaskEvent(tool_call=pb.ToolCall(id=call_id, state=pb.ToolCallState.ValueType(state), **fields))


def plan(*steps: tuple[str, int]) -> pb.TaskEvent:
    """The plan: its steps and how far each is (1 pending, 2 begun, 3 done)."""
    entries = [pb.PlanEntry(content=c, status=pb.PlanEntryStatus.ValueType(s)) for c, s in steps]
    return pb.TaskEvent(plan=pb.Plan(entries=entries))


def ended(reason: int = pb.EndReason.END_REASON_COMPLETED, **fields: Any) -> pb.TaskEvent:
    """The end, with a usage of 12 and 5 tokens."""
    tokens = pb.TokenUsage(
        input_tokens=12, output_tokens=5, total_tokens=17, source=pb.UsageSource.USAGE_SOURCE_EXACT
    )
    told = pb.Ended(reason=pb.EndReason.ValueType(reason), usage=pb.Usage(tokens=tokens), **fields)
    return pb.TaskEvent(time_unix_ms=1_795_000_042_000, ended=told)


def failed(error: int = ErrorReason.ERROR_REASON_AGENT_ERROR, message: str = "it broke") -> pb.TaskEvent:
    """The end, by a failure."""
    return ended(pb.EndReason.END_REASON_FAILED, error=error, message=message)


@dataclass(frozen=True)
class Refusal:
    """The RPC fails here: with a reason of the alphabet, or with a bare code."""

    reason: str = ""
    message: str = ""
    retry_after: float | None = None
    code: grpc.StatusCode = grpc.StatusCode.UNAVAILABLE

    async def abort(self, context: grpc.aio.ServicerContext[Any, Any]) -> None:
        """Fail the RPC as server/rpc/status.py spells it."""
        if not self.reason:
            await context.abort(self.code, self.message)
        details = [_packed(ErrorInfo(reason=self.reason, domain="howler"))]
        if self.retry_after is not None:
            delay = duration_pb2.Duration()
            delay.FromNanoseconds(int(self.retry_after * 1e9))
            details.append(_packed(RetryInfo(retry_delay=delay)))
        code = self.code.value[0]
        status = Status(code=code, message=self.message, details=details)
        await context.abort_with_status(rpc_status.to_status(status))


def _packed(message: Any) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed


Step = Sequence[pb.TaskEvent] | Refusal | asyncio.Event


@dataclass
class Peer(tasks_grpc.TaskServiceServicer, models_grpc.ModelServiceServicer):
    """A gRPC server that plays a script: batches to send, events to wait for, a failure to end with."""

    script: Sequence[Step] = ()
    starts: list[tasks_pb2.StartTurn] = field(default_factory=list)
    request_ids: list[str] = field(default_factory=list)
    left: asyncio.Event = field(default_factory=asyncio.Event)
    played: asyncio.Event = field(default_factory=asyncio.Event)
    resolves: list[models_pb2.ResolveRequest] = field(default_factory=list)

    async def Stream(self, request: Any, context: Any) -> AsyncIterator[tasks_pb2.StreamResponse]:
        """Play the script to its end (`played`), or until the caller goes (`left`)."""
        self.starts.append(request.start)
        self.request_ids += [v for k, v in context.invocation_metadata() or () if k == "x-request-id"]
        try:
            for step in self.script:
                if isinstance(step, Refusal):
                    await step.abort(context)
                elif isinstance(step, asyncio.Event):
                    await step.wait()
                else:
                    yield tasks_pb2.StreamResponse(events=step)
            self.played.set()
        except asyncio.CancelledError:
            self.left.set()
            raise

    async def List(self, request: Any, context: Any) -> models_pb2.ListResponse:
        """List one model, or fail as the script says."""
        if self.script and isinstance(self.script[0], Refusal):
            await self.script[0].abort(context)
        return models_pb2.ListResponse(models=[MODEL])

    async def Resolve(self, request: Any, context: Any) -> models_pb2.ResolveResponse:
        """Know one model by its id."""
        self.resolves.append(request)
        if request.model != MODEL.id and request.strict:
            await Refusal("MODEL_NOT_FOUND", "no such model", code=grpc.StatusCode.NOT_FOUND).abort(context)
        return models_pb2.ResolveResponse(model=MODEL)


@contextlib.asynccontextmanager
async def serve_peer(peer: Peer) -> AsyncIterator[str]:
    """Serve the peer on loopback; gives its address."""
    server = grpc.aio.server()
    tasks_grpc.add_TaskServiceServicer_to_server(peer, server)
    models_grpc.add_ModelServiceServicer_to_server(peer, server)
    health = health_aio.HealthServicer()
    await health.set("", health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)


@contextlib.asynccontextmanager
async def serve_facade(
    target: str, *, pace: Pace | None = None, rules: Rules | None = None, max_body_bytes: int = 10_000_000
) -> AsyncIterator[str]:
    """Serve the facade on loopback, connected to the target; gives its base URL without `/v1`."""
    backend = Backend(target)
    front = Front(backend, rules or Rules(), max_body_bytes, pace or Pace())
    config = uvicorn.Config(
        create_app(front),
        port=0,
        http="httptools",
        ws="websockets-sansio",
        lifespan="off",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    try:
        while not server.started:
            await asyncio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        backend.end_turns()
        server.should_exit = True
        await serving
        await backend.close()
