"""Intervals and tests for texts that share a query, carrier or writer and so are not independent.

There is one bootstrap, :func:`resample`, which draws whole clusters (queries), and two ways to an interval:

- What lies between 0 and 1 (a rate, an AUC) gets Wilson's interval on the *effective* n, the number of independent
  items that would vary as much (:func:`_effective_n`). It stays inside 0 and 1, and a judge that got 20 of 20 right is
  not said to be right always.
- Differences get bootstrap percentiles, widened for few clusters.

Their coverage is simulated in benchmarks/bench_coverage.py. Fewer than :data:`FEW` clusters are to be said beside the
number. What cannot be computed (one class only, nothing at all) is NaN, which JSON shows as null.

>>> wilson(9, 10)
(0.5958, 0.9821)
>>> clustered_rate([1, 1, 1, 0], clusters=["q1", "q1", "q2", "q2"]).named("right")
{'right': 0.75, 'right_ci': [0.2411, 0.9659]}
>>> bootstrap_mean_difference([1, 1, 0], [0, 1, 0], clusters=["q1", "q2", "q2"], seed=0).estimate
0.333...
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Statistic = Callable[[Floats], Floats]
"""How often each cluster was drawn, (samples, clusters) → the statistic of each sample, (samples, …)."""

RESAMPLES = 2000
FEW = 10
"""Fewer clusters than this say little of others like them, whatever the number of texts."""

_Z = 1.959963984540054  # the normal distribution's 97.5 %
_CELLS = 2_000_000  # floats that a bootstrap holds at once
_DOUBT = 0.1  # of an independent item: chosen by simulation among 0.03, 0.05, 0.1, 0.2, 0.25, 0.5 and 1


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its interval (95 % where not said otherwise) from ``n`` rows of ``clusters`` clusters."""

    estimate: float
    low: float
    high: float
    n: int
    clusters: int | None = None

    def named(self, name: str) -> dict[str, Any]:
        """The JSON fields NAME and NAME_ci; both None where there is no number."""
        if math.isnan(self.estimate):
            return {name: None, f"{name}_ci": None}
        return {name: self.estimate, f"{name}_ci": [self.low, self.high]}


