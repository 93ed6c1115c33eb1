"""The part of a score that length explains, and how it is taken out.

A score is regressed on the logarithm of the length in characters, by least squares over the texts that it was learnt
from, and the slope is taken away. Where nearly every good text is the longer one that slope holds quality as well:
:func:`balanced` lets the rare pairs, whose chosen text is the shorter one, count as far as they can first.

>>> part = LengthPart.fit([1.0, 2.0, 3.0], ["a", "aa", "aaaa"])
>>> part.without([1.0, 2.0, 3.0], ["a", "aa", "aaaa"])
[2.0, 2.0, 2.0]
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from inkfire.records import Preference
from inkfire.stats.intervals import Floats, Interval, bootstrap, cluster_index

MOST_OFTEN = 8
"""How often a pair is repeated at most. On the paper's release, where the longer text wins 56 times as often, full
balance lets 107 pairs decide; 8 took the slope nearest to that on a policy's own texts."""


@dataclass(frozen=True)
class LengthPart:
    """``slope`` · (log length - ``centre``): score units a log character, and the mean log length it was fitted on."""

    slope: float
    centre: float

    @classmethod
    def fit(cls, scores: Sequence[float], texts: Sequence[str]) -> Self:
        """Least squares over texts with their scores."""
        lengths, values = log_lengths(texts), np.asarray(scores, float)
        spread = lengths - lengths.mean()
        slope = float(spread @ values) / (float(spread @ spread) or 1.0)
        return cls(round(slope, 6), round(float(lengths.mean()), 6))

    def without(self, scores: Sequence[float | None], texts: Sequence[str]) -> list[float | None]:
        """The scores less what length explains of them."""
        parts = self.slope * (log_lengths(texts) - self.centre)
        return [None if score is None else score - float(part) for score, part in zip(scores, parts, strict=True)]


def log_lengths(texts: Sequence[str]) -> Floats:
    """Natural logarithms of the lengths in characters; an empty text counts as one."""
    return np.array([math.log(max(len(text), 1)) for text in texts])


def balanced(pairs: Sequence[Preference]) -> list[Preference]:
    """The pairs with those of the rarer side (the longer text chosen, or the shorter) repeated until both sides are as
    many, or each stands :data:`MOST_OFTEN` times."""
    longer = [pair for pair in pairs if len(pair.chosen) > len(pair.rejected)]
    shorter = [pair for pair in pairs if len(pair.chosen) < len(pair.rejected)]
    rare, many = sorted((longer, shorter), key=len)
    missing = min(len(many) - len(rare), (MOST_OFTEN - 1) * len(rare))
    return [*pairs, *(rare[i % len(rare)] for i in range(missing))]


def length_correlation(
    scores: Sequence[float | None], texts: Sequence[str], clusters: Sequence[Hashable], seed: int = 0
) -> Interval:
    """Pearson's correlation of score and log length, with bootstrap percentiles over clusters (queries); texts without
    a score are left out, and NaN stands where one of both does not vary."""
    rows = [i for i, score in enumerate(scores) if score is not None]
    x = log_lengths([texts[i] for i in rows])
    y = np.array([scores[i] for i in rows], float)
    index = cluster_index([clusters[i] for i in rows], len(rows))
    x, y = x - (x.mean() if rows else 0), y - (y.mean() if rows else 0)
    moments = np.stack([np.bincount(index, value) for value in (np.ones(len(x)), x, y, x * x, y * y, x * y)], axis=1)

    def correlations(weights: Floats) -> Floats:
        n, sx, sy, sxx, syy, sxy = (weights @ moments).T
        with np.errstate(divide="ignore", invalid="ignore"):
            of_sample: Floats = (n * sxy - sx * sy) / np.sqrt((n * sxx - sx * sx) * (n * syy - sy * sy))
        return of_sample

    return bootstrap(correlations, len(rows), len(moments), seed)


def on_pairs(
    pairs: Sequence[Preference], scores: Sequence[tuple[float | None, float | None]], seed: int = 0
) -> dict[str, Any]:
    """``length_correlation`` over the texts of pairs with their (chosen, rejected) scores."""
    flat = [score for both in scores for score in both]
    texts = [text for pair in pairs for text in (pair.chosen, pair.rejected)]
    queries = [pair.query for pair in pairs for _ in range(2)]
    return length_correlation(flat, texts, queries, seed).named("length_correlation")
