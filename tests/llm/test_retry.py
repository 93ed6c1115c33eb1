from __future__ import annotations

import asyncio
import email.utils
import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkfire.llm.retry import Fault, Gate, Retry, retry_after


def test_waits_double_with_jitter_up_to_a_bound() -> None:
    random.seed(0)
    retry = Retry(first=1.0, longest=10.0)
    for failures, full in [(1, 1.0), (2, 2.0), (3, 4.0), (4, 8.0), (5, 10.0), (50, 10.0)]:
        waits = [retry.wait(failures, Fault("500")) for _ in range(50)]
        assert full / 2 <= min(waits) < max(waits) <= full
    assert retry.wait(1, Fault("429", retry_after=7.5)) == 7.5


def test_retry_after_in_all_its_forms() -> None:
    assert retry_after({}) is None
    assert retry_after({"retry-after": "3"}) == 3.0
    assert retry_after({"retry-after": "0.25"}) == 0.25
    assert retry_after({"retry-after-ms": "250", "retry-after": "1"}) == 0.25
    assert retry_after({"retry-after": "-5"}) == 0.0
    assert retry_after({"retry-after": "soon"}) is None
    in_a_minute = retry_after({"retry-after": email.utils.formatdate(time.time() + 60, usegmt=True)})
    assert in_a_minute == pytest.approx(60, abs=2)
    assert retry_after({"retry-after": email.utils.formatdate(0, usegmt=True)}) == 0.0


@pytest.mark.parametrize(
    "value",
    ["Mon, 01 Jan 99999 00:00:00 GMT", "Mon, 99 Foo 0 99:99:99 +9999999", "nan", "-inf", "\x00", "\ud800", "1 Jan 1 0"],
)
def test_a_wait_that_cannot_be_read_is_none_or_a_number(value: str) -> None:
    seconds = retry_after({"retry-after": value})
    assert seconds is None or seconds >= 0


@given(st.text() | st.from_regex(r"[A-Z][a-z]{2}, \d{1,5} (Jan|Dec) \d{1,9} \d+:\d+:\d+ ([+-]\d+|GMT)", fullmatch=True))
def test_any_header_is_a_wait_or_none(value: str) -> None:
    seconds = retry_after({"retry-after": value})
    assert seconds is None or seconds >= 0


async def test_the_gate_is_first_come_first_served_and_retries_go_first() -> None:
    gate = Gate(1)
    order: list[str] = []

    async def pass_through(name: str, first: bool = False) -> None:
        await gate.enter(first=first)
        order.append(name)
        await asyncio.sleep(0)
        gate.leave()

    await gate.enter()
    tasks = [asyncio.ensure_future(pass_through(name)) for name in "abc"]
    await asyncio.sleep(0)
    tasks.append(asyncio.ensure_future(pass_through("again", first=True)))
    await asyncio.sleep(0)
    gate.leave()
    await asyncio.gather(*tasks)
    assert order == ["again", "a", "b", "c"]
    assert gate.active == 0


async def test_places_of_cancelled_waiters_are_not_lost() -> None:
    gate = Gate(1)
    await gate.enter()
    waiters = [asyncio.ensure_future(gate.enter()) for _ in range(3)]
    await asyncio.sleep(0)
    waiters[0].cancel()
    gate.leave()  # gives the place to the second …
    waiters[1].cancel()  # … which is cancelled before it could take it
    await asyncio.wait_for(waiters[2], 1)
    assert gate.active == 1
    gate.leave()
    assert gate.active == 0


async def test_a_closed_gate_opens_by_itself_and_narrower() -> None:
    gate = Gate(10)
    gate.throttled(0.05)
    gate.throttled(0.1)  # the later opening counts; several complaints are one
    start = time.monotonic()
    await asyncio.gather(*(gate.enter() for _ in range(7)))
    assert 0.09 < time.monotonic() - start < 1.0
    eighth = asyncio.ensure_future(gate.enter())
    await asyncio.sleep(0.01)
    assert not eighth.done()
    for _ in range(40):  # successes widen it to its limit again
        gate.succeeded()
    gate.leave()
    await eighth
    await asyncio.wait_for(asyncio.gather(*(gate.enter() for _ in range(3))), 1)
    assert gate.active == 10


async def test_a_gate_never_closes_for_good() -> None:
    gate = Gate(3)
    for _ in range(50):
        gate.throttled(0.001)
        await asyncio.sleep(0.002)
    await asyncio.wait_for(gate.enter(), 1)


async def test_an_isolated_refusal_is_its_own_matter() -> None:
    gate = Gate(2)
    for _ in range(32):
        gate.succeeded()
    for _ in range(7):
        gate.throttled(60.0)
    await asyncio.wait_for(gate.enter(), 1)
    gate.throttled(60.0)  # a quarter of the last 32 answers
    waiting = asyncio.ensure_future(gate.enter())
    await asyncio.sleep(0.01)
    assert not waiting.done()
    waiting.cancel()
