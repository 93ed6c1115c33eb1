"""How strong each writer is, from which of two texts was preferred (Bradley and Terry 1952).

A writer's text is preferred over another's with odds of exp(difference of their strengths); a tie is half a win for
each.

>>> strengths([("a", "b", 1.0)] * 30 + [("a", "b", 0.0)] * 10, clusters=range(40))["a"]["strength"]
0.53...
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np

from inkfire.stats.intervals import Floats, cluster_index, percentiles, resample

_PRIOR = 0.25
"""Wins and losses of each writer against an average one that are assumed: who never lost is not infinitely strong."""
_STEPS = 200


def strengths(
    votes: Sequence[tuple[str, str, float]], clusters: Sequence[Hashable], seed: int = 0
) -> dict[str, dict[str, Any]]:
    """``strength`` (log-odds against the average writer) with ``strength_ci``, and ``votes``, by writer, best first.

    Args:
        votes: (writer, other, 1 where the writer's text was preferred, 0 where the other's, 0.5 for a tie).
        clusters: the query of each vote.
    """
    names = sorted({name for first, second, _ in votes for name in (first, second)})
    at = {name: i for i, name in enumerate(names)}
    index = cluster_index(clusters, len(votes))
    k, size = len(set(clusters)), len(names)
    wins = np.zeros((k, size, size))
    for cluster, (first, second, won) in zip(index, votes, strict=True):
        wins[cluster, at[first], at[second]] += won
        wins[cluster, at[second], at[first]] += 1 - won
    flat = wins.reshape(k, -1)

    def of_weights(weights: Floats) -> Floats:
        return _fitted((weights @ flat).reshape(-1, size, size))

    estimates = of_weights(np.ones((1, k)))[0]
    resampled = resample(of_weights, k, seed, width=4 * size * size)
    out = {}
    for i in np.argsort(-estimates, kind="stable"):
        mine = sum(names[i] in vote[:2] for vote in votes)
        out[names[i]] = percentiles(float(estimates[i]), resampled[:, i], mine, k).named("strength") | {"votes": mine}
    return out


def _fitted(wins: Floats) -> Floats:
    """(samples, writers, writers) of wins → strengths, by Hunter's (2004) MM steps; their mean is 0."""
    games, won = wins + wins.transpose(0, 2, 1), wins.sum(axis=2) + _PRIOR
    odds = np.ones(won.shape)
    for _ in range(_STEPS):
        shared = (games / (odds[:, :, None] + odds[:, None, :])).sum(axis=2) + 2 * _PRIOR / (odds + 1)
        new = won / shared
        done = float(np.abs(np.log(new / odds)).max()) < 1e-6
        odds = new
        if done:
            break
    logs = np.log(odds)
    centred: Floats = logs - logs.mean(axis=1, keepdims=True)
    return centred
