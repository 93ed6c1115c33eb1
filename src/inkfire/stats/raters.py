"""Whether raters agree: kappa, Krippendorff's alpha and the share of equal answers, with intervals clustered by query.

A rater is whoever gives texts a number: a person, a judge, a file. What each gave each text is a matrix (texts, raters)
with NaN where a rater gave none.

>>> both = np.array([[1.0, 1.0], [1.0, 0.0], [0.0, 0.0], [0.0, 0.0]])
>>> found = agreement(both, clusters="abcd")
>>> found["kappa"], found["accuracy"]
(0.5, 0.75)
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Hashable, Sequence
from itertools import combinations
from typing import Any, Literal

import numpy as np

from inkfire.stats.intervals import (
    RESAMPLES,
    Floats,
    Interval,
    Statistic,
    bootstrap,
    cluster_index,
    clustered_rate,
)

Level = Literal["nominal", "ordinal", "interval"]
"""What values say: which kind; which rank; how much."""
_ALIKE = 1e-9
_CATEGORIES = 10  # values of which a confusion can still be read


def agreement(
    values: Floats,
    clusters: Sequence[Hashable],
    level: Level = "nominal",
    seed: int = 0,
    n_resamples: int = RESAMPLES,
) -> dict[str, Any]:
    """``kappa``, ``alpha`` and ``accuracy``, each with ``NAME_ci``, of the ``n`` texts that two raters or more rated.

    ``accuracy`` is the share of equal answers and kappa the mean of all pairs of raters (Light 1971). Of a rank or an
    amount kappa has quadratic weights (Cohen 1968), else none (Cohen 1960). Where nothing varies they are None.

    Args:
        values: (texts, raters), NaN where a rater gave none.
        clusters: the query of each text.
    """
    values, kept = compared(values, clusters)
    rated = ~np.isnan(values)
    out: dict[str, Any] = {"n": len(values), "queries": len(set(kept))}
    rows, hits = [], []
    for a, b in combinations(range(values.shape[1]), 2):
        at = np.flatnonzero(rated[:, a] & rated[:, b])
        rows += at.tolist()
        hits += (np.abs(values[at, a] - values[at, b]) < _ALIKE).tolist()
    same = clustered_rate(hits, [kept[i] for i in rows])
    for name, statistic in (("kappa", kappa_of), ("alpha", alpha_of)):
        of_weights, width = statistic(values, kept, level)
        found = bootstrap(of_weights, len(kept), len(set(kept)), seed, n_resamples, width=width)
        if math.isnan(found.estimate):
            out |= {name: None, f"{name}_ci": None}
            continue
        out |= dataclasses.replace(found, low=min(found.low, _least(same, values))).named(name)
    return out | same.named("accuracy")


def compared(values: Floats, clusters: Sequence[Hashable]) -> tuple[Floats, list[Hashable]]:
    """The texts, and their clusters, that two raters or more rated."""
    both = (~np.isnan(values)).sum(axis=1) >= 2
    return values[both], [cluster for cluster, is_in in zip(clusters, both, strict=True) if is_in]


def _least(same: Interval, values: Floats) -> float:
    """Raters that never differed are not sure never to: what kappa would be at the least share of equal answers that is
    likely. Where they did differ, 1: the bootstrap says it."""
    if same.estimate < 1:
        return 1.0
    shares = np.unique(values[~np.isnan(values)], return_counts=True)[1] / np.sum(~np.isnan(values))
    return 1 - (1 - same.low) / (1 - float((shares**2).sum()))


def kappa_of(values: Floats, clusters: Sequence[Hashable], level: Level = "nominal") -> tuple[Statistic, int]:
    """The mean kappa of all pairs of raters as a statistic for ``resample``, and the floats that it holds a sample.

    1 - E(a - b)² / (E over independent a and b), which for weights by the square is Cohen's (1968); a kind is one of
    several 0/1 columns, for which it is that of 1960.
    """
    index = cluster_index(clusters, len(values))
    kinds = np.unique(values[~np.isnan(values)]).tolist() if level == "nominal" else []
    columns = [np.where(np.isnan(values), np.nan, np.abs(values - kind) < _ALIKE) for kind in kinds] or [values]
    pairs = []
    for a, b in combinations(range(values.shape[1]), 2):
        there = ~np.isnan(values[:, a]) & ~np.isnan(values[:, b])
        sums = []
        for column in columns:
            x, y = column[there, a], column[there, b]
            parts = (np.ones(len(x)), x, y, x * x, y * y, x * y)
            sums.append([np.bincount(index[there], part, minlength=index.max(initial=-1) + 1) for part in parts])
        pairs.append(np.array(sums).transpose(2, 0, 1))  # (clusters, columns, moments)

    def of_weights(weights: Floats) -> Floats:
        out = np.full((len(pairs), len(weights)), np.nan)
        for row, sums in zip(out, pairs, strict=True):
            n, x, y, xx, yy, xy = np.moveaxis(np.tensordot(weights, sums, 1), -1, 0)
            with np.errstate(divide="ignore", invalid="ignore"):
                observed, expected = (xx + yy - 2 * xy) / n, (xx + yy) / n - 2 * x * y / n**2
                observed, expected = observed.sum(axis=1), expected.sum(axis=1)
                row[:] = np.where(expected > _ALIKE, 1 - observed / expected, np.nan)
        return _mean(out)

    return of_weights, 6 * max(1, len(columns))


def _mean(rows: Floats) -> Floats:
    """Of each column, over what is no NaN."""
    there = ~np.isnan(rows)
    out: Floats = np.full(rows.shape[1], np.nan)
    np.divide(np.where(there, rows, 0).sum(axis=0), there.sum(axis=0), out=out, where=there.any(axis=0))
    return out


def alpha_of(values: Floats, clusters: Sequence[Hashable], level: Level = "nominal") -> tuple[Statistic, int]:
    """Krippendorff's alpha (2011, "Computing Krippendorff's Alpha-Reliability") as a statistic for ``resample``, and
    the floats that it holds a sample.

    1 - (n - 1) Σ o_ck δ²_ck / Σ n_c n_k δ²_ck over values c and k, of coincidences o_ck and n values. δ of a rank,
    Σ n_g from c to k less half of both ends, is the difference of the mid-ranks of c and k, so all three levels need
    sums over values only. Texts with one rating are left out.
    """
    rated = ~np.isnan(values)
    both = rated.sum(axis=1) >= 2
    found, given = values[both][rated[both]], rated[both].sum(axis=1)
    index = cluster_index(clusters, len(values))[both]
    k = len(set(clusters))
    distinct, code = np.unique(found.round(9), return_inverse=True)
    counts = np.zeros((k, len(distinct)))
    np.add.at(counts, (np.repeat(index, given), code), 1)
    starts = np.cumsum(given) - given
    units = np.zeros((len(given), len(distinct))) if level == "nominal" else np.zeros((0, 0))
    if level == "nominal":
        np.add.at(units, (np.repeat(np.arange(len(given)), given), code), 1)

    def differ(positions: Floats) -> Floats:
        """(samples, values) → what the ratings of each text differ by, (samples, texts)."""
        at = positions[:, code]
        squares, sums = np.add.reduceat(at * at, starts, axis=1), np.add.reduceat(at, starts, axis=1)
        out: Floats = 2 * (given * squares - sums**2) / (given - 1)
        return out

    def of_weights(weights: Floats) -> Floats:
        if not len(found):
            return np.full(len(weights), np.nan)
        totals = weights @ counts
        n = totals.sum(axis=1)
        if level == "nominal":
            apart = weights[:, index] @ ((given**2 - (units**2).sum(axis=1)) / (given - 1))
            expected = n**2 - (totals**2).sum(axis=1)
        else:
            ranks = np.cumsum(totals, axis=1) - totals / 2
            positions = ranks if level == "ordinal" else np.broadcast_to(distinct, totals.shape)
            apart = (weights[:, index] * differ(positions)).sum(axis=1)
            expected = 2 * (n * (totals * positions**2).sum(axis=1) - (totals * positions).sum(axis=1) ** 2)
        out: Floats = np.full(len(weights), np.nan)
        np.divide((n - 1) * apart, expected, out=out, where=expected > _ALIKE)
        return 1 - out

    return of_weights, 3 * max(1, len(found))


def confusion(a: Floats, b: Floats) -> dict[str, Any] | None:
    """``values`` and ``counts``: how often b (columns) gave each of them where a (rows) gave each; None of more than
    ten values, which nobody reads."""
    both = ~np.isnan(a) & ~np.isnan(b)
    values, code = np.unique(np.concatenate([a[both], b[both]]), return_inverse=True)
    if not 0 < len(values) <= _CATEGORIES:
        return None
    counts = np.zeros((len(values), len(values)), int)
    np.add.at(counts, (code[: both.sum()], code[both.sum() :]), 1)
    return {"values": values.tolist(), "counts": counts.tolist()}


def apart(a: Floats, b: Floats, k: int) -> tuple[list[int], list[int]]:
    """Rows where ``a`` is most above ``b``, and where it is most below: ``k`` of each at most, the furthest first."""
    difference = np.nan_to_num(a - b)
    order = np.argsort(-difference, kind="stable")
    above = [int(i) for i in order if difference[i] > _ALIKE][:k]
    return above, [int(i) for i in np.argsort(difference, kind="stable") if difference[i] < -_ALIKE][:k]
