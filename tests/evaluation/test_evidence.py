"""Planted faults are found and said: the small twin of benchmarks/bench_evidence.py."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

PATH = Path(__file__).parents[2] / "benchmarks" / "bench_evidence.py"


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bench_evidence", PATH)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["bench_evidence"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("kind", ["clean", "better", "leak", "length", "copies", "collapse", "query", "own", "phrases"])
def test_a_planted_fault_is_called_what_it_is(bench: ModuleType, kind: str) -> None:
    task = "greetings-en" if kind in ("length", "collapse", "query") else "greetings-zh"
    said = bench.raised(bench.evaluated(task, bench.Chain(task), kind, seed=1))
    assert bench.found(kind, said), said


def test_a_longer_policy_that_writes_no_better_is_not_called_better(bench: ModuleType) -> None:
    raw, better, length = bench.called_better("line", 0.0, sets=12)
    assert raw >= 0.5
    assert better <= 1 / 12
    assert length > 0
