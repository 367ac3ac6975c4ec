"""The reference of the HTTP API: an OpenAPI document. It is made once; no request goes through it."""

from facade.reference.document import document

__all__ = ["document"]
