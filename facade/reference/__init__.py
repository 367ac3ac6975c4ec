"""The reference of the HTTP API: an OpenAPI document. It is made once; no request goes through it."""

from facade.reference.document import document
from facade.reference.page import page

__all__ = ["document", "page"]
