"""What a signal sees: good texts beside the same texts damaged, and texts of a policy beside a reader's ratings.

A number on labels qualifies nothing: labels and reward share their blind spots. A signal that cannot tell a good text
from the same one with its words shuffled is gamed by shuffled words. Here a signal is a callable, whoever scores.

    qualified = qualify(score, good, n=40)
    qualified["swapped"]              # {"auc": 0.98, "auc_ci": [0.9, 1.0], "length_auc": 0.5, …, "n": 40, "sees": True}
    blind(qualified)                  # ["foreign"]
    within_query(score(queries, responses), ratings, queries)["correlation"]
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from inkfire.errors import InputError
from inkfire.records import Candidate, Comparison, Preference
from inkfire.stats.intervals import bootstrap_auc, clustered_rate, within_cluster_correlation
from inkfire.stress.damage import KINDS, beside_damaged

Scorer = Callable[[Sequence[str], Sequence[str]], Sequence[float | None]]
"""(queries, responses) → a score of each; higher is better, None is missing."""

LEAST_QUERIES, LEAST_TEXTS = 20, 3
"""Ratings are of at least so many queries with at least so many texts: fewer say nothing of a reward."""


def qualify(score: Scorer, good: Sequence[Candidate], *, n: int = 40, seed: int = 0) -> dict[str, dict[str, Any]]:
    """By kind of damage, how well a signal tells good texts from the same texts damaged.

    ``auc`` (P(a whole text scores above a damaged one)) with ``auc_ci``, clustered by query; the same by length as
    ``length_auc``; ``n`` pairs of a text and its damaged self that have scores, and the ``missing`` ones; and whether
    it ``sees`` the kind: its interval is above 0.5. What cannot be computed is None.

    Args:
        good: texts of several queries; they are also what strung and foreign texts are made of.
        n: so many of them are shown, of as many queries as there are.
    """
    chosen = spread(good, n, seed)
    whole = dict(zip(chosen, _scores(score, chosen), strict=True))
    out = {}
    for kind in KINDS:
        pairs = beside_damaged(kind, chosen, pool=good, seed=seed)
        after = _scores(score, [worse for _, worse in pairs])
        rows = [
            (text, worse, before, value)
            for (text, worse), value in zip(pairs, after, strict=True)
            if (before := whole[text]) is not None and value is not None
        ]
        labels = [1] * len(rows) + [0] * len(rows)
        clusters = [text.query for text, *_ in rows] * 2
        area = bootstrap_auc(labels, [row[2] for row in rows] + [row[3] for row in rows], clusters, seed)
        lengths = [len(row[0].response) for row in rows] + [len(row[1].response) for row in rows]
        out[kind] = area.named("auc") | bootstrap_auc(labels, lengths, clusters, seed).named("length_auc")
        out[kind] |= {"n": len(rows), "missing": len(pairs) - len(rows), "sees": area.low > 0.5}
    return out


def qualify_pairs(
    compare: Callable[[Sequence[Preference]], Sequence[Comparison]],
    good: Sequence[Candidate],
    *,
    n: int = 40,
    seed: int = 0,
) -> dict[str, dict[str, Any]]:
    """The same of a judge of pairs: ``auc`` is how often it prefers the whole text, a tie being a half."""
    chosen = spread(good, n, seed)
    won = {"a": 1.0, "tie": 0.5, "b": 0.0}
    out = {}
    for kind in KINDS:
        shown = [
            Preference(text.query, text.response, worse.response)
            for text, worse in beside_damaged(kind, chosen, pool=good, seed=seed)
        ]
        said = compare(shown) if shown else ()
        rows = [(pair, won[one.winner]) for pair, one in zip(shown, said, strict=True) if one.winner is not None]
        out[kind] = _preferred(rows, len(shown))
    return out


def qualify_groups(
    score: Scorer, good: Sequence[Candidate], *, n: int = 40, seed: int = 0
) -> dict[str, dict[str, Any]]:
    """The same of a signal whose scores mean something within a group alone: each of ``n`` texts, of as many queries,
    stands beside all that damage makes of it; ``auc`` is how often it is above the damaged one, a tie being a half."""
    chosen = list({text.query: text for text in reversed(spread(good, n, seed))}.values())
    made = {kind: dict(beside_damaged(kind, chosen, pool=good, seed=seed)) for kind in KINDS}
    groups = [[text, *(made[kind][text] for kind in KINDS if text in made[kind])] for text in chosen]
    members = [member for group in groups if len(group) > 1 for member in group]
    given = dict(zip(members, _scores(score, members), strict=True))
    out = {}
    for kind, pairs in made.items():
        rows = [
            (Preference(text.query, text.response, worse.response), (np.sign(before - after) + 1) / 2)
            for text, worse in pairs.items()
            if (before := given[text]) is not None and (after := given[worse]) is not None
        ]
        out[kind] = _preferred(rows, len(pairs))
    return out


def _preferred(rows: Sequence[tuple[Preference, float]], shown: int) -> dict[str, Any]:
    """How often the whole text was preferred, and how often it is the longer one."""
    queries = [pair.query for pair, _ in rows]
    found = clustered_rate([hit for _, hit in rows], queries)
    longer = [(np.sign(len(pair.chosen) - len(pair.rejected)) + 1) / 2 for pair, _ in rows]
    out = found.named("auc") | clustered_rate(longer, queries).named("length_auc")
    return out | {"n": len(rows), "missing": shown - len(rows), "sees": found.low > 0.5}


def blind(qualified: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The kinds of damage that a signal is not shown to see, of those that could be made."""
    return [kind for kind, row in qualified.items() if row["auc"] is not None and not row["sees"]]


