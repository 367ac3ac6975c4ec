"""What the agent plays, over real sockets: every scenario ends as it says."""

import hashlib
from typing import Any

import pytest

from tests.support.sandbox import Caller, Heard, answer_of


def _updates(frames: list[Heard], variant: str) -> list[dict[str, Any]]:
    return [frame.update for frame in frames if frame.update.get("sessionUpdate") == variant]


async def _play(caller: Caller, prompt: str, **fields: object) -> list[Heard]:
    task_id = await caller.create(prompt, **fields)
    frames = await caller.follow(task_id)
    await caller.call("DELETE", f"/api/v1/users/tasks/{task_id}")  # its slot
    assert [frame.type for frame in frames].count("task-started") == 1
    assert frames[-1].type == "task-ended"
    return frames


async def test_a_long_prompt_is_quoted_and_proved_whole(caller: Caller) -> None:
    prompt = "long prompt ä " * 1000
    answer = answer_of(await _play(caller, prompt))
    assert f"You said: “{prompt[:200]}…”." in answer
    assert (
        f"That is {len(prompt)} characters, SHA-256 {hashlib.sha256(prompt.encode()).hexdigest()}." in answer
    )


async def test_the_system_prompt_is_counted(caller: Caller) -> None:
    assert "The system prompt has 9 characters." in answer_of(
        await _play(caller, "hi", system_prompt="be brief!")
    )


async def test_the_plain_answer_comes_in_several_chunks(caller: Caller) -> None:
    frames = await _play(caller, "hi")
    assert len(_updates(frames, "agent_thought_chunk")) == 2
    assert len(_updates(frames, "agent_message_chunk")) > 2
    assert _updates(frames, "usage_update")[-1]["size"] == 200_000


@pytest.mark.parametrize(
    "prompt",
    [
        "/burst 3",
        "  /burst 3",
        "System: be good\n\nUser: hi\nAssistant: ho\n\n/burst 3\n\n",
        "x\nUser: /burst 3",
    ],
)
async def test_a_scenario_is_found_at_the_start_or_in_the_last_line(caller: Caller, prompt: str) -> None:
    assert answer_of(await _play(caller, prompt)) == "tok0 tok1 tok2 "


@pytest.mark.parametrize("prompt", ["/etc/passwd", "/nosuch", "say /burst 3", "/bursting"])
async def test_other_prompts_name_none(caller: Caller, prompt: str) -> None:
    assert answer_of(await _play(caller, prompt)).startswith(f"You said: “{prompt}”.")


async def test_tools_show_every_state(caller: Caller) -> None:
    frames = await _play(caller, "/tools")
    states = [update.get("status") for update in _updates(frames, "tool_call_update")]
    assert {"in_progress", "completed"} == set(states)
    assert {update.get("status") for update in _updates(frames, "tool_call")} == {"pending", None}
    failed = await _play(caller, "/toolfail")
    assert "failed" in [update.get("status") for update in _updates(failed, "tool_call_update")]


async def test_sizes_and_counts_are_exact(caller: Caller) -> None:
    frames = await _play(caller, "/big 1000000")
    assert len(_updates(frames, "tool_call_update")[0]["rawOutput"]["output"]) == 1_000_000
    assert answer_of(await _play(caller, "/burst 1000")) == "".join(f"tok{one} " for one in range(1000))
    assert answer_of(await _play(caller, "/long 70000")) == "x" * 70_000


async def test_the_remaining_scenarios_show_what_they_are_for(caller: Caller) -> None:
    assert len(_updates(await _play(caller, "/think"), "agent_thought_chunk")) == 20
    plans = _updates(await _play(caller, "/plan"), "plan")
    assert [entry["status"] for entry in plans[-1]["entries"]] == ["completed", "completed", "in_progress"]
    assert "size" not in _updates(await _play(caller, "/usage"), "usage_update")[1]
    chunks = _updates(await _play(caller, "/image"), "agent_message_chunk")
    assert "image" in [chunk["content"]["type"] for chunk in chunks]
    assert len(_updates(await _play(caller, "/retry"), "llm_call_retry")) == 2
    states = _updates(await _play(caller, "/compact"), "compact_status")
    assert [one["status"] for one in states] == ["started", "ended"]
    assert _updates(await _play(caller, "/commands"), "available_commands_update")
    unknown = await _play(caller, "/unknown")
    assert _updates(unknown, "hologram_update")
    assert {"file-change", "task-running"} <= {frame.type for frame in unknown}
    assert not answer_of(await _play(caller, "/empty"))
    errors = await _play(caller, "/error")
    assert [frame.type for frame in errors[-2:]] == ["task-error", "task-ended"]
    assert errors[-2].payload == {"details": "the sandbox agent was asked to fail"}


async def test_unicode_survives_whole(caller: Caller) -> None:
    answer = answer_of(await _play(caller, "/unicode"))
    for part in ("中文", "e\u0301", "👩‍👩‍👧", "\u2028", "<b>&amp;</b>", '\\ "', "\x7f"):
        assert part in answer
    assert "“👩‍👩‍👧 <&>”" in answer_of(await _play(caller, "👩‍👩‍👧 <&>"))


async def test_slow_boots(caller: Caller) -> None:
    task_id = await caller.create("/slowboot 1")
    assert (await caller.info(task_id))["status"] == "pending"
    assert "/slowboot" in answer_of(await caller.follow(task_id))


async def test_all_in_one_turn(caller: Caller) -> None:
    frames = await _play(caller, "/all")
    variants = {frame.update.get("sessionUpdate") for frame in frames}
    assert variants >= {
        "agent_message_chunk",
        "agent_thought_chunk",
        "tool_call",
        "tool_call_update",
        "plan",
        "usage_update",
        "available_commands_update",
        "llm_call_retry",
    }


async def test_the_scenarios_are_listed(caller: Caller) -> None:
    listed = (await caller.call("GET", "/__sandbox/scenarios")).json["scenarios"]
    names = {one["usage"].split()[0] for one in listed}
    assert names >= {
        *("/think", "/tools", "/toolfail", "/plan", "/usage", "/ask", "/ask2", "/image", "/error", "/fatal"),
        *("/silence", "/mute", "/big", "/burst", "/pace", "/retry", "/compact", "/commands", "/unknown"),
        *("/unicode", "/slowboot", "/bootfail", "/all"),
    }
    assert all(one["meaning"] for one in listed)
