"""Codex CLI: one request per turn, turns on the same task, compactions without agent, its shell is called."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.clients.codex import Codex
from tests.support.howler import Howler
from tests.support.recorder import Recorder

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module")
async def codex(recorder: Recorder, tmp_path: Path) -> AsyncIterator[Codex]:
    yield Codex(tmp_path, f"{recorder.url}/v1")


async def tasks_with(howler: Howler, words: str) -> list[dict[str, Any]]:
    """Return the tasks that were asked something with these words."""
    tasks = (await howler.sandbox.state())["tasks"]
    return [task for task in tasks if any(words in turn["prompt"] for turn in task["turns"])]


async def test_a_turn(howler: Howler, recorder: Recorder, codex: Codex) -> None:
    """Issue 6: Codex finishes a turn with exactly one model request."""
    run = await codex.run("Say hello to Codex")
    assert run.code == 0, run.stderr
    assert "This is turn 1" in run.texts[-1]
    assert len(run.of("turn.completed")) == 1
    assert len(recorder.model_requests) == 1
    (task,) = await tasks_with(howler, "Say hello to Codex")
    assert len(task["turns"]) == 1


async def test_the_agents_own_tools_are_not_run_again(recorder: Recorder, codex: Codex) -> None:
    run = await codex.run("/tools")
    assert run.code == 0, run.stderr
    assert run.items("command_execution") == []
    assert run.items("file_change") == []
    assert any("Bash" in item["text"] for item in run.items("reasoning")), "its tools are told as summaries"
    assert len(recorder.model_requests) == 1
    assert not any((codex.home / "work").iterdir())


async def test_it_resumes_on_the_same_task(howler: Howler, recorder: Recorder, codex: Codex) -> None:
    """Issue 6: `codex exec resume` sends the whole history, which is recognised."""
    first = await codex.run("Codex keeps the first of two")
    second = await codex.run("resume", first.thread, "Codex keeps the second of two")
    assert (first.code, second.code) == (0, 0), second.stderr
    assert "This is turn 2" in second.texts[-1]
    assert len(recorder.model_requests) == 2
    (task,) = await tasks_with(howler, "of two")
    assert len(task["turns"]) == 2


async def test_a_failure_runs_once(howler: Howler, recorder: Recorder, codex: Codex) -> None:
    """What the agent failed at is not sent again by a client that would try six times."""
    run = await codex.run("/error once for Codex")
    assert run.code != 0
    (failed,) = run.of("turn.failed")
    assert "asked to fail" in failed["error"]["message"]
    (task,) = await tasks_with(howler, "/error once for Codex")
    assert len(task["turns"]) == 1


async def test_an_unknown_model(recorder: Recorder, codex: Codex) -> None:
    run = await codex.run("--model", "no-such-model", "Who are you?")
    assert run.code != 0
    assert len(recorder.model_requests) == 1
    assert recorder.model_requests[0].status == 404


async def test_a_compaction_runs_no_agent(howler: Howler, recorder: Recorder, tmp_path: Path) -> None:
    """§7.2: Codex asks its model to sum up when its window is full; the summary is made here."""
    codex = Codex(tmp_path, f"{recorder.url}/v1", settings="model_auto_compact_token_limit = 100")
    first = await codex.run("/usage of a window that Codex finds full")
    assert first.code == 0, first.stderr
    second = await codex.run("resume", first.thread, "What Codex asks after its compaction")
    assert second.code == 0, second.stderr
    kinds = [kind_of(asked.headers) for asked in recorder.model_requests]
    assert kinds == ["turn", "compaction", "turn"]
    (task,) = await tasks_with(howler, "full")
    assert len(task["turns"]) == 2
    assert await tasks_with(howler, "after its compaction") == [task], "the agent that keeps the rest goes on"


def kind_of(headers: dict[str, str]) -> str:
    """Return what Codex says that a request is for."""
    told = {name.lower(): value for name, value in headers.items()}["x-codex-turn-metadata"]
    return str(json.loads(told)["request_kind"])


async def test_its_catalogue(recorder: Recorder, tmp_path: Path) -> None:
    """§12: with the catalogue of /v1/models Codex warns of no fallback and declares no tools of its own."""
    codex = Codex(
        tmp_path,
        f"{recorder.url}/v1",
        model="monkeycode/OpenAI/gpt-5.5",
        features="api_key_model_discovery = true",
        provider=f'model_catalog_url = "{recorder.url}/v1/models"',
    )
    run = await codex.run("Say hello by the catalogue")
    assert run.code == 0, run.stderr
    assert run.items("error") == []
    assert any(asked.path == "/v1/models" and asked.status == 200 for asked in recorder.requests)
    (asked,) = recorder.model_requests
    names = {tool.get("name") for tool in json.loads(asked.body).get("tools", [])}
    assert "exec_command" not in names


async def test_over_a_websocket(howler: Howler, recorder: Recorder, tmp_path: Path) -> None:
    """§6.6: a prewarm that runs no agent, then one request per turn; the next process sends the whole."""
    codex = Codex(tmp_path, f"{recorder.url}/v1", provider="supports_websockets = true")
    first = await codex.run("Codex says the first of two over a socket")
    assert first.code == 0, first.stderr
    assert "This is turn 1" in first.texts[-1]
    second = await codex.run("resume", first.thread, "Codex says the second of two over a socket")
    assert second.code == 0, second.stderr
    assert "This is turn 2" in second.texts[-1]
    assert recorder.model_requests == [], "nothing went over HTTP"
    asked = [frame for frame in recorder.frames if frame.get("generate") is not False]
    assert len(asked) == 2
    assert {frame["type"] for frame in recorder.frames} == {"response.create"}
    (task,) = await tasks_with(howler, "over a socket")
    assert len(task["turns"]) == 2


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--model", "no-such-model", "Who are you over a socket?"), "no-such-model"),
        (("/error once over a socket",), "asked to fail"),
    ],
)
async def test_a_failure_over_a_websocket(
    recorder: Recorder, tmp_path: Path, arguments: tuple[str, ...], told: str
) -> None:
    """Both an `error` event and a `response.failed` end the turn at once, with the message."""
    codex = Codex(tmp_path, f"{recorder.url}/v1", provider="supports_websockets = true")
    run = await codex.run(*arguments)
    assert run.code != 0
    (failed,) = run.of("turn.failed")
    assert told in failed["error"]["message"]
    assert len([frame for frame in recorder.frames if frame.get("generate") is not False]) == 1
    assert recorder.model_requests == []


async def test_a_websocket_that_is_refused(folder: Path, tmp_path: Path) -> None:
    """426: Codex asks over HTTP then, once."""
    env = {"HOWLER_RESPONSES_WEBSOCKET": "off"}
    async with Howler(folder, env=env) as howler, Recorder(howler.facade.address) as recorder:
        codex = Codex(tmp_path, f"{recorder.url}/v1", provider="supports_websockets = true")
        run = await codex.run("Codex falls back")
        assert run.code == 0, run.stderr
        assert "This is turn 1" in run.texts[-1]
        assert len(recorder.model_requests) == 1
        assert [asked.status for asked in recorder.requests if asked.method == "GET"] == [426]


async def test_its_output_schema(howler: Howler, recorder: Recorder, codex: Codex) -> None:
    """Issue 6: `--output-schema` gives JSON that fits; an answer that does not is mended by one turn more."""
    schema = {
        "type": "object",
        "properties": {"answer": {"type": "string"}},
        "required": ["answer"],
        "additionalProperties": False,
    }
    (codex.home / "schema.json").write_text(json.dumps(schema), "utf-8")
    prompt = '/json words {"answer": "yes"}'
    run = await codex.run("--output-schema", str(codex.home / "schema.json"), prompt)
    assert run.code == 0, run.stderr
    assert json.loads(run.texts[-1]) == {"answer": "yes"}
    assert len(recorder.model_requests) == 1
    (task,) = await tasks_with(howler, prompt)
    assert len(task["turns"]) == 2
