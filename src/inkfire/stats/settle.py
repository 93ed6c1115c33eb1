"""How many more queries would settle a question, by drawing larger samples from those at hand.

That takes what they show for the truth: where the true effect is smaller, more are needed. Drawn again from few
queries, the spread is too small, so the answer is rather too low.

>>> of_weights, n, k = within_cluster_correlations(scores, ratings, queries)                     # doctest: +SKIP
>>> more_clusters(of_weights, k)                                                                 # doctest: +SKIP
12
"""

from __future__ import annotations

import math

import numpy as np

from inkfire.stats.intervals import Statistic, resample

POWER = 0.8
"""The share of such samples in which the interval has to leave out 0."""
MOST = 20
"""Times the queries at hand beyond which nothing is said: so far they do not reach."""
_SIZES = (1.0, 1.1, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, float(MOST))
_SAMPLES = 500
_Z = 1.96


def more_clusters(
    statistic: Statistic, clusters: int, *, half_width: float | None = None, seed: int = 0, width: int = 1
) -> int | None:
    """So many clusters more, about, and four samples in five would have an interval of ``statistic`` without 0; with
    ``half_width``, one no wider than twice that. None where even :data:`MOST` times as many are too few.

    Args:
        width: as for :func:`resample`.
    """
    if clusters < 2:
        return None
    for size in _SIZES:
        draws = math.ceil(size * clusters)
        found = resample(statistic, clusters, seed, _SAMPLES, width=width, draws=draws)
        found = found[~np.isnan(found)]
        if not len(found):
            return None
        reach = _Z * float(found.std())
        if reach <= half_width if half_width is not None else float((np.abs(found) > reach).mean()) >= POWER:
            return draws - clusters
    return None
