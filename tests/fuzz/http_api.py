"""`make fuzz-http`: schemathesis on the OpenAPI document, against real processes and the sandbox.

Nothing it sends may be answered by a 5xx, by another status, type or shape than
the document says. CASES is how many it makes up for each operation beside the
examples and the edges. schemathesis is fetched by uv: it is no part of the lock.
"""

import asyncio
import os
import sys
import tempfile
from pathlib import Path
from typing import Final

from tests.support.howler import Howler

_TOOL: Final = "schemathesis==4.32.5"
_CHECKS: Final = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
)
_ENV: Final = {"HOWLER_TURN_TIMEOUT": "10", "HOWLER_ACCOUNT_SLOTS": "3"}


async def main(cases: str) -> int:
    """Run it; 0 where nothing was found."""
    with tempfile.TemporaryDirectory() as folder:
        async with Howler(Path(folder), env=_ENV) as howler:
            uv = Path(sys.executable).with_name("uv")
            command = [str(uv), "tool", "run", "--quiet", "--from", _TOOL, "schemathesis", "run"]
            options = ["--phases", "examples,coverage,fuzzing", "--checks", _CHECKS, "--no-color"]
            limits = ["--max-examples", cases, "--request-timeout", "60"]
            process = await asyncio.create_subprocess_exec(
                *command, f"{howler.facade.address}/openapi.json", *options, *limits, cwd=folder
            )
            found = await process.wait()
            incidents = howler.facade.errors.count("incident")
    if incidents:
        print(f"fuzz-http: {incidents} lines of the facade's log tell of incidents", file=sys.stderr)
    return found or int(incidents > 0)


if __name__ == "__main__":
    sys.exit(asyncio.run(main(os.environ.get("CASES", "50"))))
