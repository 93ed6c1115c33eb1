"""Canaries: signals that are no part of a training's reward or checks, and so can contradict it.

They read the texts of the first step and of every N-th: judges, reward models or functions that the user names, and
what the frozen model that reads for the reward can say besides. canaries.jsonl has each text's values, metrics.jsonl
the means (``canary``) and how many texts had one (``canary_n``). A value that is missing is
None and in no mean.

A canary falls where the mean of its last two readings is below its first by more than 2 standard errors. These are of
the means over the texts of a query, since such texts are not independent, with the variance within the three readings
pooled; the 2 is taken from Student's t of its degrees of freedom, as few queries know it badly. So there have to be
three readings, and a variance needs two queries a step.

>>> falls([Reading(1, (0.9, 0.8)), Reading(5, (0.3, 0.2)), Reading(10, (0.2, 0.3))])
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
_ERRORS = 2.0

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
        return number == 1 or number % self._every == 0

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


def falls(readings: Sequence[Reading]) -> bool:
    """Whether a canary has fallen, by all its readings so far."""
    return len(readings) > 2 and readings[0].mean - _later(readings) > (_error(readings) or math.inf)


def last_good(readings: Sequence[Reading]) -> int:
    """The step of the last reading before a fall: of the last three, those within half of what makes a fall."""
    *_, third, second, _last = readings
    allowed = (_error(readings) or 0.0) / 2
    return second.step if readings[0].mean - second.mean <= allowed else third.step


def _later(readings: Sequence[Reading]) -> float:
    return float(np.mean([mean for reading in readings[-2:] for mean in reading.means]))


def _error(readings: Sequence[Reading]) -> float | None:
    """What is more than a fall by chance: 2 standard errors; None where nothing is known of the variance."""
    from scipy.stats import norm, t

    held = [readings[0], *readings[-2:]]
    free = sum(len(reading.means) - 1 for reading in held)
    if free < 1:
        return None
    squares = sum(float(np.sum((np.array(reading.means) - reading.mean) ** 2)) for reading in held)
    n, later = len(held[0].means), sum(len(reading.means) for reading in held[1:])
    error = math.sqrt(squares / free * (1 / n + 1 / later))
    return max(float(t.isf(norm.sf(_ERRORS), free)) * error, 1e-9 * (1 + abs(held[0].mean)))


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
