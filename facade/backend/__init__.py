"""The gRPC server as the facade sees it: the only owner of stubs, the only reader of gRPC's errors."""

from facade.backend.client import Backend

__all__ = ["Backend"]
