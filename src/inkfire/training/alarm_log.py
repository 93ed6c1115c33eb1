"""The alarms of a run: said on stderr at once, and kept in alarms.jsonl.

A run that goes on rebuilds what it has seen from completions.jsonl.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from inkfire.files.jsonl import visible, write_jsonl
from inkfire.files.rollouts import COMPLETIONS, START, by_step, read_rollouts
from inkfire.records import Rollout
from inkfire.training.alarms import Alarm, Watch

ALARMS = "alarms.jsonl"
_ELSEWHERE = ("length", "truncated", "relevance")  # the trainer, the monitor and the reward say these
_LONGEST = 120


class AlarmLog:
    """Watches the texts of the run in ``out``, by start.jsonl where the run has one."""

    def __init__(self, out: Path):
        self._path, done = out / ALARMS, out / COMPLETIONS
        self._watch = Watch(read_rollouts(out / START, steps=False) if (out / START).is_file() else ())
        self.alarms: list[Alarm] = []
        for step in by_step(read_rollouts(done)) if done.is_file() and done.stat().st_size else ():
            self.alarms += self._watch.see(step)
        self._write()

    def see(self, texts: Sequence[Rollout]) -> None:
        """The texts of a step."""
        found = self._watch.see(texts)
        self.alarms += found
        if found:
            self._write()
        for alarm in found:
            print(f"! {visible(in_words(dataclasses.asdict(alarm)))}", file=sys.stderr)
            for text in alarm.texts:
                print(f"    {visible(' '.join(text.split())[:_LONGEST]) or '(empty)'}", file=sys.stderr, flush=True)

    def numbers(self) -> dict[str, Any]:
        """What was read of the last step's texts, for metrics.jsonl."""
        return {name: value for name, value in self._watch.numbers.items() if name not in _ELSEWHERE}

    def _write(self) -> None:
        if self.alarms:
            write_jsonl(self._path, map(dataclasses.asdict, self.alarms))
        else:
            self._path.unlink(missing_ok=True)


def in_words(alarm: dict[str, Any]) -> str:
    """A row of alarms.jsonl as sentences."""
    began = f" It began about step {alarm['since']}." if alarm["since"] < alarm["step"] else ""
    return f"Step {alarm['step']}: {alarm['said']}{began}"
