"""Canaries, tested as one tests a detector: do honest trainings end in peace, and is a planted fall seen?

    python benchmarks/bench_canaries.py [--runs 400]

Readings are drawn: four texts a query, whose values have a standard deviation of 1, of which 30 % of the variance is
the query's; normal as those of a likelihood, or two-humped as the P(Good) of a judge. A training of L looks has L + 3
readings, since the rule needs four. An honest one does not drift. In the others one canary falls, from the fifth
reading on, by a part of a standard deviation: it has to be seen within three looks. Two counts are of the alarms that
were given before (the last two readings against the first, by two standard errors, at each look and canary).
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence

import numpy as np
from scipy.special import betaincinv, ndtr, stdtrit

from inkfire.training.canaries import Reading, falls

QUERIES, LOOKS, CANARIES, DROPS = (2, 4, 8, 16, 32), (1, 5, 10), (1, 3), (0.5, 0.75, 1.0)
TEXTS, SHARED = 4, 0.3
ONSET, WITHIN = 4, 3
_HUMPS = 0.5  # both parameters of its beta distribution


def readings(
    n: int, queries: int, random: np.random.Generator, *, judge: bool = False, drop: float = 0.0
) -> list[Reading]:
    """``n`` readings of one canary, of which those from :data:`ONSET` on are lower by ``drop`` standard deviations."""
    found = []
    for number in range(n):
        own = random.normal(size=(queries, TEXTS)) * math.sqrt(1 - SHARED)
        values = own + random.normal(size=(queries, 1)) * math.sqrt(SHARED)
        if judge:
            values = (betaincinv(_HUMPS, _HUMPS, ndtr(values)) - 0.5) / math.sqrt(0.125)
        means = values.mean(axis=1) - (drop if number >= ONSET else 0.0)
        found.append(Reading(number + 1, tuple(means.tolist())))
    return found


def first_alarm(read: Sequence[Reading], looks: int) -> int | None:
    """The place of the reading at which it is seen to have fallen, from 0; None for never."""
    return next((n - 1 for n in range(4, len(read) + 1) if falls(read[:n], looks)), None)


def before(read: Sequence[Reading]) -> bool:
    """Whether the rule from before rings at some reading."""
    for n in range(3, len(read) + 1):
        held = [read[0], read[n - 2], read[n - 1]]
        squares = sum(float(np.var(one.means)) * len(one.means) for one in held)
        free, queries = sum(len(one.means) - 1 for one in held), len(read[0].means)
        error = math.sqrt(squares / free * 1.5 / queries)
        if held[0].mean - (held[1].mean + held[2].mean) / 2 > -stdtrit(free, ndtr(-2)) * error:
            return True
    return False


def honest(
    runs: int, queries: int, looks: int, canaries: int, random: np.random.Generator, *, judge: bool
) -> tuple[float, float]:
    """Shares of the honest trainings in which some canary alarms: by the rule, and by the one from before."""
    now, then = 0, 0
    for _ in range(runs):
        read = [readings(looks + 3, queries, random, judge=judge) for _ in range(canaries)]
        now += any(first_alarm(one, looks * canaries) is not None for one in read)
        then += any(before(one) for one in read)
    return now / runs, then / runs


def seen(
    runs: int, queries: int, drop: float, looks: int, canaries: int, random: np.random.Generator, *, judge: bool
) -> float:
    """Share of the planted falls that are seen within three looks, and not before."""
    found = 0
    for _ in range(runs):
        read = readings(ONSET + WITHIN, queries, random, judge=judge, drop=drop)
        at = first_alarm(read, looks * canaries)
        found += at is not None and at >= ONSET
    return found / runs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=400)
    runs = parser.parse_args().runs
    random = np.random.default_rng(0)
    drops = " | ".join(f"−{drop:g} sd" for drop in DROPS)
    print(f"| signal | queries a step | canaries | looks | honest: alarm | before | {drops} |\n|---|{'---:|' * 8}")
    for judge in (False, True):
        for queries in QUERIES:
            for canaries in CANARIES:
                for looks in LOOKS:
                    now, then = honest(runs, queries, looks, canaries, random, judge=judge)
                    found = [
                        f"{seen(runs, queries, drop, looks, canaries, random, judge=judge):.0%}" if looks > 3 else ""
                        for drop in DROPS
                    ]
                    name = "judge" if judge else "normal"
                    cells = [name, str(queries), str(canaries), str(looks), f"{now:.1%}", f"{then:.1%}", *found]
                    print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
