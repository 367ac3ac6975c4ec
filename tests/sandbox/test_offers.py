"""Models, images and hosts (protocol §3, §4), over real sockets."""

import json
from pathlib import Path

from tests.support.sandbox import Caller, Sandbox, accounts


async def test_models_have_every_field_and_public_ones_first(caller: Caller) -> None:
    models = (await caller.call("GET", "/api/v1/users/models")).data["models"]
    owners = [model["owner"]["type"] for model in models]
    assert owners == sorted(owners, key=lambda owner: owner != "public")
    assert set(owners) == {"public", "team", "private"}
    for half in (True, False):
        ages = [one["created_at"] for one in models if (one["owner"]["type"] == "public") is half]
        assert ages == sorted(ages, reverse=True)
    for model in models:
        assert "name" not in model
        assert "display_name" not in model
        private = model["owner"]["type"] == "private"
        assert ("api_key" in model) is private
        assert bool(model["base_url"]) is private
    equal = [model["created_at"] for model in models if model["model"] == "kimi-k3"]
    assert len(set(equal)) == 2
    assert sum(model["is_default"] for model in models) == 1
    assert any(model["is_free"] for model in models)
    assert any(model["is_hidden"] and model["last_check_at"] == -62135596800 for model in models)
    assert any("remark" in model for model in models)
    assert not all("remark" in model for model in models)


async def test_public_models_stand_on_every_page(caller: Caller) -> None:
    first = (await caller.call("GET", "/api/v1/users/models?limit=1")).data
    assert first["page"]["has_next_page"] is True
    cursor = first["page"]["cursor"]
    assert cursor.startswith("u.")
    second = (await caller.call("GET", f"/api/v1/users/models?limit=2&cursor={cursor}")).data
    assert second["page"]["has_next_page"] is False
    assert second["page"]["cursor"]
    ids = [[model["id"] for model in page["models"]] for page in (first, second)]
    shared = set(ids[0]) & set(ids[1])
    assert len(shared) == 8
    whole = (await caller.call("GET", "/api/v1/users/models")).data
    assert {model["id"] for model in whole["models"]} == set(ids[0]) | set(ids[1])


async def test_a_bad_cursor_is_10004(caller: Caller) -> None:
    for cursor in ("x", "u.1", "v.1.AAAA", "u.!.AAAAAAAAAAAAAAAAAAAAAA"):
        assert (await caller.call("GET", f"/api/v1/users/models?cursor={cursor}")).code == 10004


async def test_images_have_a_devbox_that_is_not_the_default(caller: Caller) -> None:
    data = (await caller.call("GET", "/api/v1/users/images")).data
    devbox = next(image for image in data["images"] if image["remark"] == "devbox")
    assert devbox["owner"]["type"] == "public"
    assert devbox["is_default"] is False
    assert data["page"]["has_next_page"] is False


async def test_public_hosts_are_masked_and_their_ids_refused(caller: Caller) -> None:
    hosts = (await caller.call("GET", "/api/v1/users/hosts")).data["hosts"]
    public = next(host for host in hosts if host["id"].startswith("public_host_"))
    assert public["name"] == "MonkeyCode-AI"
    assert public["external_ip"] == ""
    assert "owner" not in public
    refused = await caller.call("POST", "/api/v1/users/tasks", await caller.order("x", host_id=public["id"]))
    assert refused.code == 10205


async def test_no_public_host(sandbox: Sandbox) -> None:
    async with Caller(sandbox.url) as caller:
        await sandbox.faults(platform={"no_public_host": True})
        hosts = (await caller.call("GET", "/api/v1/users/hosts")).data["hosts"]
        assert not any(host["id"].startswith("public_host") for host in hosts)
        assert (await caller.call("POST", "/api/v1/users/tasks", await caller.order("x"))).code == 10204


async def test_plans_open_models_and_change(sandbox: Sandbox) -> None:
    """§3.2, §3.5: everybody is shown every model, and a create says whether the plan opens it."""
    opened = {"basic": [0, 10812, 10812], "pro": [0, 0, 10812], "ultra": [0, 0, 0], "flagship": [0, 0, 0]}
    async with Caller(sandbox.url) as caller:
        listed = (await caller.call("GET", "/api/v1/users/models")).data["models"]
        ids = {one["model"]: one["id"] for one in listed}
        for plan, codes in opened.items():
            await sandbox.faults(accounts={"plans": {caller.account["email"]: plan}})
            assert (await caller.call("GET", "/api/v1/users/subscription")).data["plan"] == plan
            answers = [
                await caller.call("POST", "/api/v1/users/tasks", await caller.order("x", model_id=ids[name]))
                for name in ("kimi-k3", "monkeycode-pro-1", "monkeycode-ultra-1")
            ]
            assert [answer.code for answer in answers] == codes
            for answer in answers:
                if answer.code == 0:
                    await caller.call("DELETE", f"/api/v1/users/tasks/{answer.data['id']}")
        await sandbox.reset()
        assert (await caller.call("GET", "/api/v1/users/subscription")).data["plan"] == "pro"


async def test_a_private_model_is_one_accounts_alone(tmp_path: Path) -> None:
    """Another account's create calls it unknown, code 500 (§1.4)."""
    file = tmp_path / "accounts.json"
    first, *others = accounts()
    file.write_text(json.dumps([first, *({**other, "models": ["mine"]} for other in others)]))
    async with (
        Sandbox(HOWLER_SANDBOX_ACCOUNTS=str(file)) as sandbox,
        Caller(sandbox.url) as without,
        Caller(sandbox.url, account=1) as one,
        Caller(sandbox.url, account=2) as another,
    ):
        found = []
        for caller in (one, another, without):
            models = (await caller.call("GET", "/api/v1/users/models")).data["models"]
            found += [model for model in models if model["model"] == "mine"]
        assert [model["owner"]["type"] for model in found] == ["private", "private"]
        assert found[0]["id"] != found[1]["id"]
        order = await without.order("x", model_id=found[0]["id"])
        assert (await without.call("POST", "/api/v1/users/tasks", order)).code == 500
        await one.create("x", model_id=found[0]["id"])


async def test_a_fault_may_be_one_accounts_alone(sandbox: Sandbox) -> None:
    path = "/api/v1/users/models"
    async with Caller(sandbox.url) as healthy, Caller(sandbox.url, account=1) as ill:
        fault = {"path": path, "account": ill.account["email"], "times": 9, "do": "code", "code": 10004}
        await sandbox.faults(routes=[fault])
        assert (await ill.call("GET", path)).code == 10004
        assert (await healthy.call("GET", path)).code == 0
