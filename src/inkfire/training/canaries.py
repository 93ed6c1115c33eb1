"""Canaries: signals that are no part of a training's reward or checks, and so can contradict it.

They read the texts of the first two steps and of every N-th: judges, reward models or functions that the user names,
and what the frozen model that reads for the reward can say besides. canaries.jsonl has each text's values,
metrics.jsonl the means (``canary``) and how many texts had one (``canary_n``). A value that is missing is None and in
no mean.

A canary falls where the mean of its last two readings is below that of its first two by more than chance allows: by
Student's t, over the means of the texts of a query, since such texts are not independent, with the variance within all
readings so far pooled. A training looks often, at several canaries: an honest one shall end with an alarm of any in 1
of 20, so each look at each canary has an equal part of that. So there have to be four readings, and a variance needs
two queries a step. benchmarks/bench_canaries.py counts alarms on honest readings and on such as fall.

>>> falls([Reading(1, (0.9, 0.8)), Reading(2, (0.8, 0.9)), Reading(5, (0.3, 0.2)), Reading(10, (0.2, 0.3))], looks=3)
True
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from inkfire.errors import InputError
from inkfire.files.jsonl import SECONDS
from inkfire.records import Identity
from inkfire.rewards.base import Reward
from inkfire.rewards.reading import relevance
from inkfire.rewards.shaped import Shaped
from inkfire.training import trl

CANARIES = "canaries.jsonl"
LIKELIHOOD, RELEVANCE = "likelihood", "relevance"
_FIRST, _LAST = 2, 2
"""Readings that are held against each other."""
_FALSE = 0.05
"""Share of the trainings in which a canary may fall by chance."""

Row = dict[str, Any]
Read = Callable[[Sequence[str], Sequence[str]], Sequence[float | None]]
"""From queries and responses to a value a text."""


class Canaries:
    """Reads the texts of a training in ``out``.

    Args:
        reads: the canaries by name.
        every: steps between readings.
        updates: optimizer steps of a step, which is what steps are counted in.
        done: the step that a training goes on after.

    ``rows`` are those of canaries.jsonl of the step that is going on; none where it was not read.
    """

    def __init__(self, out: Path, reads: Mapping[str, Read], *, every: int, updates: int = 1, done: int = 0):
        self._out, self._reads, self._every, self._updates = out, reads, every, updates
        self.rows: list[Row] = []
        if (out / CANARIES).exists():
            trl.rewind(out / CANARIES, done)

    def see(self, step: int, queries: Sequence[str], responses: Sequence[str]) -> None:
        """The texts of a step."""
        self.rows = []
        if not self._reads or not self._due((step - 1) // self._updates + 1):
            return
        columns = {name: [*map(_finite, read(queries, responses))] for name, read in self._reads.items()}
        for i, (query, response) in enumerate(zip(queries, responses, strict=True)):
            values = {name: column[i] for name, column in columns.items()}
            self.rows.append({"step": step, "query": query, "response": response, "canary": values})
        for row in self.rows:
            trl.append(self._out / CANARIES, row)

    def _due(self, number: int) -> bool:
        return number <= _FIRST or number % self._every == 0

    def looks(self, steps: int) -> int:
        """How often a fall is looked for in a training of so many steps, over all canaries; 1 at least."""
        readings = sum(self._due(number) for number in range(1, steps + 1))
        return max(1, len(self._reads) * (readings + 1 - _FIRST - _LAST))

    def numbers(self) -> Row:
        """``canary`` and ``canary_n`` of the step that is going on, for metrics.jsonl; {} where it was not read."""
        if not self.rows:
            return {}
        known = {name: [v for row in self.rows if (v := row["canary"][name]) is not None] for name in self._reads}
        means = {name: float(np.mean(values)) if values else None for name, values in known.items()}
        return {"canary": means, "canary_n": {name: len(values) for name, values in known.items()}}


def course(out: Path) -> Row:
    """``canaries`` (name → its first and its last mean) and ``seconds_canaries`` of a training; {} if it has none."""
    found: dict[str, list[float]] = defaultdict(list)
    for _, of_step in groupby(trl.rows(out / CANARIES), key=lambda row: int(row["step"])):
        for name, reading in readings_of(of_step).items():
            found[name].append(reading.mean)
    seconds = sum(row.get("canaries", 0.0) for row in trl.rows(out / SECONDS))
    ends = {name: [means[0], means[-1]] for name, means in found.items()}
    return {"canaries": ends, "seconds_canaries": round(seconds, 3)} if found else {}


def beside(reward: Reward) -> dict[str, Read]:
    """What the frozen model that reads for a reward says, and neither the reward nor a check asks for."""
    if not isinstance(reward, Shaped) or reward.reader is None:
        return {}
    reader, pool, seed = reward.reader, reward.start.queries, reward.seed

    def answers(queries: Sequence[str], responses: Sequence[str]) -> Sequence[float | None]:
        return relevance(reader, queries, responses, pool, seed, reader.per_token(queries, responses))

    found: dict[str, Read] = {}
    if not reward.shaping.fluency and not reward.checks.fluent:
        found[LIKELIHOOD] = reader.per_token
    if not reward.shaping.relevance:
        found[RELEVANCE] = answers
    return found


def named(canaries: Sequence[Reward], reward: Reward) -> dict[str, Read]:
    """The canaries of a training by name: those that are given, and :func:`beside`.

    Raises:
        InputError: two have one name, or one is the reward.
    """
    found = beside(reward)
    for canary in canaries:
        refuse_shared(canary.name, canary.identities, reward.identities)
        if canary.name in found:
            raise InputError(f"two canaries are called {canary.name}: give the folder of one another name")
        found[canary.name] = _scored_by(canary)
    return found


def _scored_by(canary: Reward) -> Read:
    return lambda queries, responses: canary.score(queries, responses)


def refuse_shared(name: str, canary: Iterable[Identity], reward: Iterable[Identity]) -> None:
    """Raises InputError where a canary could not contradict the reward, since it is a part of it."""
    trained_against = [*reward]
    for one in canary:
        if any(one.same(other) for other in trained_against):
            raise InputError(
                f"canary {name}: {one.name} is a part of the reward, so it cannot contradict it; name a judge or a "
                "reward model that the policy is not trained against"
            )


@dataclass(frozen=True)
class Reading:
    """What a canary said of the texts of a step: the mean over the texts of each query."""

    step: int
    means: tuple[float, ...]

    @property
    def mean(self) -> float:
        return float(np.mean(self.means))


def readings_of(rows: Iterable[Row]) -> dict[str, Reading]:
    """The readings in the rows of one step; a canary that said nothing of any text has none."""
    values: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    step = 0
    for row in rows:
        step = row["step"]
        for name, value in row["canary"].items():
            if value is not None:
                values[name][row["query"]].append(value)
    return {
        name: Reading(step, tuple(float(np.mean(of_query)) for of_query in queries.values()))
        for name, queries in values.items()
    }


def falls(readings: Sequence[Reading], looks: int) -> bool:
    """Whether a canary has fallen, by all its readings so far.

    Args:
        looks: planned for the whole training, at all its canaries.
    """
    return len(readings) >= _FIRST + _LAST and baseline(readings) - now(readings) > (
        _error(readings, looks) or math.inf
    )


def last_good(readings: Sequence[Reading], looks: int) -> int:
    """The step of the last reading before a fall: of the last three, those within half of what makes a fall."""
    *_, third, second, _last = readings
    allowed = (_error(readings, looks) or 0.0) / 2
    return second.step if baseline(readings) - second.mean <= allowed else third.step


def baseline(readings: Sequence[Reading]) -> float:
    """What a canary said at first."""
    return _mean(readings[:_FIRST])


def now(readings: Sequence[Reading]) -> float:
    """What it says now."""
    return _mean(readings[-_LAST:])


def _mean(readings: Sequence[Reading]) -> float:
    return float(np.mean([mean for reading in readings for mean in reading.means]))


def _error(readings: Sequence[Reading], looks: int) -> float | None:
    """What is more than a fall by chance; None where nothing is known of the variance."""
    from scipy.special import stdtrit

    free = sum(len(reading.means) - 1 for reading in readings)
    if free < 1:
        return None
    squares = sum(float(np.sum((np.array(reading.means) - reading.mean) ** 2)) for reading in readings)
    first, last = (sum(len(one.means) for one in part) for part in (readings[:_FIRST], readings[-_LAST:]))
    error = math.sqrt(squares / free * (1 / first + 1 / last))
    return max(-float(stdtrit(free, _FALSE / looks)) * error, 1e-9 * (1 + abs(baseline(readings))))


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
