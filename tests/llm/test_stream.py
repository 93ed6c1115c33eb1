from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Iterator

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

    stream = ordered(work, items(), limit=4)
    first = asyncio.ensure_future(anext(aiter(stream)))
    await asyncio.sleep(0.05)
    assert produced == 16 * 4  # the first item holds everything up; no more than a window was taken in
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

    with pytest.raises(ValueError, match="bad line"):
        async for _ in ordered(work, items(), limit=2):
            pass
