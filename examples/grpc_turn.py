"""Runs one agent turn over gRPC and prints it as it happens.

    make run                                   # in another terminal
    .venv/bin/python examples/grpc_turn.py "Say hello"

Takes the server's address from HOWLER_GRPC_TARGET, 127.0.0.1:50051 by default.
"""

import asyncio
import os
import sys

import grpc
from google.rpc.error_details_pb2 import ErrorInfo
from grpc_status import rpc_status
from howler.task.v1.start_turn_pb2 import StartTurn, TaskRetention
from howler.task.v1.task_event_pb2 import EndReason, TaskEvent
from howler.task.v1.task_service_pb2 import StreamRequest
from howler.task.v1.task_service_pb2_grpc import TaskServiceStub
from howler.task.v1.tool_call_pb2 import ToolCallState


def show(event: TaskEvent) -> None:
    """Print one event: the answer to stdout, everything else to stderr."""
    match event.WhichOneof("event"):
        case "accepted":
            print(f"[{event.accepted.model.id}, task {event.accepted.task_id}]", file=sys.stderr)
        case "progress":
            print(f"[{event.progress.stage} {event.progress.percent} %]", file=sys.stderr)
        case "text_delta":
            print(event.text_delta.text, end="", flush=True)
        case "thought_delta":
            print(event.thought_delta.text, end="", file=sys.stderr, flush=True)
        case "tool_call":
            call = event.tool_call
            print(f"\n[{call.title}: {ToolCallState.Name(call.state)}]", file=sys.stderr)
        case "ended":
            ended = event.ended
            tokens = ended.usage.tokens
            print(
                f"\n[{EndReason.Name(ended.reason)}, {tokens.total_tokens} tokens] {ended.message}",
                file=sys.stderr,
            )


async def main(prompt: str) -> int:
    """Run the turn; return 0 when it completed."""
    start = StartTurn(prompt=prompt, retention=TaskRetention.TASK_RETENTION_STOP)
    reason = EndReason.END_REASON_UNSPECIFIED
    async with grpc.aio.insecure_channel(os.environ.get("HOWLER_GRPC_TARGET", "127.0.0.1:50051")) as channel:
        try:
            async for response in TaskServiceStub(channel).Stream(StreamRequest(start=start)):
                for event in response.events:
                    show(event)
                    reason = event.ended.reason or reason
        except grpc.aio.AioRpcError as error:
            print(f"{error.code().name}: {error.details()}", file=sys.stderr)
            status = rpc_status.from_call(error)  # None where no server answered
            info = ErrorInfo()
            for detail in status.details if status else ():
                if detail.Unpack(info):
                    print(f"reason: {info.reason}", file=sys.stderr)
            return 1
    return 0 if reason == EndReason.END_REASON_COMPLETED else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main(" ".join(sys.argv[1:]) or "Say hello")))
