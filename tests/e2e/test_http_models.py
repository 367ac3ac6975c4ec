"""Models over HTTP: what is listed, what a name means, and what becomes of a name that means nothing."""

from collections.abc import AsyncIterator

import openai
import pytest
import pytest_asyncio

from tests.support.front import Front, told
from tests.support.howler import Howler
from tests.support.openai_judge import judge_models
from tests.support.process import Program
from tests.support.sandbox import accounts

pytestmark = pytest.mark.asyncio(loop_scope="module")

DEFAULT = "monkeycode/DeepSeek/deepseek-v4"
SECOND = "monkeycode/Moonshot/kimi-k3#2"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lenient(howler: Howler, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Front]:
    """A second facade, of an operator who prefers any model to none."""
    env = {
        "HOWLER_HTTP_ADDR": "127.0.0.1:0",
        "HOWLER_GRPC_TARGET": howler.server.address,
        "HOWLER_MODEL_FALLBACK": "true",
    }
    facade = Program("facade", env=env, cwd=tmp_path_factory.mktemp("lenient"))
    async with facade, Front(facade.address) as client:
        yield client


async def test_the_list(front: Front) -> None:
    """P2.1, P5: ids as `monkeycode/provider/model`, equal ones numbered by age; hidden ones not at all."""
    answer = await front.http.get("/v1/models")
    ids = [model.id for model in judge_models(answer.content)]
    assert len(set(ids)) == len(ids)
    assert {DEFAULT, "monkeycode/Moonshot/kimi-k3", SECOND, "monkeycode/Ollama/llama5:70b"} <= set(ids)
    assert not [one for one in ids if one.endswith("monkeycode-basic")], "a hidden model is listed"
    assert "api_key" not in answer.text
    assert "private-key" not in answer.text


async def test_each_listed_model_can_be_retrieved(howler: Howler) -> None:
    """P2.1: with slashes, colons and `#` in it, as the official client spells the path."""
    async with howler.openai() as client:
        listed = [model async for model in client.models.list()]
        for model in listed:
            assert (await client.models.retrieve(model.id)).id == model.id


async def test_the_model_that_is_asked_for_runs(howler: Howler, front: Front) -> None:
    """P5.1: and the answer names it."""
    older = "monkeycode/Moonshot/kimi-k3"
    for model, prompt in ((SECOND, "for the newer"), (older, "for the older")):
        assert (await front.chat(prompt, model=model)).model == model
    tasks = {task["content"]: task for task in (await howler.sandbox.state())["tasks"]}
    newer, elder = tasks["for the newer"], tasks["for the older"]
    assert newer["model"] == elder["model"] == "Moonshot/kimi-k3"
    assert newer["model_id"] != elder["model_id"]


@pytest.mark.parametrize("name", ["gpt-5.5", "OpenAI/gpt-5.5", "monkeycode/OpenAI/gpt-5.5"])
async def test_shorter_names(front: Front, name: str) -> None:
    """P5.1"""
    response = await front.whole_response("hello", model=name)
    assert response.model == "monkeycode/OpenAI/gpt-5.5"


@pytest.mark.parametrize("fields", [{"model": "default"}, {"model": "auto"}, {"model": ""}, {"model": None}])
async def test_the_default_model(front: Front, fields: dict[str, str | None]) -> None:
    """P5.1: where none is named, the platform's default."""
    assert (await front.whole_chat("hello", **fields)).model == DEFAULT


async def test_no_model_field_at_all(front: Front) -> None:
    answer = await front.http.post("/v1/responses", json={"input": "hello"})
    assert answer.json()["model"] == DEFAULT


async def test_an_unknown_model_is_404(howler: Howler, front: Front) -> None:
    """P5.1: strict refuses; on streams too, for nothing was sent yet; and nothing ran."""
    before = len((await howler.sandbox.state())["tasks"])
    for answer in await front.refusals("hello", model="gpt-9000"):
        error = told(answer)
        assert answer.status_code == 404
        assert (error["type"], error["code"], error["param"]) == (
            "invalid_request_error",
            "model_not_found",
            "model",
        )
    async with howler.openai() as client:
        with pytest.raises(openai.NotFoundError) as caught:
            await client.models.retrieve("monkeycode/nobody/gpt-9000")
    assert caught.value.code == "model_not_found"
    assert len((await howler.sandbox.state())["tasks"]) == before


async def test_an_unknown_model_with_fallback(lenient: Front) -> None:
    """HOWLER_MODEL_FALLBACK=true: the default runs, and the answer says which."""
    assert (await lenient.chat("hello", model="gpt-9000")).model == DEFAULT
    assert (await lenient.whole_response("hello", model="gpt-9000")).model == DEFAULT


async def test_models_outlive_their_platform(tmp_path_factory: pytest.TempPathFactory) -> None:
    """P1.1, P5: one account by its cookie; a list that was seen is told while the platform is away."""
    async with (
        Howler(
            tmp_path_factory.mktemp("single"),
            env={"HOWLER_ACCOUNTS_FILE": "", "HOWLER_UPSTREAM_COOKIE": accounts()[0]["cookie"]},
        ) as howler,
        Front(howler.facade.address) as front,
    ):
        assert (await front.chat("hello")).content == "You said: “hello”. This is turn 1."
        seen = (await front.http.get("/v1/models")).json()["data"]
        hang_up = {"path": "/*", "times": 1000, "do": "drop"}
        await howler.sandbox.faults(routes=[hang_up])
        assert (await front.http.get("/v1/models")).json()["data"] == seen
        await howler.sandbox.reset()