def wilson(successes: float, n: float) -> tuple[float, float]:
    """Wilson's 95 % interval of a rate (Wilson 1927); (0, 1) when nothing was seen. ``n`` may be an effective one."""
    if n == 0:
        return 0.0, 1.0
    share, z = successes / n, _Z
    centre = share + z * z / (2 * n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    low, high = ((centre + sign * half) / (1 + z * z / n) for sign in (-1, 1))
    return min(max(low, 0.0), share), max(min(high, 1.0), share)


def clustered_rate(hits: Sequence[float], clusters: Sequence[Hashable] | None = None) -> Interval:
    """The mean of ``hits`` (0 or 1; a half for a tie) with Wilson's interval on the effective n.

    The variance is that of a ratio of cluster totals (Cochran 1977, 6.4), with the factor k/(k-1) of k clusters. Where
    each row is a cluster of its own (None), it is Wilson's plain interval.
    """
    index = cluster_index(clusters, len(hits))
    totals, sizes = np.bincount(index, np.asarray(hits, float)), np.bincount(index)
    return _ratio(totals.astype(float), sizes.astype(float))


def within_cluster_auc(
    labels: Sequence[int], scores: Sequence[float], clusters: Sequence[Hashable]
) -> tuple[Interval, float]:
    """P(good scores higher), ties half, over the pairs of a good and a bad text of one cluster; and the share of ties.

    The interval's ``n`` counts the pairs, its ``clusters`` those that have both labels.
    """
    index, values, good = cluster_index(clusters, len(labels)), np.asarray(scores, float), np.asarray(labels) == 1
    won, pairs, ties = [], [], 0
    for rows in np.split(np.argsort(index, kind="stable"), np.cumsum(np.bincount(index))[:-1]):
        ahead = np.sign(values[rows[good[rows]]][:, None] - values[rows[~good[rows]]][None, :])
        if ahead.size:
            won.append(float((ahead + 1).sum() / 2))
            pairs.append(float(ahead.size))
            ties += int((ahead == 0).sum())
    return _ratio(np.array(won), np.array(pairs)), ties / sum(pairs) if pairs else math.nan


def within_cluster_correlation(
    a: Sequence[float],
    b: Sequence[float],
    clusters: Sequence[Hashable],
    seed: int = 0,
    n_resamples: int = RESAMPLES,
    *,
    level: float = 0.95,
) -> Interval:
    """Pearson's correlation of what is left of ``a`` and ``b`` when each cluster's mean is taken off.

    Clusters of one row are left out. NaN where ``a`` or ``b`` never differs within a cluster.
    """
    of_weights, n, k = within_cluster_correlations(a, b, clusters)
    return bootstrap(of_weights, n, k, seed, n_resamples, level=level)


def within_cluster_correlations(
    a: Sequence[float], b: Sequence[float], clusters: Sequence[Hashable]
) -> tuple[Statistic, int, int]:
    """The statistic of :func:`within_cluster_correlation` for :func:`resample`, and how many rows and clusters it is
    of: those of clusters of more than one row, in the order in which these come."""
    index, values = cluster_index(clusters, len(a)), np.column_stack([np.asarray(a, float), np.asarray(b, float)])
    sizes = np.bincount(index)
    means = np.column_stack([np.bincount(index, column) / sizes for column in values.T])
    x, y = (values - means[index]).T
    sums = np.column_stack([np.bincount(index, part) for part in (x * x, y * y, x * y)])[sizes > 1]
    n = int(sizes[sizes > 1].sum())
    flat = not n or min(sums[:, 0].sum(), sums[:, 1].sum()) < 1e-20

    def of_weights(weights: Floats) -> Floats:
        out: Floats = np.full(len(weights), np.nan)
        if not flat:
            xx, yy, xy = (weights @ sums).T
            np.divide(xy, np.sqrt(xx * yy), out=out, where=xx * yy > 0)
        return out

    return of_weights, n, len(sums)


def cluster_share(
    values: Sequence[float], clusters: Sequence[Hashable], seed: int = 0, n_resamples: int = RESAMPLES
) -> Interval:
    """The share of the variance that lies between clusters: the correlation ICC(1) (Shrout and Fleiss 1979).

    Clusters of one row are left out. NaN where nothing varies, or where fewer than two clusters are left.
    """
    index, given = cluster_index(clusters, len(values)), np.asarray(values, float)
    sizes = np.bincount(index, minlength=1)
    columns = [np.bincount(index, part, minlength=1) for part in (given, given * given)]
    sums = np.column_stack([sizes, *columns])[sizes > 1].astype(float)
    n, k = int(sums[:, 0].sum()), len(sums)

    def of_weights(weights: Floats) -> Floats:
        of, within = weights.sum(axis=1), weights @ (sums[:, 2] - sums[:, 1] ** 2 / sums[:, 0])
        rows, total = weights @ sums[:, 0], weights @ sums[:, 1]
        between = (weights @ (sums[:, 1] ** 2 / sums[:, 0]) - total**2 / rows) / np.maximum(of - 1, 1)
        inside = within / np.maximum(rows - of, 1)
        each = (rows - weights @ sums[:, 0] ** 2 / rows) / np.maximum(of - 1, 1)
        whole = between + (each - 1) * inside
        out: Floats = np.full(len(weights), np.nan)
        np.divide(between - inside, whole, out=out, where=whole > 1e-12)
        return out

    if k < 2:
        return Interval(math.nan, math.nan, math.nan, n, k)
    return bootstrap(of_weights, n, k, seed, n_resamples)


def _ratio(hits: Floats, sizes: Floats) -> Interval:
    """``hits`` of ``sizes`` of each cluster."""
    n, k = float(sizes.sum()), len(sizes)
    if n == 0:
        return Interval(math.nan, math.nan, math.nan, 0, 0)
    share = float(hits.sum() / n)
    effective = n
    if sizes.max() > 1:
        squares = float(((hits - share * sizes) ** 2).sum())
        variance = max(squares / n**2 * k / max(k - 1, 1), share * (1 - share) / n)  # the design effect is at least 1
        effective = min(n, _effective_n(share, variance, n**2 / float((sizes**2).sum())))
    return Interval(share, *wilson(share * effective, effective), int(n), k)


def _effective_n(share: float, variance: float, least: float) -> float:
    """How many independent items would give a rate this variance (n over Kish's design effect, Kish 1965).

    Of 0 hits, or of a few, the data cannot tell whether a cluster's items go together; ``least`` is the number if they
    all do. A tenth of an item at even odds, of which that is assumed, decides there and vanishes beside more hits.
    """
    doubt = _DOUBT / least
    return (share * (1 - share) + doubt) / (variance + doubt / least)


def resample(
    statistic: Statistic,
    clusters: int,
    seed: int,
    n_resamples: int = RESAMPLES,
    *,
    width: int = 1,
    draws: int | None = None,
) -> Floats:
    """The bootstrap that all others stand on: ``statistic`` of samples of whole clusters, drawn with replacement.

    Args:
        width: floats that the statistic holds for a sample.
        draws: clusters in a sample; as many as there are, where not given.
    """
    random = np.random.default_rng(seed)
    size = draws or clusters

    def drawn(samples: int) -> Floats:
        of_sample = random.integers(clusters, size=(samples, size)) + clusters * np.arange(samples)[:, None]
        return np.bincount(of_sample.ravel(), minlength=samples * clusters).reshape(samples, clusters).astype(float)

    step = max(1, _CELLS // max(width, clusters, size))
    return np.concatenate([statistic(drawn(min(step, n_resamples - start))) for start in range(0, n_resamples, step)])


def bootstrap(
    statistic: Statistic,
    n: int,
    clusters: int,
    seed: int,
    n_resamples: int = RESAMPLES,
    *,
    width: int = 1,
    level: float = 0.95,
) -> Interval:
    """A statistic of all clusters, with the percentiles of its resamples; NaN where it is not defined on all.

    Args:
        n: rows that it is of.
        width: as for :func:`resample`.
    """
    estimate = float(statistic(np.ones((1, clusters)))[0]) if clusters else math.nan
    if math.isnan(estimate):
        return Interval(math.nan, math.nan, math.nan, n, clusters)
    return percentiles(estimate, resample(statistic, clusters, seed, n_resamples, width=width), n, clusters, level)


def bootstrap_mean_difference(
    a: Sequence[float], b: Sequence[float], clusters: Sequence[Hashable], seed: int, n_resamples: int = RESAMPLES
) -> Interval:
    """mean(a) - mean(b) of paired rates or probabilities; resamples draw whole clusters (queries)."""
    if not len(a) == len(b) == len(clusters):
        raise ValueError("a, b and clusters must have the same length")
    if len(a) == 0:
        return Interval(math.nan, math.nan, math.nan, 0, 0)
    difference = np.asarray(a, float) - np.asarray(b, float)
    index = cluster_index(clusters, len(a))
    sums, sizes = np.bincount(index, difference), np.bincount(index)
    means = resample(lambda weights: weights @ sums / (weights @ sizes), len(sizes), seed, n_resamples)
    return percentiles(float(difference.mean()), means, len(a), len(sizes))


def sign_test(a: Sequence[float], b: Sequence[float], clusters: Sequence[Hashable]) -> float:
    """Two-sided p of the exact sign test: of the clusters (queries) in which paired ``a`` and ``b`` differ, how many
    favour ``a``. For 0/1 values this is McNemar's exact test (McNemar 1947). 1 where none differ.

    >>> sign_test([1, 1, 1, 0], [0, 0, 0, 0], clusters="wxyz")
    0.25
    """
    from scipy.stats import binomtest

    difference = np.asarray(a, float) - np.asarray(b, float)
    sums = np.bincount(cluster_index(clusters, len(difference)), difference, minlength=1)
    favour, against = int((sums > 0).sum()), int((sums < 0).sum())
    return float(binomtest(favour, favour + against).pvalue) if favour + against else 1.0


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted for being several (Holm 1979): the chance that any of those at most α is false is at most α.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p_values, kind="stable")
    stepped = np.maximum.accumulate(np.asarray(p_values, float)[order] * np.arange(len(order), 0, -1))
    adjusted = np.empty(len(order))
    adjusted[order] = np.minimum(stepped, 1.0)
    return [float(p) for p in adjusted]


def auc(labels: Sequence[int], scores: Sequence[float]) -> float:
    """Area under the ROC curve: P(a good text scores above a bad one), ties half; NaN with one class only."""
    return float(_weighted_auc(labels, scores, np.arange(len(labels)))(np.ones((1, len(labels))))[0])


def bootstrap_auc(
    labels: Sequence[int],
    scores: Sequence[float],
    clusters: Sequence[Hashable] | None = None,
    seed: int = 0,
    n_resamples: int = RESAMPLES,
) -> Interval:
    """AUC with Wilson's interval on the effective n, by the bootstrap's variance over clusters (rows, when None)."""
    index = cluster_index(clusters, len(labels))
    if len(set(labels)) < 2:
        return Interval(math.nan, math.nan, math.nan, len(labels), len(set(index)))
    good = np.asarray(labels) == 1
    least = min(len(set(index[good])), len(set(index[~good])))
    resampled = resampled_auc(labels, scores, clusters, seed, n_resamples)
    return between_0_and_1(auc(labels, scores), resampled, len(labels), len(set(index)), least)


def between_0_and_1(estimate: float, resampled: Floats, n: int, clusters: int, least: int) -> Interval:
    """Wilson's interval of what lies between 0 and 1, on the n that gives its bootstrap's variance.

    Args:
        resampled: from :func:`resample`; NaN are left out.
        least: items that are independent for sure; at 0 and 1 this is the effective n.
    """
    defined = resampled[~np.isnan(resampled)]
    variance = float(np.var(defined)) * clusters / max(clusters - 1, 1) if len(defined) else 0.0
    effective = _effective_n(estimate, variance, least)
    return Interval(estimate, *wilson(estimate * effective, effective), n, clusters)


def resampled_auc(
    labels: Sequence[int],
    scores: Sequence[float],
    clusters: Sequence[Hashable] | None = None,
    seed: int = 0,
    n_resamples: int = RESAMPLES,
) -> Floats:
    """The AUCs of ``n_resamples`` bootstrap samples of clusters; NaN where one holds one class only."""
    index = cluster_index(clusters, len(labels))
    of_weights = _weighted_auc(labels, scores, index)
    return resample(of_weights, int(index.max()) + 1, seed, n_resamples, width=len(index))


def auc_difference(
    labels: Sequence[int],
    old: Sequence[float | None],
    new: Sequence[float | None],
    clusters: Sequence[Hashable],
    *,
    seed: int = 0,
    level: float = 0.95,
    n_resamples: int = 2 * RESAMPLES,
) -> Interval:
    """AUC(new) - AUC(old) on the texts that both scored (None: one did not), with the percentiles at ``level`` of the
    same resamples for both; NaN with one class only."""
    rows = [row for row in zip(labels, old, new, clusters, strict=True) if None not in row[1:3]]
    if len({row[0] for row in rows}) < 2:
        return Interval(math.nan, math.nan, math.nan, len(rows))
    good, before, after, groups = (list[Any](column) for column in zip(*rows, strict=True))
    index = cluster_index(groups, len(rows))
    of_new, of_old = (_weighted_auc(good, scores, index) for scores in (after, before))
    k = int(index.max()) + 1
    resampled = resample(lambda w: of_new(w) - of_old(w), k, seed, n_resamples, width=len(index))
    return percentiles(auc(good, after) - auc(good, before), resampled, len(rows), k, level)


def _weighted_auc(
    labels: Sequence[int], scores: Sequence[float], index: NDArray[np.int_]
) -> Callable[[Floats], Floats]:
    """Weights of clusters, (samples, clusters) → the AUC of each sample; NaN where a class has no weight."""
    order = np.argsort(scores, kind="stable")
    sorted_scores, good, of_text = np.asarray(scores, float)[order], np.asarray(labels)[order] == 1, index[order]
    ties = np.flatnonzero(np.r_[True, np.diff(sorted_scores) != 0])  # where a new score begins

    def of_weights(weights: Floats) -> Floats:
        weights = weights[:, of_text]
        positive = np.add.reduceat(np.where(good, weights, 0.0), ties, axis=1)
        negative = np.add.reduceat(np.where(good, 0.0, weights), ties, axis=1)
        below = np.cumsum(negative, axis=1) - negative / 2
        pairs = positive.sum(axis=1) * negative.sum(axis=1)
        out: Floats = np.full(len(pairs), np.nan)
        np.divide((positive * below).sum(axis=1), pairs, out=out, where=pairs > 0)
        return out

    return of_weights


def cluster_index(clusters: Sequence[Hashable] | None, n: int) -> NDArray[np.int_]:
    """The clusters of ``n`` rows as numbers from 0, in the order in which they come; None: each row its own."""
    if clusters is None:
        return np.arange(n)
    if len(clusters) != n:
        raise ValueError(f"{len(clusters)} clusters for {n} rows; each row needs one")
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(cluster, len(numbers)) for cluster in clusters], dtype=np.int_)


def percentiles(estimate: float, resampled: Floats, n: int, clusters: int, level: float = 0.95) -> Interval:
    """Percentiles of a difference of rates, widened from the normal to Student's t (Hesterberg 2015, "expanded").

    One cluster alone says nothing of others: the difference may be anything from -1 to 1.
    """
    from scipy.special import ndtr, stdtrit

    resampled = resampled[~np.isnan(resampled)]
    if clusters < 2 or len(resampled) == 0:
        return Interval(estimate, min(-1.0, estimate), max(1.0, estimate), n, clusters)
    tail = float(ndtr(math.sqrt(clusters / (clusters - 1)) * stdtrit(clusters - 1, (1 - level) / 2)))
    low, high = np.quantile(resampled, [tail, 1 - tail])
    return Interval(estimate, float(low), float(high), n, clusters)
