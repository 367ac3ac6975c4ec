"""The whole bench, in small, from its command line to its report."""

import asyncio
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

from tests.support.process import ROOT

PEER = f"sse={sys.executable} -m bench.stub --dialect openai --port {{port}}"
"""A peer that answers chats by itself: what is tested is that any command line can be one."""

COLUMNS = [
    "| scenario | what | measured | goal | met |",
    "| scenario | gateway | streams ok | unit | norm | norm by process | less requests | raw | × howler "
    "| events/s |",
    "| scenario | gateway | TTFT p50, ms | p99 | TTFT added p50 | p99 | token delay p50, ms | p99 "
    "| delay added p50 | p99 |",
    "| gateway | streams | PSS, MiB | KiB per stream | by process |",
    "| store | processes × callers | cycles/s | p50, ms | p99, ms | no slot |",
    "| scenario | gateway | round | ok | s | CPU s | raw | norm | probe µs | foreign / stolen | load CPU "
    "| events/read | B/event |",
]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def run(*arguments: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.run", *arguments),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(600):
            said, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()
    assert process.returncode is not None
    return process.returncode, said.decode(), errors.decode()


async def test_the_smallest_run_reads_every_token_and_writes_its_report(tmp_path: Path) -> None:
    code, said, errors = await run("--size", "smoke", "--out", str(tmp_path), "--peer", PEER)
    assert code == 0, said + errors
    assert "FAILED" not in said
    page = (tmp_path / "latest.md").read_text()
    for head in COLUMNS:
        assert head in page
    assert "streams failed**: every token was read once and in order." in page
    for scenario in ("burst", "p1", "p50", "p200", "p1000s", "request"):
        for gateway in ("howler", "sse"):
            assert f"| {scenario} | {gateway} | " in page
    assert "server " in page
    assert "facade " in page
    dated, chart, latest = names(tmp_path)
    assert (dated.removesuffix(".md"), latest) == (chart.removesuffix(".svg"), "latest.md")
    assert (tmp_path / dated).read_text() == page
    assert f"![chart]({chart})" in page
    assert ET.fromstring((tmp_path / chart).read_text()).tag.endswith("svg")


async def test_the_responses_api_is_checked_as_chat_is(tmp_path: Path) -> None:
    code, said, errors = await run(
        "--size", "smoke", "--only", "p50", "--api", "responses", "--out", str(tmp_path)
    )
    assert code == 0, said + errors
    assert "**0 of " in (tmp_path / "latest.md").read_text()


async def test_a_peer_that_does_not_start_is_told_in_one_line(tmp_path: Path) -> None:
    peer = f"broken={sys.executable} -c 'raise SystemExit(\"no such thing\")'"
    code, _, errors = await run("--size", "smoke", "--only", "p1", "--out", str(tmp_path), "--peer", peer)
    assert code == 2
    assert errors.startswith("bench: broken ended at once; its last words: no such thing")
    assert names(tmp_path) == []
