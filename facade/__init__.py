"""The OpenAI-compatible HTTP front: a gRPC client of the server, without state of its own."""

import os

# gRPC reads it once, when it is imported: that comes behind this (docs/decisions/0029).
os.environ.setdefault("GRPC_EXPERIMENTS", "-event_engine_client")
