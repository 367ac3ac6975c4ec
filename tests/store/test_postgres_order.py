"""Operations that share a key keep their order; others do not wait for each other."""

import asyncio

import pytest

from server.store.postgres.order import EVERYTHING, Order


class Steps:
    """Operations that end when they are told to."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.gates: dict[str, asyncio.Event] = {}

    async def step(self, name: str) -> str:
        self.begun.append(name)
        await self.gates.setdefault(name, asyncio.Event()).wait()
        return name

    def end(self, name: str) -> None:
        self.gates[name].set()


async def turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_shared_keys_wait_and_others_do_not() -> None:
    order, steps = Order(), Steps()
    first = asyncio.create_task(order.run(["a", "b"], lambda: steps.step("first")))
    await turns()
    second = asyncio.create_task(order.run(["b"], lambda: steps.step("second")))
    other = asyncio.create_task(order.run(["c"], lambda: steps.step("other")))
    await turns()
    third = asyncio.create_task(order.run(["a", "c"], lambda: steps.step("third")))
    await turns()
    assert steps.begun == ["first", "other"]
    steps.end("first")
    await turns()
    assert steps.begun == ["first", "other", "second"], "the third waits for `other` still"
    steps.end("other")
    await turns()
    steps.end("second")
    steps.end("third")
    assert await asyncio.gather(first, second, third, other) == ["first", "second", "third", "other"]


async def test_one_that_fails_holds_up_nobody() -> None:
    order, steps = Order(), Steps()

    async def fail() -> None:
        raise LookupError("mine")

    failed = asyncio.create_task(order.run(["a"], fail))
    await turns()
    steps.gates["next"] = asyncio.Event()
    steps.end("next")
    assert await order.run(["a"], lambda: steps.step("next")) == "next"
    with pytest.raises(LookupError):
        await failed


async def test_a_cancelled_caller_does_not_stop_its_operation() -> None:
    order, steps = Order(), Steps()
    left = asyncio.create_task(order.run(["a"], lambda: steps.step("left")))
    await turns()
    left.cancel()
    behind = asyncio.create_task(order.run(["a"], lambda: steps.step("behind")))
    await turns()
    assert steps.begun == ["left"]
    steps.end("left")
    await turns()
    assert steps.begun == ["left", "behind"]
    steps.end("behind")
    await behind


async def test_everything_waits_for_all_that_was_called() -> None:
    order, steps = Order(), Steps()
    one = asyncio.create_task(order.run(["a"], lambda: steps.step("one")))
    two = asyncio.create_task(order.run([], lambda: steps.step("two")))
    await turns()
    last = asyncio.create_task(order.run(EVERYTHING, lambda: steps.step("last")))
    settled = asyncio.create_task(order.settled())
    await turns()
    assert steps.begun == ["one", "two"]
    for name in ("one", "two"):
        steps.end(name)
        await turns()
    assert steps.begun == ["one", "two", "last"]
    assert not settled.done()
    steps.end("last")
    await asyncio.gather(one, two, last, settled)
