"""Says how fast a core is while something else is measured on it, at 1 % duty.

A shared host gives the same core twice the speed in one minute as in another.
The probe repeats one fixed piece of work and, on SIGTERM, prints the CPU time
of a step in microseconds. A figure normalised by it, raw x REFERENCE_US / step,
estimates what a quiet core would have taken.
"""

import json
import signal
import sys
import time
from types import FrameType
from typing import Final

REFERENCE_US: Final = 6.0
"""A step on the machine of the anchors (Xeon, Firecracker, Python 3.11) in a quiet minute."""

_STEPS: Final = 80
_PAUSE: Final = 0.05  # seconds
_MATTER: Final = {"kind": "probe", "text": "0123456789ab" * 10, "seq": 1, "list": [1, 2, 3]}


def steps(count: int) -> None:
    """Do the fixed work so many times: what a gateway does to a token, in small."""
    for number in range(count):
        value = json.loads(json.dumps(_MATTER))
        value["seq"] += number
        str(value["text"]).encode().find(b"seq")


def main() -> None:
    """Run until SIGTERM."""
    stopped: list[int] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        stopped.append(number)

    signal.signal(signal.SIGTERM, stop)
    steps(_STEPS)  # warm
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    spent, done = 0.0, 0
    while not stopped or not done:
        began = time.process_time()
        steps(_STEPS)
        spent += time.process_time() - began
        done += _STEPS
        time.sleep(_PAUSE)
    sys.stdout.write(f"{spent / done * 1e6:.3f}\n")


if __name__ == "__main__":
    main()
