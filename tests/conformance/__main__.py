"""`python -m tests.conformance BASE_URL [CASE …]`: the cases against a Howler that runs on a sandbox.

Cases that need settings of their own are passed over. A case that differs is asked again, twice: a turn that
was over before its stream was attached to is told as a replay, which has text elsewhere. Exit code 1 where
one fails that is not known to.
"""

import asyncio
import sys
from typing import Final

from tests.conformance.case import case_names, known_failures, read_case
from tests.conformance.run import ask_case, faults

_TRIES: Final = 3


async def main(base_url: str, names: list[str]) -> int:
    """Ask the cases one after another and tell what came of each."""
    known, failed = known_failures(), 0
    for name in names or case_names():
        case = read_case(name)
        if case.settings:
            print(f"skip  {name}: needs {', '.join(f'{k}={v}' for k, v in case.settings.items())}")
            continue
        for _ in range(_TRIES):
            wrong = faults(name, await ask_case(base_url, case))
            new = {where: why for where, why in wrong.items() if where not in known}
            if not new:
                break
        failed += bool(new)
        print(f"{'FAIL' if new else 'known' if wrong else 'pass':5} {name}: {case.about}")
        for where, why in new.items():
            print(f"      {where}: {why}")
    return 1 if failed else 0


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("usage: python -m tests.conformance BASE_URL [CASE …]")
    sys.exit(asyncio.run(main(sys.argv[1].rstrip("/"), sys.argv[2:])))
