"""The OpenAI-compatible HTTP front: a gRPC client of the server, without state of its own."""
