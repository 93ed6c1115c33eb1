"""How many more queries would settle a difference, by simulation.

A bootstrap sample of the queries that there are is a world that is as likely as theirs. From it more queries are drawn
and put beside the old ones, until in four of five worlds the difference would be shown: an interval without zero, and a
sign test at the level that is left when all comparisons of the evaluation share 5 %. Where nothing differs the answer
is long, as it should be.

>>> more_queries([0.2, -0.1, 0.3, 0.0, 0.1] * 8, comparisons=1, seed=0) is not None
True
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

WORLDS = 300
POWER = 0.8
MOST = 10
"""Times as many queries as there are: beyond that nothing is said."""
_SIZES = (1.25, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, float(MOST))


def more_queries(differences: Sequence[float], *, comparisons: int, seed: int, level: float = 0.05) -> int | None:
    """Queries to add to those whose ``differences`` are there; None: even :data:`MOST` times as many may not do.

    Args:
        comparisons: that share the level.
    """
    there = np.asarray(differences, float)
    n = len(there)
    if n < 2:
        return None
    random = np.random.default_rng(seed)
    worlds = there[random.integers(n, size=(WORLDS, n))]
    for times in _SIZES:
        more = max(1, round(times * n) - n)
        drawn = np.take_along_axis(worlds, random.integers(n, size=(WORLDS, more)), axis=1)
        if _shown(np.column_stack([np.tile(there, (WORLDS, 1)), drawn]), level, comparisons) >= POWER:
            return more
    return None


def _shown(worlds: np.ndarray[tuple[int, int], np.dtype[np.float64]], level: float, comparisons: int) -> float:
    """In which share of the worlds (one a row) the difference is shown."""
    from scipy.stats import binom, t

    n = worlds.shape[1]
    means, errors = worlds.mean(axis=1), worlds.std(axis=1, ddof=1) / np.sqrt(n)
    favour, against = (worlds > 0).sum(axis=1), (worlds < 0).sum(axis=1)
    p = np.minimum(1.0, 2 * binom.cdf(np.minimum(favour, against), favour + against, 0.5))
    apart = np.abs(means) > t.isf(level / 2, n - 1) * errors
    return float(np.mean(apart & (p * comparisons <= level)))
