"""What is left of a rate when length is held equal: by regression, and on texts of like length.

Both stand beside the raw number, always: a policy that only writes longer wins by a signal that likes long texts, and
loses that here.

- By regression, after AlpacaEval's length-controlled win rate (Dubois et al. 2404.04475): a logistic model of a
  signal's labels with a term for each policy and a curve in log length that they share, so that the curve is learnt
  from texts of one policy against each other. A policy's controlled rate is what the model says of it at the lengths of
  all texts. Of a win, the term is the difference of the two lengths through tanh, as there; at no difference it is 0.
- On texts of like length: coarsened exact matching (Iacus, King and Porro 2012) on bins of ``twins.MATCH_RATIO``; a bin
  weighs as much as it has texts of the policy that has fewer there.

Intervals are a bootstrap of whole queries.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from inkfire.stats.intervals import Floats, Interval, bootstrap, percentiles, resample
from inkfire.stats.twins import MATCH_RATIO

RESAMPLES = 400
_RIDGE = 0.05  # keeps a signal that length decides from sending a weight to infinity
_STEPS = 30
_MOST = 12.0  # log-odds
_KNOTS = (0.1, 0.3, 0.5, 0.7, 0.9)  # quantiles of log length

Ints = NDArray[np.int_]


def logistic(features: Floats, outcomes: Floats, weights: Floats, start: Floats | None = None) -> Floats:
    """Weights of logistic regressions of ``outcomes`` (0 to 1) by Newton's method, one a row of ``weights``.

    Args:
        features: (rows, k).
        weights: how often each row counts, (samples, rows).
        start: (k,), where to begin.

    Returns:
        (samples, k).
    """
    k = features.shape[1]
    squares = (features[:, :, None] * features[:, None, :]).reshape(len(features), k * k)
    beta = np.tile(np.zeros(k) if start is None else start, (len(weights), 1))
    ridge = _RIDGE * np.eye(k)
    for _ in range(_STEPS):
        p = 1 / (1 + np.exp(-np.clip(beta @ features.T, -_MOST, _MOST)))
        gradient = (weights * (outcomes - p)) @ features - _RIDGE * beta
        hessian = ((weights * np.maximum(p * (1 - p), 1e-5)) @ squares).reshape(-1, k, k) + ridge
        step = np.linalg.solve(hessian, gradient[:, :, None])[:, :, 0]
        size = np.abs(step).max(axis=1, keepdims=True)
        beta = beta + step * np.minimum(1.0, 2.0 / np.maximum(size, 1e-12))
        if float(size.max()) < 1e-3:
            break
    return beta


def length_curve(lengths: Sequence[int]) -> Floats:
    """Log length and its bends at :data:`_KNOTS`, (texts, 1 + knots), each with mean 0 and deviation 1 (0 where it does
    not vary): a line in pieces, which follows a threshold in length too."""
    logs = np.log(np.maximum(np.asarray(lengths, float), 1.0))
    knots = np.unique(np.quantile(logs, _KNOTS))
    stacked = np.column_stack([logs, *(np.maximum(logs - knot, 0.0) for knot in knots)])
    spread = stacked.std(axis=0)
    return np.asarray((stacked - stacked.mean(axis=0)) / np.where(spread > 1e-9, spread, 1.0), float)


def controlled_rates(
    labels: Sequence[int], policies: Sequence[int], lengths: Sequence[int], queries: Ints, n: tuple[int, int], seed: int
) -> tuple[Floats, Floats]:
    """The rate of each policy at the lengths of all texts: (policies,), and that of each bootstrap sample.

    Args:
        policies, queries: which ones a text is of, as numbers.
        n: how many policies and queries there are.
    """
    of, outcomes = np.asarray(policies), np.asarray(labels, float)
    curve = length_curve(lengths)
    features = np.column_stack([np.eye(n[0])[of], curve])

    start = logistic(features, outcomes, np.ones((1, len(outcomes))))[0]

    def rates(weights: Floats) -> Floats:
        of_text = weights[:, queries]
        beta = logistic(features, outcomes, of_text, start)
        bent = beta[:, n[0] :] @ curve.T
        total = of_text.sum(axis=1)
        found = np.empty((len(weights), n[0]))
        for policy in range(n[0]):
            odds = np.clip(beta[:, [policy]] + bent, -_MOST, _MOST)
            found[:, policy] = (of_text / (1 + np.exp(-odds))).sum(axis=1) / np.maximum(total, 1e-9)
        return found

    whole = rates(np.ones((1, n[1])))[0]
    return whole, resample(rates, n[1], seed, RESAMPLES, width=len(outcomes) * 3)


def matched_difference(
    mine: tuple[Sequence[int], Sequence[int], Ints],
    theirs: tuple[Sequence[int], Sequence[int], Ints],
    queries: int,
    seed: int,
) -> Interval:
    """The difference of two policies' rates on texts of like length; its ``n`` counts the texts of one of both.

    Args:
        mine, theirs: the labels, lengths and queries (as numbers) of a policy's texts.
    """
    bins: dict[int, int] = {}
    tables = []
    for labels, lengths, of in (mine, theirs):
        places = [bins.setdefault(round(math.log(max(size, 1)) / math.log(MATCH_RATIO)), len(bins)) for size in lengths]
        tables.append((np.asarray(labels, float), np.asarray(places, int), of))
    counts, hits = [], []
    for outcomes, where, of in tables:
        cells = np.zeros((2, queries, len(bins)))
        np.add.at(cells[0], (of, where), 1.0)
        np.add.at(cells[1], (of, where), outcomes)
        counts.append(cells[0])
        hits.append(cells[1])

    def difference(weights: Floats) -> Floats:
        (ours, other), (good, well) = ([weights @ one for one in part] for part in (counts, hits))
        both = np.minimum(ours, other)
        rates = good / np.maximum(ours, 1e-9) - well / np.maximum(other, 1e-9)
        total = both.sum(axis=1)
        found: Floats = np.full(len(weights), np.nan)
        np.divide((both * rates).sum(axis=1), total, out=found, where=total > 0)
        return found

    everything = np.ones((1, queries))
    estimate = float(difference(everything)[0])
    n = int(np.minimum(counts[0].sum(axis=0), counts[1].sum(axis=0)).sum())
    if n == 0:
        return Interval(math.nan, math.nan, math.nan, 0, 0)
    resampled = resample(difference, queries, seed, RESAMPLES, width=4 * len(bins))
    return percentiles(estimate, resampled, n, min(queries, n))


def controlled_win_rate(
    wins: Sequence[float], lengths: Sequence[tuple[int, int]], queries: Ints, seed: int
) -> Interval:
    """The win rate (a tie is a half) at texts of equal length.

    Args:
        lengths: mine and theirs of each pair.
    """
    outcomes = np.asarray(wins, float)
    apart = np.array([math.log(max(mine, 1)) - math.log(max(theirs, 1)) for mine, theirs in lengths])
    spread = float(apart.std()) or 1.0
    features = np.column_stack([np.ones(len(apart)), np.tanh(apart / spread)])
    k = int(queries.max()) + 1 if len(queries) else 0

    def rate(weights: Floats) -> Floats:
        beta = logistic(features, outcomes, weights[:, queries])
        return np.asarray(1 / (1 + np.exp(-beta[:, 0])), float)

    return bootstrap(rate, len(wins), k, seed, RESAMPLES, width=3 * len(apart))
