"""Seconds by phase of each step of a GRPO training: write, score, canaries, update, save.

They stand in seconds.jsonl; metrics.jsonl has no times, so that two runs of the same training have the same one.
"""

from __future__ import annotations

import functools
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from transformers import TrainerCallback

from inkfire.files.jsonl import SECONDS
from inkfire.training import trl

T = TypeVar("T")


class Phases(TrainerCallback):  # type: ignore[misc]
    """Measures. ``update`` is what is left of a step: the forward and backward passes, and the optimizer.

    A row is written when the next step begins. On a GPU each phase ends where its numbers are read: the texts of
    ``write``, the loss of ``update``.
    """

    def __init__(self, out: Path):
        self._path = out / SECONDS
        self._spent: dict[str, float] = defaultdict(float)
        self._step = 0

    def timed(self, phase: str, work: Callable[..., T]) -> Callable[..., T]:
        """The same function, whose seconds count as this phase's, but for those of a phase within it."""

        @functools.wraps(work)
        def measured(*given: Any, **named: Any) -> T:
            started, before = time.perf_counter(), sum(self._spent.values())
            try:
                return work(*given, **named)
            finally:
                within = sum(self._spent.values()) - before
                self._spent[phase] += time.perf_counter() - started - within

        return measured

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        trl.rewind(self._path, state.global_step)

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._tell()
        self._begun = time.perf_counter()

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        if logs and "loss" in logs:
            self._step, self._ended = state.global_step, time.perf_counter()
            self._spent["update"] = self._ended - self._begun - sum(self._spent.values())

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._spent["save"] = time.perf_counter() - self._ended

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._tell()

    def _tell(self) -> None:
        if self._spent:
            trl.append(self._path, {"step": self._step, **{name: round(s, 4) for name, s in self._spent.items()}})
        self._spent.clear()


def profile(out: Path) -> dict[str, float]:
    """Mean seconds of each phase a generation of texts."""
    rows = trl.rows(out / SECONDS)
    total: dict[str, float] = defaultdict(float)
    for row in rows:
        for name, seconds in row.items():
            if name != "step":
                total[name] += seconds
    generations = max(1, sum("write" in row for row in rows))
    return {name: seconds / generations for name, seconds in total.items()}
