"""Intervals and tests, on scipy and scikit-learn.

Rates get Wilson intervals; differences and AUC get percentile bootstraps that resample whole queries, because texts
that answer one query are not independent. A number that cannot be computed (one class only, nothing at all) is NaN,
which JSON shows as null.

>>> wilson(9, 10)
(0.5958, 0.9821)
>>> bootstrap_mean_difference([1, 1, 0], [0, 1, 0], clusters=["q1", "q2", "q2"], seed=0).estimate
0.333...
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inkfire.errors import InputError

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its 95 % interval; ``n`` rows went into it."""

    estimate: float
    low: float
    high: float
    n: int


def wilson(successes: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a rate (Wilson 1927); (0, 1) when nothing was seen."""
    from scipy.stats import binomtest

    if n == 0:
        return 0.0, 1.0
    interval = binomtest(successes, n).proportion_ci(confidence_level=level, method="wilson")
    return float(interval.low), float(interval.high)


def bootstrap_mean_difference(
    a: Sequence[float], b: Sequence[float], clusters: Sequence[Hashable], seed: int, n_resamples: int = 2000
) -> Interval:
    """mean(a) - mean(b) of paired values; resamples draw whole clusters (queries) with replacement."""
    if not len(a) == len(b) == len(clusters):
        raise ValueError("a, b and clusters must have the same length")
    if len(a) == 0:
        return Interval(math.nan, math.nan, math.nan, 0)
    difference = np.asarray(a, float) - np.asarray(b, float)
    index = _cluster_index(clusters)
    sums, sizes = np.bincount(index, difference), np.bincount(index)
    means = [weights @ sums / (weights @ sizes) for weights in _resamples(len(sizes), seed, n_resamples)]
    return _percentiles(float(difference.mean()), np.concatenate(means), len(a))


def sign_test(a: Sequence[float], b: Sequence[float], clusters: Sequence[Hashable]) -> float:
    """Two-sided p of the exact sign test: of the clusters (queries) in which paired ``a`` and ``b`` differ, how many
    favour ``a``. For 0/1 values this is McNemar's exact test (McNemar 1947). 1 where none differ.

    >>> sign_test([1, 1, 1, 0], [0, 0, 0, 0], clusters="wxyz")
    0.25
    """
    from scipy.stats import binomtest

    difference = np.asarray(a, float) - np.asarray(b, float)
    sums = np.bincount(_cluster_index(clusters), difference, minlength=1)
    favour, against = int((sums > 0).sum()), int((sums < 0).sum())
    return float(binomtest(favour, favour + against).pvalue) if favour + against else 1.0


def auc(labels: Sequence[int], scores: Sequence[float]) -> float:
    """Area under the ROC curve: P(a good text scores above a bad one), ties half; NaN with one class only."""
    from sklearn.metrics import roc_auc_score

    if len(set(labels)) < 2:
        return math.nan
    return float(roc_auc_score(labels, scores))


def bootstrap_auc(
    labels: Sequence[int],
    scores: Sequence[float],
    clusters: Sequence[Hashable] | None = None,
    seed: int = 0,
    n_resamples: int = 2000,
) -> Interval:
    """AUC with a bootstrap interval over clusters (rows, when None); resamples with one class only are left out."""
    estimate = auc(labels, scores)
    if math.isnan(estimate):
        return Interval(estimate, math.nan, math.nan, len(labels))
    return _percentiles(estimate, resampled_auc(labels, scores, clusters, seed, n_resamples), len(labels))


def resampled_auc(
    labels: Sequence[int],
    scores: Sequence[float],
    clusters: Sequence[Hashable] | None = None,
    seed: int = 0,
    n_resamples: int = 2000,
) -> Floats:
    """The AUCs of ``n_resamples`` bootstrap samples of clusters; NaN where one holds one class only."""
    index = _cluster_index(clusters if clusters is not None else range(len(labels)))
    order = np.argsort(scores, kind="stable")
    sorted_scores, good = np.asarray(scores, float)[order], np.asarray(labels)[order] == 1
    ties = np.flatnonzero(np.r_[True, np.diff(sorted_scores) != 0])  # where a new score begins
    aucs = [
        _weighted_auc(weights[:, index[order]], good, ties)
        for weights in _resamples(int(index.max()) + 1, seed, n_resamples, chunk=max(1, 2_000_000 // len(order)))
    ]
    return np.concatenate(aucs)


def _weighted_auc(weights: Floats, good: NDArray[np.bool_], ties: NDArray[np.int_]) -> Floats:
    """The AUC of each row of weights over texts sorted by score; NaN where a class has no weight."""
    positive = np.add.reduceat(np.where(good, weights, 0.0), ties, axis=1)
    negative = np.add.reduceat(np.where(good, 0.0, weights), ties, axis=1)
    below = np.cumsum(negative, axis=1) - negative / 2
    pairs = positive.sum(axis=1) * negative.sum(axis=1)
    wins: Floats = (positive * below).sum(axis=1)
    out: Floats = np.full(len(wins), np.nan)
    np.divide(wins, pairs, out=out, where=pairs > 0)
    return out


def auc_difference(
    labels: Sequence[int],
    old: Sequence[float],
    new: Sequence[float],
    clusters: Sequence[Hashable],
    *,
    seed: int = 0,
    n_resamples: int = 4000,
) -> tuple[float, NDArray[np.float64]]:
    """AUC(new) - AUC(old) on the same texts, and the same of ``n_resamples`` resamplings of the queries.

    Raises:
        InputError: one class only.
    """
    y = np.asarray(labels, dtype=bool)
    if y.all() or not y.any():
        raise InputError("an AUC needs good and bad texts")
    wins = _wins(np.asarray(new, dtype=float), y) - _wins(np.asarray(old, dtype=float), y)
    index = {query: i for i, query in enumerate(dict.fromkeys(clusters))}
    of_text = np.array([index[query] for query in clusters])
    rng = np.random.default_rng(seed)
    weights = rng.multinomial(len(index), np.full(len(index), 1 / len(index)), size=n_resamples)[:, of_text].astype(
        float
    )
    good, bad = weights[:, y], weights[:, ~y]
    pairs = good.sum(axis=1) * bad.sum(axis=1)
    kept = pairs > 0
    resampled = ((good @ wins) * bad).sum(axis=1)[kept] / pairs[kept]
    return float(wins.mean()), resampled


def _wins(scores: NDArray[np.float64], good: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(good texts, bad texts): 1 where the good one scores higher, 1/2 on a tie."""
    ahead = scores[good][:, None] - scores[~good][None, :]
    return (np.sign(ahead) + 1) / 2


def _cluster_index(clusters: Sequence[Hashable]) -> NDArray[np.int_]:
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(cluster, len(numbers)) for cluster in clusters])


def _resamples(clusters: int, seed: int, n_resamples: int, chunk: int = 100) -> Iterator[Floats]:
    """How often each cluster is drawn: float arrays of shape (≤ chunk, clusters), n_resamples rows in all."""
    random = np.random.default_rng(seed)
    even = np.full(clusters, 1 / clusters)
    for start in range(0, n_resamples, chunk):
        yield random.multinomial(clusters, even, size=min(chunk, n_resamples - start)).astype(float)


def _percentiles(estimate: float, resampled: Floats, n: int) -> Interval:
    resampled = resampled[~np.isnan(resampled)]
    if len(resampled) == 0:
        return Interval(estimate, math.nan, math.nan, n)
    low, high = np.quantile(resampled, [0.025, 0.975])
    return Interval(estimate, float(low), float(high), n)
