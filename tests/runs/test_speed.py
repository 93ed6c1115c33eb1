"""Seconds a text and a group, and the most memory of a block."""

from __future__ import annotations

import subprocess
import sys
import time
import types
from collections.abc import Sequence

import pytest

from inkfire.llm.entry import Entry
from inkfire.records import Candidate
from inkfire.runs import memory
from inkfire.runs.memory import Peak
from inkfire.runs.speed import GROUP, Clock, of_texts, of_verdicts, timed

MIB = 2**20


def test_a_clock_shares_time_among_the_texts_that_are_done() -> None:
    clock = Clock()
    time.sleep(0.02)
    clock.advance(4)
    clock.advance(0)
    assert len(clock.seconds) == 4
    assert of_texts(clock.seconds)["seconds_text_p50"] >= 0.005
    assert of_texts([]) == {}


def test_a_reward_is_timed_text_by_text_and_group_by_group() -> None:
    sizes: list[int] = []

    def score(queries: Sequence[str], responses: Sequence[str]) -> None:
        assert len(queries) == len(responses)
        sizes.append(len(queries))

    found = timed(score, [Candidate(f"q{i}", "t") for i in range(20)])
    assert sizes == [1] * 20 + [GROUP] * 2
    assert found["texts_timed"] == 20
    assert {"seconds_text_p95", "seconds_group_p50", "seconds_group_p95"} <= found.keys()


def entry(latency: float) -> Entry:
    return Entry(b"k", "", "m", 0.0, 0, "", "stop", None, 10, 5, 0, False, None, latency, None)


def test_a_verdict_took_what_its_replies_took_and_one_that_nothing_was_asked_for_is_not_timed() -> None:
    found = of_verdicts({("q", "a"): (entry(1.0), entry(2.0)), ("q", "b"): (entry(5.0),), ("q", "c"): ()})
    assert found == {"calls_text": 1.5, "texts_timed": 2, "seconds_text_p50": 4.0, "seconds_text_p95": 4.9}
    assert of_verdicts({}) == {}


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a peak is known only where it is the process's own")
def test_the_peak_of_a_block_is_its_own_and_holds_those_within() -> None:
    with Peak() as first:
        bytearray(200 * MIB)
    with Peak() as outer:
        with Peak() as inner:
            bytearray(100 * MIB)
        small = bytearray(MIB)
    assert len(small) == MIB
    high, whole, part = (peak.fields()["peak_memory"] for peak in (first, outer, inner))
    assert high > whole >= part
    assert high - whole > 50 * MIB


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nobody says what another process had")
def test_the_engine_is_a_process_of_its_own() -> None:
    program = f"print(len(bytearray({100 * MIB})), flush=True); input()"
    with Peak() as peak, subprocess.Popen([sys.executable, "-c", program], stdin=-1, stdout=-1) as engine:
        assert engine.stdin is not None
        assert engine.stdout is not None
        assert int(engine.stdout.readline()) == 100 * MIB
        with Peak() as later:
            pass
        engine.stdin.close()
    assert peak.fields()["peak_engine_memory"] > 100 * MIB
    assert later.fields()["peak_engine_memory"] < 100 * MIB


def test_a_peak_that_nobody_knows_is_not_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_forget", lambda process: False)
    monkeypatch.setattr(memory, "_process_peak", lambda process: 7 * MIB)
    with Peak() as peak:
        pass
    assert peak.fields() == {}


class Cuda:
    """torch.cuda of a machine with a GPU, as far as a peak asks it."""

    def __init__(self) -> None:
        self.most, self.ready = 0, False

    def is_available(self) -> bool:
        return True

    def is_initialized(self) -> bool:
        return self.ready

    def reset_peak_memory_stats(self) -> None:
        self.most = 0

    def max_memory_allocated(self) -> int:
        return self.most

    def get_device_name(self) -> str:
        return "NVIDIA H100"


def test_what_a_gpu_held_is_the_blocks_own(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = Cuda()
    monkeypatch.setitem(sys.modules, "torch", types.SimpleNamespace(cuda=cuda))
    with Peak() as idle:
        pass
    with Peak() as outer:
        cuda.ready, cuda.most = True, 5 * MIB  # it is begun within
        with Peak() as inner:
            cuda.most = 3 * MIB
    assert "device" not in idle.fields()
    assert (outer.fields()["peak_device_memory"], outer.fields()["device"]) == (5 * MIB, "NVIDIA H100")
    assert inner.fields()["peak_device_memory"] == 3 * MIB
