"""Requests and tokens a minute: no minute holds more than the limit, and nothing waits longer than it must."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stub_endpoint import Faults, Stub

from inkfire.llm.base import Message, Sampling
from inkfire.llm.client import Client
from inkfire.llm.ledger import Ledger
from inkfire.llm.pace import Minute, Pace
from inkfire.llm.retry import Gate, Retry
from inkfire.models.open import open_model

Sent = list[tuple[float, int]]


def fullest_minute(sent: Sent) -> tuple[int, int]:
    """The most requests and the most tokens of any 60 seconds."""
    windows = [[tokens for at, tokens in sent if 0 <= at - start < 60 - 1e-9] for start, _ in sent]
    return max(map(len, windows)), max(map(sum, windows))


@given(
    st.lists(st.tuples(st.floats(0, 20), st.integers(1, 50), st.integers(0, 100)), min_size=1, max_size=60),
    st.integers(1, 8),
    st.integers(50, 120),
)
def test_no_minute_holds_more_than_the_limits(asked: list[tuple[float, int, int]], rpm: int, tpm: int) -> None:
    minute, now, sent = Minute(rpm, tpm), 0.0, []
    for gap, estimate, took in asked:
        now += gap
        while (pause := minute.wait(estimate, now)) > 0:
            now += pause
        request = minute.add(estimate, now)
        minute.correct(request, min(estimate, took))
        sent.append((now, min(estimate, took)))
    requests, tokens = fullest_minute(sent)
    assert requests <= rpm
    assert tokens <= tpm


def test_what_it_took_counts_once_it_is_known() -> None:
    minute = Minute(tpm=100)
    sent = minute.add(90, now=0.0)
    assert minute.wait(90, now=1.0) == 59.0
    minute.correct(sent, 10)
    assert minute.wait(90, now=1.0) == 0.0
    minute.add(90, now=1.0)
    assert minute.wait(90, now=60.0) == 1.0  # the first is forgotten with what it took, not with its estimate
    minute.correct(sent, 0)
    assert minute.wait(90, now=60.5) == 0.5
    assert minute.wait(90, now=61.0) == 0.0


def test_a_request_larger_than_the_limit_goes_alone() -> None:
    minute = Minute(tpm=100)
    assert minute.wait(500, now=0.0) == 0.0
    minute.add(500, now=0.0)
    assert minute.wait(500, now=20.0) == 40.0
    assert minute.wait(500, now=60.0) == 0.0


def on_a_fake_clock(work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """Run a coroutine that only sleeps and waits: time jumps to whatever is due next."""

    class Loop(asyncio.SelectorEventLoop):
        now = 0.0

        def time(self) -> float:
            return self.now

        def _run_once(self) -> None:
            due = [handle.when() for handle in self._scheduled if not handle.cancelled()]  # type: ignore[attr-defined]
            if not self._ready and due:  # type: ignore[attr-defined]
                self.now = max(self.now, *due[:1], min(due))
            super()._run_once()  # type: ignore[misc]

    with asyncio.Runner(loop_factory=Loop) as runner:
        return runner.run(work())


async def through(gate: Gate, requests: int, *, estimate: int = 0, took: int = 0, seconds: float = 0.0) -> Sent:
    """When so many requests, all there at once, got through the gate, and what they took."""
    sent: Sent = []

    async def one() -> None:
        place = await gate.enter(estimate)
        sent.append((asyncio.get_running_loop().time(), took))
        await asyncio.sleep(seconds)
        gate.correct(place, took)
        gate.leave()

    await asyncio.gather(*(one() for _ in range(requests)))
    return sent


def test_the_gate_keeps_requests_a_minute() -> None:
    sent = on_a_fake_clock(lambda: through(Gate(4, Minute(rpm=10)), 35, seconds=1.0))
    assert fullest_minute(sent)[0] == 10
    assert 180 <= sent[-1][0] < 190  # 35 requests are done in the fourth minute: no time is lost either


def test_the_gate_keeps_tokens_a_minute_and_gives_back_what_was_not_taken() -> None:
    sent = on_a_fake_clock(lambda: through(Gate(8, Minute(tpm=1000)), 40, estimate=200, took=50, seconds=1.0))
    assert fullest_minute(sent)[1] <= 1000
    assert len({at for at, _ in sent if at < 60}) > 1
    assert sum(at < 60 for at, _ in sent) > 5  # more than the estimates alone would let through
    assert sent[-1][0] < 180


def test_the_gate_bounds_both() -> None:
    gate = Gate(2, Minute(rpm=1000))
    sent = on_a_fake_clock(lambda: through(gate, 6, seconds=3.0))
    assert [at for at, _ in sent] == [0, 0, 3, 3, 6, 6]
    assert gate.active == 0


def test_one_who_stops_waiting_for_the_minute_does_not_hold_up_the_next() -> None:
    async def work() -> float:
        gate = Gate(4, Minute(rpm=1))
        await gate.enter()
        waiting = [asyncio.ensure_future(gate.enter()) for _ in range(2)]
        await asyncio.sleep(1)
        waiting[0].cancel()
        await waiting[1]
        return asyncio.get_running_loop().time()

    assert on_a_fake_clock(work) == 60.0


# ---- the client ------------------------------------------------------------------------------------------------------


def ask(text: str) -> list[Message]:
    return [{"role": "user", "content": text}]


async def test_tokens_are_reserved_before_a_call_and_corrected_after() -> None:
    async with Stub(latency=0.02) as stub:
        async with Client("stub", base_url=stub.url, pace=Pace(tpm=1500)) as llm:
            calls = (llm.chat(ask(str(i)), sampling=Sampling(max_tokens=1000)) for i in range(12))
            await asyncio.wait_for(asyncio.gather(*calls), 20)  # a minute later without the correction
        assert stub.most_in_service == 1  # two estimates do not fit into the minute


async def test_requests_that_fail_count_too() -> None:
    minute = Pace(rpm=5)
    async with Stub(faults=Faults(http_500=1.0)) as stub:
        async with Client("stub", base_url=stub.url, pace=minute, retry=Retry(first=0.001, longest=0.001)) as llm:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(llm.chat(ask("x")), 0.5)
            await asyncio.sleep(0)
        assert len(stub.log) == 5


async def test_clients_of_one_model_share_the_minute_and_others_do_not(tmp_path: Path) -> None:
    pace = Pace(rpm=3)
    async with Stub() as stub:
        with Ledger(tmp_path / "l.sqlite", pace=pace) as ledger:
            first, second, other = (
                open_model(name, ledger=ledger, base_url=stub.url) for name in ("stub", "stub", "big")
            )
            async with first, second, other:
                for llm, text in zip(itertools.cycle((first, second)), "abc", strict=False):
                    await llm.chat(ask(text))
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(second.chat(ask("d")), 0.2)
                await asyncio.wait_for(other.chat(ask("d")), 5)
        assert len(stub.log) == 4