def said_blind(qualified: Mapping[str, Mapping[str, Any]]) -> str | None:
    """The kinds in words, each with its AUC; None where it sees all that were measured."""
    kinds = [f"{kind} ({qualified[kind]['auc']:.2f}, n = {qualified[kind]['n']})" for kind in blind(qualified)]
    return (
        f"not shown to tell good texts from the same texts damaged, by its AUC: {', '.join(kinds)}" if kinds else None
    )


def spread(texts: Sequence[Candidate], n: int, seed: int) -> list[Candidate]:
    """``n`` different texts, one of each query before a second one; the same whatever their order."""
    drawn = sorted(set(texts), key=lambda text: (text.query, text.response))
    random.Random(seed).shuffle(drawn)
    met: Counter[str] = Counter()
    turns = []
    for text in drawn:
        turns.append(met[text.query])
        met[text.query] += 1
    return [drawn[i] for i in sorted(range(len(drawn)), key=turns.__getitem__)[:n]]


def _scores(score: Scorer, texts: Sequence[Candidate]) -> Sequence[float | None]:
    return score([text.query for text in texts], [text.response for text in texts]) if texts else []


# ---- ratings -------------------------------------------------------------------------------------------------------


def check_rated(queries: Sequence[str]) -> None:
    """Whether ratings are of enough texts.

    Args:
        queries: that of each rated text.

    Raises:
        InputError: they are not.
    """
    enough = sum(count >= LEAST_TEXTS for count in Counter(queries).values())
    if enough < LEAST_QUERIES:
        raise InputError(
            f"ratings of {enough} queries with {LEAST_TEXTS} texts or more; {LEAST_QUERIES} are needed to say whether "
            "a reward ranks a writer's texts as a reader does: sample more queries and rate their texts"
        )


def within_query(
    scores: Sequence[float | None], ratings: Sequence[float], queries: Sequence[str], *, seed: int = 0
) -> dict[str, Any]:
    """Whether a signal ranks the texts of a query as a reader does: ``correlation`` within the query with
    ``correlation_ci``, clustered by query, over ``n_texts`` with a score of ``n_queries``."""
    rows = [row for row in zip(scores, ratings, queries, strict=True) if row[0] is not None]
    found = within_cluster_correlation(
        [score or 0.0 for score, _, _ in rows], [rating for _, rating, _ in rows], [query for *_, query in rows], seed
    )
    return found.named("correlation") | {"n_texts": found.n, "n_queries": found.clusters}
