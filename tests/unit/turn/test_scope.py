"""A scope ends as asyncio.timeout does, whose tests these are in small."""

import asyncio

import pytest

from server.turn.scope import Scope


async def test_it_is_left_by_timeout_error_once_it_is_ended() -> None:
    scope = Scope()
    asyncio.get_running_loop().call_soon(scope.end)
    with pytest.raises(TimeoutError), scope:
        await asyncio.sleep(60)
    assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]


async def test_the_last_word_on_its_end_counts() -> None:
    scope = Scope()
    loop = asyncio.get_running_loop()
    loop.call_soon(scope.end, loop.time() + 60)
    loop.call_soon(scope.end, loop.time() + 0.01)
    with pytest.raises(TimeoutError), scope:
        await asyncio.sleep(60)


async def test_a_body_that_is_done_first_leaves_nothing_behind() -> None:
    scope = Scope()
    with scope:
        scope.end(asyncio.get_running_loop().time() + 0.01)
    scope.end()
    await asyncio.sleep(0.03)  # the task would be cancelled here


async def test_a_cancellation_from_outside_stays_one() -> None:
    scope = Scope()

    async def body() -> None:
        with scope:
            await asyncio.sleep(60)

    task = asyncio.create_task(body())
    await asyncio.sleep(0)
    scope.end()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()


async def test_an_inner_one_leaves_the_outer_alone() -> None:
    outer, inner = Scope(), Scope()
    with outer:
        asyncio.get_running_loop().call_soon(inner.end)
        with pytest.raises(TimeoutError), inner:
            await asyncio.sleep(60)
        await asyncio.sleep(0)
    with pytest.raises(LookupError), Scope():
        raise LookupError("its own")
