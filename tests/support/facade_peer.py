"""A gRPC server for tests of the facade: it plays scripts over Relay, by the letter of the contract."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio
from grpc_status import rpc_status
from howler.model.v1 import model_service_pb2 as models_pb2
from howler.model.v1 import model_service_pb2_grpc as models_grpc
from howler.response.v1 import response_service_pb2 as responses_pb2
from howler.response.v1 import response_service_pb2_grpc as responses_grpc
from howler.task.v1 import task_event_pb2 as pb
from howler.task.v1 import task_service_pb2_grpc as tasks_grpc
from howler.task.v1.relay_pb2 import RelayRequest, RelayResponse, TurnFrame, WatchTurn
from howler.task.v1.start_turn_pb2 import StartTurn
from howler.task.v1.task_service_pb2 import CancelTurnResponse, GetTurnResponse, TurnRecord

MODEL = models_pb2.Model(id="monkeycode/OpenAI/gpt-x", provider="OpenAI", model="gpt-x", context_limit=1000)
WINDOW = 262_144
MESSAGE = 1 << 20
OPTIONS = (("grpc.max_receive_message_length", 16 << 20), ("grpc.so_reuseport", 0))


@dataclass(frozen=True)
class Refusal:
    """The turn fails here: with a reason of the alphabet, or with a bare code."""

    reason: str = ""
    message: str = ""
    retry_after: float | None = None
    code: grpc.StatusCode = grpc.StatusCode.UNAVAILABLE

    def status(self) -> Status:
        """Return it as the server spells it."""
        details = [_packed(ErrorInfo(reason=self.reason, domain="howler"))] if self.reason else []
        if self.retry_after is not None:
            delay = duration_pb2.Duration()
            delay.FromNanoseconds(int(self.retry_after * 1e9))
            details.append(_packed(RetryInfo(retry_delay=delay)))
        return Status(code=self.code.value[0], message=self.message, details=details)

    async def abort(self, context: grpc.aio.ServicerContext[Any, Any]) -> None:
        """Fail a whole RPC with it."""
        if not self.reason:
            await context.abort(self.code, self.message)
        await context.abort_with_status(rpc_status.to_status(self.status()))


def _packed(message: Any) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed


Step = Sequence[pb.TaskEvent] | Refusal | asyncio.Event
Script = Sequence[Step]


class Violation(Exception):
    """The facade broke the protocol of Relay."""


class Responses(responses_grpc.ResponseServiceServicer):
    """Keeps responses in memory."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], responses_pb2.Response] = {}

    async def Create(
        self, request: responses_pb2.CreateRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> responses_pb2.CreateResponse:
        """Keep one."""
        response = request.response
        self.kept[response.response_id, response.principal] = response
        return responses_pb2.CreateResponse(response=response)

    async def Get(
        self, request: responses_pb2.GetRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> responses_pb2.GetResponse:
        """Give one back."""
        found = self.kept.get((request.response_id, request.principal))
        if found is None:
            await Refusal("RESPONSE_NOT_FOUND", code=grpc.StatusCode.NOT_FOUND).abort(context)
        return responses_pb2.GetResponse(response=found)


@dataclass(eq=False)
class Played:
    """A turn that is played, with all that it told."""

    turn_id: str
    events: list[pb.TaskEvent] = field(default_factory=list)
    failed: Status | None = None

    def tell(self, events: Sequence[pb.TaskEvent]) -> None:
        """Append events, numbered."""
        for event in events:
            told = pb.TaskEvent()
            told.CopyFrom(event)
            told.seq = len(self.events) + 1
            if told.HasField("accepted"):
                told.accepted.turn_id = self.turn_id
            self.events.append(told)


@dataclass
class Seat:
    """A turn on a Relay: how many of its events were sent, its window, and whether it is looked at only."""

    turn: Played
    sent: int = 0
    credit: int = WINDOW
    until_now: bool = False

    def frame(self, tag: int) -> tuple[TurnFrame | None, bool]:
        """Return what may be sent now, and whether that is the last of it."""
        events, turn = [], self.turn
        first = self.sent + 1
        while self.credit > 0 and self.sent < len(turn.events):
            events.append(turn.events[self.sent])
            self.credit -= events[-1].ByteSize()
            self.sent += 1
        if self.sent == len(turn.events) and turn.failed is not None:
            frame = TurnFrame(tag=tag, events=events, failed=turn.failed)
        elif events:
            frame = TurnFrame(tag=tag, events=events)
        elif self.until_now:
            return TurnFrame(tag=tag, told=True), True
        else:
            return None, False
        if events:
            frame.first_seq = first
        return frame, frame.HasField("failed") or events[-1].HasField("ended")


@dataclass(eq=False)
class Door:
    """One Relay that is open."""

    seats: dict[int, Seat] = field(default_factory=dict)
    used: set[int] = field(default_factory=set)
    stirred: asyncio.Event = field(default_factory=asyncio.Event)
    broken: bool = False

    def frames(self) -> list[TurnFrame]:
        """Return what all turns have ready, up to the size of a message."""
        frames, size = [], 0
        for tag, seat in list(self.seats.items()):
            frame, last = seat.frame(tag)
            if frame is not None:
                frames.append(frame)
                size += frame.ByteSize()
            if last:
                del self.seats[tag]
            if size > MESSAGE:
                self.stirred.set()
                break
        return frames


@dataclass(eq=False)
class Peer(tasks_grpc.TaskServiceServicer, models_grpc.ModelServiceServicer):
    """Plays a script for each turn: batches to send, events to wait for, a failure to end with.

    `script_of` gives the script for a turn, else all play `script`. `left` is
    set when a turn was detached, `played` when one was played to its end. Starts
    beyond the first `punctual` ones wait until `late` is set. `ended_at` says when
    turns ended, in seconds since 1970, that did not just now.
    """

    script: Script = ()
    script_of: Callable[[StartTurn], Script] | None = None
    starts: list[StartTurn] = field(default_factory=list)
    requests: list[RelayRequest] = field(default_factory=list)
    left: asyncio.Event = field(default_factory=asyncio.Event)
    played: asyncio.Event = field(default_factory=asyncio.Event)
    punctual: int = 1 << 30
    late: asyncio.Event = field(default_factory=asyncio.Event)
    ended_at: dict[str, int] = field(default_factory=dict)
    resolves: list[models_pb2.ResolveRequest] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    doors: list[Door] = field(default_factory=list)
    turns: dict[str, Played] = field(default_factory=dict)
    playing: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    relays: int = 0
    responses: Responses = field(default_factory=Responses)

    async def Relay(self, requests: Any, context: Any) -> AsyncIterator[RelayResponse]:
        """Tell the turns until the caller is done and so are they, or the Relay is to break."""
        self.relays += 1
        door = Door()
        self.doors.append(door)
        reading = asyncio.create_task(self._read(requests, door))
        reading.add_done_callback(lambda _: door.stirred.set())
        try:
            while not door.broken:
                door.stirred.clear()
                if frames := door.frames():
                    yield RelayResponse(frames=frames)
                elif reading.done() and (not door.seats or reading.exception()):
                    reading.result()
                    return
                else:
                    await door.stirred.wait()
            await context.abort(grpc.StatusCode.UNAVAILABLE, "broken on purpose")
        except Violation as violation:
            self.violations.append(str(violation))
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(violation))
        finally:
            reading.cancel()
            self.doors.remove(door)

    def break_relays(self) -> None:
        """Break every Relay that is open; the turns go on."""
        for door in self.doors:
            door.broken = True
            door.stirred.set()

    async def close(self) -> None:
        """Stop what is played."""
        for task in self.playing.values():
            task.cancel()
        await asyncio.gather(*self.playing.values(), return_exceptions=True)

    def of_kind(self, kind: str) -> list[RelayRequest]:
        """Return the requests of one kind: `start`, `watch`, `grant`, `detach`."""
        return [request for request in self.requests if request.WhichOneof("request") == kind]

    async def _read(self, requests: Any, door: Door) -> None:
        async for request in requests:
            for said in (request, *request.also):
                self.requests.append(said)
                self._receive(said, door)
            door.stirred.set()

    def _receive(self, request: RelayRequest, door: Door) -> None:
        tag, kind = request.tag, request.WhichOneof("request")
        if kind in {"start", "watch"}:
            if not tag or tag in door.seats:
                raise Violation(f"tag {tag} is in use")
            door.used.add(tag)
            if kind == "start" and len(self.starts) >= self.punctual and not self.late.is_set():
                self.playing[f"late_{tag}"] = asyncio.create_task(self._start_late(request, door))
            else:
                is_start = kind == "start"
                door.seats[tag] = self._start(request.start) if is_start else self._watch(request.watch)
        elif tag not in door.used:
            raise Violation(f"tag {tag} was never used")
        elif kind == "grant":
            if not request.grant.bytes:
                raise Violation("a grant of 0 bytes")
            if tag in door.seats:
                door.seats[tag].credit += request.grant.bytes
                if door.seats[tag].credit > WINDOW:
                    raise Violation("more was granted than was sent")
        elif kind == "detach" and tag in door.seats:
            turn = door.seats.pop(tag).turn
            self.playing[turn.turn_id].cancel()
            self.left.set()

    async def _start_late(self, request: RelayRequest, door: Door) -> None:
        await self.late.wait()
        door.seats[request.tag] = self._start(request.start)
        door.stirred.set()

    def _start(self, start: StartTurn) -> Seat:
        self.starts.append(start)
        turn = Played(start.turn_id or f"turn_{len(self.starts)}")
        self.turns[turn.turn_id] = turn
        script = self.script if self.script_of is None else self.script_of(start)
        self.playing[turn.turn_id] = asyncio.create_task(self._play(turn, script))
        return Seat(turn)

    def _watch(self, watch: WatchTurn) -> Seat:
        turn = self.turns.get(watch.turn_id)
        if turn is None:
            lost = Refusal("TURN_NOT_FOUND", "no such turn", code=grpc.StatusCode.NOT_FOUND)
            turn = Played(watch.turn_id, failed=lost.status())
        return Seat(turn, watch.after_seq if turn.events else 0, until_now=watch.until_now)

    async def _play(self, turn: Played, script: Script) -> None:
        for step in script:
            if isinstance(step, Refusal):
                turn.failed = step.status()
            elif isinstance(step, asyncio.Event):
                await step.wait()
            else:
                turn.tell(step)
            for door in self.doors:
                door.stirred.set()
            await asyncio.sleep(0)
        self.played.set()

    async def CancelTurn(self, request: Any, context: Any) -> CancelTurnResponse:
        """End a turn where it is."""
        reason = pb.EndReason.END_REASON_CANCELLED
        self.playing[request.turn_id].cancel()
        self.turns[request.turn_id].tell([pb.TaskEvent(ended=pb.Ended(reason=reason, resumable=True))])
        for door in self.doors:
            door.stirred.set()
        return CancelTurnResponse(reason=reason)

    async def GetTurn(self, request: Any, context: Any) -> GetTurnResponse:
        """Know what was started; it ended now, were it over."""
        turn = self.turns.get(request.turn_id)
        if turn is None:
            await Refusal("TURN_NOT_FOUND", code=grpc.StatusCode.NOT_FOUND).abort(context)
            raise AssertionError("aborted")
        record = TurnRecord(turn_id=turn.turn_id, last_seq=len(turn.events))
        if turn.events and turn.events[-1].HasField("ended"):
            record.end_time.FromSeconds(self.ended_at.get(turn.turn_id, int(time.time())))
        return GetTurnResponse(turn=record)

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
async def serve_peer(peer: Peer, address: str = "127.0.0.1:0") -> AsyncIterator[str]:
    """Serve the peer on loopback; gives its address. It must find that the protocol was kept."""
    server = grpc.aio.server(options=OPTIONS)
    responses_grpc.add_ResponseServiceServicer_to_server(peer.responses, server)
    tasks_grpc.add_TaskServiceServicer_to_server(peer, server)
    models_grpc.add_ModelServiceServicer_to_server(peer, server)
    health = health_aio.HealthServicer()
    await health.set("", health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    port = server.add_insecure_port(address)
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)
        await peer.close()
    assert not peer.violations
