from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import AsyncIterator, Iterator

import pytest

from inkfire.errors import BudgetExceeded, EndpointDown
from inkfire.llm.stream import ordered


async def test_results_come_in_input_order() -> None:
    rng = random.Random(0)
    delays = [rng.random() * 0.01 for _ in range(200)]

    async def work(i: int) -> int:
        await asyncio.sleep(delays[i])
        return i

    assert [i async for i in ordered(work, range(200), limit=16)] == list(range(200))


async def test_work_and_window_are_bounded() -> None:
    running = most = 0
    produced = 0
    release = asyncio.Event()

    def items() -> Iterator[int]:
        nonlocal produced
        for i in range(1000):
            produced += 1
            yield i

    async def work(i: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await (release.wait() if i == 0 else asyncio.sleep(0))
        running -= 1
        return i

    stream = ordered(work, items(), limit=4, window=20)
    first = asyncio.ensure_future(anext(aiter(stream)))
    await asyncio.sleep(0.05)
    assert produced == 20  # the first item holds everything up; no more than a window was taken in
    release.set()
    assert await first == 0
    assert [i async for i in stream] == list(range(1, 1000))
    assert most == 4


async def test_memory_is_flat_over_an_endless_input() -> None:
    async def work(i: int) -> int:
        return i

    stream = ordered(work, itertools.count(), limit=8)
    async for i in stream:
        if i == 20_000:
            break
    await stream.aclose()
    assert len(asyncio.all_tasks()) == 1


async def test_an_async_source_does_not_hold_up_results() -> None:
    more = asyncio.Event()

    async def source() -> AsyncIterator[int]:
        yield 0
        await more.wait()
        yield 1

    async def work(i: int) -> int:
        return i

    got = []
    async for i in ordered(work, source(), limit=4):
        got.append(i)
        more.set()  # only reached when the first result did not wait for the second item
    assert got == [0, 1]


async def test_stages_nest_and_stop_together() -> None:
    cancelled = 0

    async def slow(i: int) -> int:
        nonlocal cancelled
        try:
            await asyncio.sleep(0 if i < 3 else 60)
        except asyncio.CancelledError:
            cancelled += 1
            raise
        return i

    async def fails_at_two(i: int) -> int:
        if i == 2:
            raise EndpointDown("gone")
        return i

    with pytest.raises(EndpointDown):
        async for _ in ordered(fails_at_two, ordered(slow, range(100), limit=5), limit=2):
            pass
    await asyncio.sleep(0)
    assert cancelled == 5
    assert len(asyncio.all_tasks()) == 1


async def test_the_first_error_cancels_the_rest_at_once() -> None:
    async def work(i: int) -> int:
        if i == 3:
            raise EndpointDown("gone")
        await asyncio.sleep(60)
        return i

    with pytest.raises(EndpointDown):
        async for _ in ordered(work, range(10), limit=10):
            pass


async def test_a_spent_budget_lets_what_is_in_flight_finish() -> None:
    finished = []

    async def work(i: int) -> int:
        if i == 3:
            raise BudgetExceeded("spent")
        await asyncio.sleep(0.02)
        finished.append(i)
        return i

    got = []

    async def consume() -> None:
        async for i in ordered(work, range(100), limit=6):
            got.append(i)

    with pytest.raises(BudgetExceeded):
        await consume()
    assert got == [0, 1, 2]
    assert finished == [0, 1, 2, 4, 5]


async def test_an_error_of_the_source_is_raised() -> None:
    async def work(i: int) -> int:
        return i

    def items() -> Iterator[int]:
        yield 0
        raise ValueError("bad line")

    async def aitems() -> AsyncIterator[int]:
        yield 0
        raise ValueError("bad line")

    for source in (items(), aitems()):
        with pytest.raises(ValueError, match="bad line"):
            async for _ in ordered(work, source, limit=2):
                pass
