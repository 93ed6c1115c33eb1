"""The alarms of a run: said on stderr at once, and kept in alarms.jsonl.

Texts that an alarm is about, and that an honest text of the same query is known for, are kept in hard_negatives.jsonl:
what ``train rm --hard-negatives`` learns from. A run that goes on rebuilds what it has seen from completions.jsonl,
metrics.jsonl and canaries.jsonl.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from inkfire.files.jsonl import visible, write_jsonl
from inkfire.files.rollouts import COMPLETIONS, START, by_step, read_rollouts
from inkfire.records import Rollout
from inkfire.training import ranks, trl
from inkfire.training.alarms import BASELINE, Alarm, Watch, in_words
from inkfire.training.budget import Budget
from inkfire.training.canaries import CANARIES, Row
from inkfire.training.number_alarms import ENTROPY, KL, NumberWatch
from inkfire.training.view import print_text

ALARMS, HARD_NEGATIVES = "alarms.jsonl", "hard_negatives.jsonl"
_ELSEWHERE = ("length", "truncated", "relevance")  # the trainer, the monitor and the reward say these


class AlarmLog:
    """Watches the run in ``out``, its texts by start.jsonl where it has one.

    Args:
        budget: as it stands after the steps that are done.
        done: the last of these.
        looks: planned at canaries.
    """

    def __init__(self, out: Path, budget: Budget | None = None, done: int = 0, looks: int = 1):
        self._out = out
        self._start = read_rollouts(out / START, steps=False) if (out / START).is_file() else []
        self._watch, self._numbers = Watch(self._start), NumberWatch(budget, looks)
        self._of_texts: list[Alarm] = []
        self._of_numbers: list[Alarm] = []
        self._first: list[Rollout] = []  # the texts of the first steps
        self._seen: list[int] = []
        self._texts: Sequence[Rollout] = ()  # of the last step
        steps = {texts[0].step: texts for texts in self._written()}
        read = {step: [*rows] for step, rows in groupby(trl.rows(out / CANARIES), key=lambda row: int(row["step"]))}
        for texts in steps.values():
            self._of_texts += self._held(texts)
        for row in (row for row in trl.rows(out / trl.METRICS) if row["step"] <= done):
            self._texts = steps.get(row["step"], self._texts)
            self._of_numbers += self._numbers.see(row, read.get(row["step"], []), self._texts)
        self._write()

    @property
    def alarms(self) -> list[Alarm]:
        """By step."""
        return sorted([*self._of_texts, *self._of_numbers], key=lambda alarm: alarm.step)

    def see(self, texts: Sequence[Rollout]) -> None:
        """The texts of a step."""
        found = self._held(texts)
        self._of_texts += found
        self._say(found)

    def row(self, row: Mapping[str, Any], read: Sequence[Row]) -> None:
        """A step's numbers, and what the canaries read of its texts."""
        found = self._numbers.see(row, read, self._texts)
        self._of_numbers += found
        self._say(found)

    def numbers(self) -> dict[str, Any]:
        """What was read of the last step's texts, for metrics.jsonl."""
        return {name: value for name, value in self._watch.numbers.items() if name not in _ELSEWHERE}

    def _written(self) -> Iterable[list[Rollout]]:
        done = self._out / COMPLETIONS
        return by_step(read_rollouts(done)) if done.is_file() and done.stat().st_size else ()

    def _held(self, texts: Sequence[Rollout]) -> list[Alarm]:
        self._texts = texts
        self._seen.append(texts[0].step)
        if len(self._seen) <= BASELINE:
            self._first += texts
        return self._watch.see(texts)

    def _say(self, found: Sequence[Alarm]) -> None:
        if found:
            self._write()
        for alarm in found:
            print(f"! {visible(in_words(dataclasses.asdict(alarm)))}", file=sys.stderr)
            for text in alarm.texts:
                print_text(text)

    def _write(self) -> None:
        _kept(self._out / ALARMS, [*map(dataclasses.asdict, self.alarms)])
        _kept(self._out / HARD_NEGATIVES, hard_negatives(self.alarms, [*self._start, *self._first]))


def hard_negatives(alarms: Sequence[Alarm], early: Sequence[Rollout]) -> list[Row]:
    """The texts that alarms are about, each beside a ``chosen`` one of its query from before it began.

    Alarms on KL and entropy are about no text. Of a query without an earlier text nothing is kept.

    Args:
        early: texts of the start policy (step 0) and of the first steps.
    """
    made: dict[tuple[str, str], Row] = {}
    for alarm in alarms:
        for query, text in zip(alarm.queries, alarm.texts, strict=True):
            honest = (one for one in early if one.query == query and one.step < alarm.since and one.response != text)
            good = next((one.response for one in honest if one.response.strip()), None)
            if good is not None and alarm.what not in (KL, ENTROPY):
                row = {"query": query, "response": text, "what": alarm.what, "step": alarm.step, "chosen": good}
                made.setdefault((query, text), row)
    return [*made.values()]


def _kept(path: Path, rows: Sequence[Row]) -> None:
    if rows:
        write_jsonl(path, rows)
    elif ranks.first():
        path.unlink(missing_ok=True)
