"""Forks Howler's programs from processes that have imported them: importing takes longer than most tests.

`python -m tests.support.nursery NAME` is the nursery of `python -m NAME`, and its stdin a socket. For every
message there it forks a child that takes over the arguments, the environment, the working directory and the
files of the message, and then is what `python -m NAME` would be. It answers with the child's process id, and
tells the child's end in the last of the files. There is one per program and test run; it ends with the
socket, and its children with it. `make run` starts the programs as people do, and so do its tests.
"""

import gc
import importlib
import json
import os
import random
import runpy
import select
import signal
import socket
import sys
from contextlib import suppress
from typing import NoReturn

FILES = 4  # stdin, stdout, stderr, and where the end is told
MESSAGE = 1 << 17  # bytes: an environment may be long


def main(name: str) -> None:
    """Fork a child for every message."""
    module = importlib.import_module(name)
    main_module = f"{name}.__main__" if hasattr(module, "__path__") else name
    importlib.import_module(main_module)
    del sys.modules[main_module]  # the child runs it, for the first time as far as it knows
    gc.freeze()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # one of the tests ends the children, then us
    orders = socket.socket(fileno=0)
    awake, waking = os.pipe()
    os.set_blocking(waking, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(waking, warn_on_full_buffer=False)
    ends: dict[int, int] = {}
    while True:
        ready, _, _ = select.select([orders, awake], [], [])
        if awake in ready:
            os.read(awake, 4096)
            tell(ends)
        if orders in ready:
            message, files, _, _ = socket.recv_fds(orders, MESSAGE, FILES)
            if not message:
                break
            pid = os.fork()
            if pid == 0:
                signal.set_wakeup_fd(-1)
                for file in (orders.detach(), awake, waking, *ends.values()):
                    os.close(file)
                become(name, files, **json.loads(message))
            ends[pid] = files.pop()
            for file in files:
                os.close(file)
            orders.send(str(pid).encode())
    for pid in ends:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def tell(ends: dict[int, int]) -> None:
    """Tell the ends of the children that have ended."""
    with suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG)) != (0, 0):
            file = ends.pop(ended[0])
            with suppress(BrokenPipeError):  # nobody asks
                os.write(file, str(os.waitstatus_to_exitcode(ended[1])).encode())
            os.close(file)


def become(name: str, files: list[int], *, arguments: list[str], env: dict[str, str], cwd: str) -> NoReturn:
    """Be what `python -m NAME` is with these arguments, environment, directory and files; does not return."""
    for number, file in enumerate(files[:-1]):
        os.dup2(file, number)
    for file in files:
        os.close(file)
    for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGCHLD, signal.SIG_DFL)):
        signal.signal(number, usual)
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    random.seed()
    sys.argv = [name, *arguments]
    runpy.run_module(name, run_name="__main__", alter_sys=True)
    sys.exit()


if __name__ == "__main__":
    main(*sys.argv[1:])
