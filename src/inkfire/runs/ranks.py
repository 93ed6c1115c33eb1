"""Which reward or judge ranks a writer's own texts as people do: the one to train with, if any."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from inkfire.errors import InputError, RefusedReward
from inkfire.rewards.load import check_reward
from inkfire.runs.context import Access, note
from inkfire.runs.score import scorer_of
from inkfire.stats.intervals import (
    Floats,
    Interval,
    bootstrap,
    within_cluster_correlation,
    within_cluster_correlations,
)
from inkfire.stats.raters import apart
from inkfire.stats.settle import more_clusters
from inkfire.stats.voices import Voices
from inkfire.stress.qualify import check_rated, within_query

NARROW = 0.1
"""Half the width of a correlation's interval at which its question counts as settled."""
_FLAT = 1e-12


def against(voices: Voices, rewards: Sequence[str], *, show: int, access: Access, seed: int) -> dict[str, Any]:
    """Score the rated texts by each reward.

    Returns:
        ``rewards``: a row each with its ``correlation`` within the query (as ``inkfire score --ratings`` has it), how
        many scores are ``missing``, why it is ``refused`` as a reward, and the texts it puts furthest above and below
        the ratings; ``length``, the same for the length alone; ``train_with``: the one to train with, None where none
        is shown to go with the ratings; ``behind`` of the next one; ``settle_rewards``.

    Raises:
        InputError: votes on pairs, too few rated queries, or what is no reward.
    """
    if "vote" in voices.kinds:
        raise InputError(
            "votes on pairs do not rate single texts; inkfire score --reward R --pairs F holds them to one"
        )
    if twice := {name for name in rewards if rewards.count(name) > 1}:
        raise InputError(f"--reward {min(twice)} is named twice")
    rows = sorted(
        (i for i, row in enumerate(voices.scores) if not np.isnan(row).all()), key=lambda i: voices.queries[i]
    )
    ratings = [float(np.nanmean(voices.scores[i])) for i in rows]
    queries, texts = [voices.items[i][0] for i in rows], [voices.items[i][1][0] for i in rows]
    check_rated(queries)
    refused = {name: _refused(name) for name in rewards}
    found, scores = [], {}
    for name in rewards:
        with scorer_of(name, access, force=True) as scorer:
            scores[name] = scorer.score(queries, texts)
        row = {"reward": name, **within_query(scores[name], ratings, queries, seed=seed)}
        row |= {"missing": sum(score is None for score in scores[name]), "refused": refused[name]}
        found.append(row | _disagreements(scores[name], ratings, queries, texts, show))
    found.sort(key=lambda row: -math.inf if row["correlation"] is None else row["correlation"], reverse=True)
    out: dict[str, Any] = {"rewards": found, "rated": {"n_texts": len(texts), "n_queries": len(set(queries))}}
    out["length"] = within_query([float(len(text)) for text in texts], ratings, queries, seed=seed)
    free = [row["reward"] for row in found if row["refused"] is None and row["correlation"] is not None]
    best = free[0] if free else None
    shown = best is not None and _shown(scores[best], ratings, queries, len(rewards), seed)
    out["train_with"] = best if shown else None
    behind = None
    if best is not None and len(free) > 1:
        behind = _behind(scores[best], scores[free[1]], ratings, queries, seed)
        out["next"] = {"reward": free[1], **behind.named("behind")}
    if best is not None:
        second = scores[free[1]] if behind is not None and behind.low <= 0 and shown else None
        out["settle_rewards"] = _settle(scores[best], second, ratings, queries, seed, open_question=not shown)
    return out


def _refused(name: str) -> str | None:
    """Why a training would not take it; it is measured all the same."""
    try:
        check_reward(name)
    except RefusedReward as why:
        note(f"{why}")
        check_reward(name, force=True)
        return str(why)
    return None


