"""The gRPC services: check, call, nothing else."""
