"""HTTP/1.1 as uvicorn's server has it spoken: uvicorn listens, ticks and ends, httptools reads.

What uvicorn's own protocol costs beside that is a fifth of a chat (docs/decisions/0031).
"""

from facade.http.connection import Connection

__all__ = ["Connection"]