def _shown(
    scores: Sequence[float | None], ratings: Sequence[float], queries: Sequence[str], tried: int, seed: int
) -> bool:
    """Whether the best of several is shown to go with the ratings: each that was tried had a chance to by luck, so the
    interval is that of Bonferroni's level, which is Holm's for the best."""
    a, b, of = _scored(scores, ratings, queries)
    return within_cluster_correlation(a, b, of, seed, level=1 - 0.05 / tried).low > 0


def _scored(
    scores: Sequence[float | None], ratings: Sequence[float], queries: Sequence[str]
) -> tuple[list[float], list[float], list[str]]:
    rows = [row for row in zip(scores, ratings, queries, strict=True) if row[0] is not None]
    return [float(row[0] or 0.0) for row in rows], [row[1] for row in rows], [row[2] for row in rows]


def _difference(
    best: Sequence[float | None], other: Sequence[float | None], ratings: Sequence[float], queries: Sequence[str]
) -> tuple[Any, int, int]:
    """The statistic of correlation of the one less that of the other, on the texts that both scored."""
    both = [i for i in range(len(ratings)) if best[i] is not None and other[i] is not None]
    kept, of = [ratings[i] for i in both], [queries[i] for i in both]
    one, n, k = within_cluster_correlations([float(best[i] or 0.0) for i in both], kept, of)
    two, _, _ = within_cluster_correlations([float(other[i] or 0.0) for i in both], kept, of)
    return lambda weights: one(weights) - two(weights), n, k


def _behind(
    best: Sequence[float | None],
    other: Sequence[float | None],
    ratings: Sequence[float],
    queries: Sequence[str],
    seed: int,
) -> Interval:
    statistic, n, k = _difference(best, other, ratings, queries)
    return bootstrap(statistic, n, k, seed)


def _settle(
    best: Sequence[float | None],
    second: Sequence[float | None] | None,
    ratings: Sequence[float],
    queries: Sequence[str],
    seed: int,
    *,
    open_question: bool,
) -> dict[str, Any]:
    """How many more rated queries would show that the best goes with the ratings, or that it does so more than the
    second, or narrow its correlation down to ±0.1."""
    question = "goes with" if open_question else "better" if second is not None else "correlation"
    if second is not None:
        statistic, n, k = _difference(best, second, ratings, queries)
    else:
        statistic, n, k = within_cluster_correlations(*_scored(best, ratings, queries))
    needed = more_clusters(statistic, k, half_width=NARROW if question == "correlation" else None, seed=seed)
    texts = None if needed is None or not k else math.ceil(needed * n / k)
    return {"question": question, "queries": needed, "texts": texts}


def _disagreements(
    scores: Sequence[float | None], ratings: Sequence[float], queries: Sequence[str], texts: Sequence[str], show: int
) -> dict[str, Any]:
    """``overrated`` and ``underrated``: the texts that a reward puts furthest above, and below, where the ratings put
    them among the texts of their query, both in standard deviations."""
    index = np.unique(queries, return_inverse=True)[1]
    given = np.array([math.nan if score is None else score for score in scores], float)
    rated = np.where(np.isnan(given), np.nan, ratings)
    above, below = apart(_within(given, index), _within(rated, index), show)

    def told(rows: Sequence[int]) -> list[dict[str, Any]]:
        return [{"query": queries[i], "response": texts[i], "score": scores[i], "rating": ratings[i]} for i in rows]

    return {"overrated": told(above), "underrated": told(below)}


def _within(values: Floats, index: Any) -> Floats:
    """What the mean of its query leaves of each value, in standard deviations; NaN stays."""
    there = ~np.isnan(values)
    size = index.max(initial=0) + 1
    n = np.bincount(index[there], minlength=size)
    sums = np.bincount(index[there], values[there], minlength=size)
    left = values - (sums / np.maximum(n, 1))[index]
    spread = float(np.sqrt(np.nanmean(left**2))) if there.any() else 0.0
    out: Floats = left / spread if spread > _FLAT else left * 0
    return out
