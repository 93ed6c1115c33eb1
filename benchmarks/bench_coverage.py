"""How often 95 % intervals hold the truth, and how often a claim in words is false, over simulated sets.

    python benchmarks/bench_coverage.py            # 2,000 sets a number, about half an hour on one core
    python benchmarks/bench_coverage.py 200        # a quick look

The peer of the first table is what many evaluations print: Wilson's interval of a rate as if all texts were independent
(the last column). Hits of a query are beta-binomial with intra-cluster correlation rho; scores have a normal effect of
the query with that share of the variance, two good texts and two bad ones a query (one query has one text: a coin's
throw says which). A difference is that of a rate and of 0.5 (``apart``), and of two policies that are alike (``same``).
``within`` is a correlation within the query whose truth is the rate (of designs with one text a query there is none).
The second table is of kappa and alpha of two raters who see a text's worth through noise: good or bad, or points from 1
to 5; the truth is that of 200,000 texts.
The share of false claims is of comparisons of two policies that are alike by four signals, of 30 and of 100 queries.
"""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Sequence

import numpy as np
from scipy.special import ndtri

from inkfire.evaluation.claims import claims
from inkfire.stats.intervals import (
    Floats,
    Interval,
    bootstrap_auc,
    bootstrap_mean_difference,
    clustered_rate,
    sign_test,
    wilson,
    within_cluster_correlation,
)
from inkfire.stats.raters import Level, agreement

RATES = (0.2, 0.5, 0.8, 0.9, 0.99)
DESIGNS = (
    (30, 1, 0.0, RATES),
    (30, 4, 0.0, (0.5, 0.99)),
    (30, 4, 0.3, RATES),
    (30, 4, 0.8, RATES),
    (10, 3, 0.3, (0.2, 0.5, 0.8)),
    (25, 4, 0.3, (0.2, 0.5, 0.8)),
    (100, 1, 0.0, RATES),
    (100, 4, 0.3, RATES),
    (400, 1, 0.0, (0.2, 0.5, 0.8)),
    (400, 4, 0.3, (0.2, 0.5, 0.8, 0.99)),
)
"""Queries, texts a query, their intra-cluster correlation, true rates: most of them where intervals are hardest."""
RESAMPLES = 500
COLUMNS = ("rate", "apart", "same", "auc", "within", "plain")
RATERS = ((30, 1), (30, 4), (100, 1), (100, 4), (400, 1))
"""Queries and texts a query of two raters."""
_NOISE = {"near": 0.5, "far": 1.5}  # standard deviations beside 1 of the texts' own worth


def hits(random: np.random.Generator, rate: float, queries: int, texts: int, rho: float) -> list[float]:
    own = np.full(queries, rate)
    if rho:
        odds = (1 - rho) / rho
        own = random.beta(rate * odds, (1 - rate) * odds, queries)
    drawn: list[float] = (random.random((queries, texts)) < own[:, None]).ravel().astype(float).tolist()
    return drawn


def scored(
    random: np.random.Generator, area: float, queries: int, texts: int, rho: float
) -> tuple[list[int], list[float]]:
    """Labels and binormal scores whose AUC over texts of different queries is ``area``."""
    labels = np.tile([1, 0], queries * texts // 2) if texts > 1 else random.integers(0, 2, queries)
    of_query = np.repeat(random.normal(size=queries), texts)
    noise = math.sqrt(rho) * of_query + math.sqrt(1 - rho) * random.normal(size=queries * texts)
    return labels.tolist(), (math.sqrt(2) * ndtri(area) * labels + noise).tolist()


def coverage(sets: int, rate: float, queries: int, texts: int, rho: float) -> list[float]:
    """The shares of :data:`COLUMNS`. An AUC's bootstrap gives a variance, for which fewer resamples are enough."""
    random, clusters = np.random.default_rng(0), np.repeat(np.arange(queries), texts).tolist()
    held = np.zeros(len(COLUMNS))
    for _ in range(sets):
        mine, theirs = hits(random, rate, queries, texts, rho), hits(random, rate, queries, texts, rho)
        even = hits(random, 0.5, queries, texts, rho)
        found: list[tuple[Interval, float]] = [
            (clustered_rate(mine, clusters), rate),
            (bootstrap_mean_difference(mine, even, clusters, 0, RESAMPLES), rate - 0.5),
            (bootstrap_mean_difference(mine, theirs, clusters, 0, RESAMPLES), 0.0),
            (bootstrap_auc(*scored(random, rate, queries, texts, rho), clusters, 0, 100), rate),
            (within(random, rate, queries, texts, clusters), rate),
            (Interval(rate, *wilson(sum(mine), len(mine)), len(mine)), rate),
        ]
        held += [one.low <= truth <= one.high for one, truth in found]
    return [float(share) for share in held / sets]


def within(random: np.random.Generator, truth: float, queries: int, texts: int, clusters: Sequence[int]) -> Interval:
    """Of scores that correlate by ``truth`` with ratings where two texts are of one query; queries differ in both."""
    rating = random.normal(size=queries * texts)
    score = truth * rating + math.sqrt(1 - truth**2) * random.normal(size=queries * texts)
    shifts = [np.repeat(random.normal(size=queries), texts) for _ in range(2)]
    return within_cluster_correlation(
        (rating + shifts[0]).tolist(), (score + shifts[1]).tolist(), clusters, 0, RESAMPLES
    )


def seen(random: np.random.Generator, queries: int, texts: int, noise: float, level: Level) -> Floats:
    """What two raters give texts of which half the worth is their query's: 0 or 1, or points from 1 to 5."""
    worth = (np.repeat(random.normal(size=queries), texts) + random.normal(size=queries * texts)) / math.sqrt(2)
    through = worth[:, None] + noise * random.normal(size=(queries * texts, 2))
    found: Floats = np.clip(np.round(through + 3), 1, 5) if level == "ordinal" else (through > 0.5).astype(float)
    return found


def agreement_coverage(sets: int, queries: int, texts: int, noise: float, level: Level) -> tuple[float, float, float]:
    """(true alpha, the shares of kappa's and of alpha's intervals that hold the truth)."""
    random, clusters = np.random.default_rng(2), np.repeat(np.arange(queries), texts).tolist()
    many = agreement(seen(random, 200_000 // texts, texts, noise, level), range(200_000 // texts * texts), level, 0, 1)
    held = np.zeros(2)
    for _ in range(sets):
        found = agreement(seen(random, queries, texts, noise, level), clusters, level, 0, RESAMPLES)
        for i, name in enumerate(("kappa", "alpha")):
            low, high = found[f"{name}_ci"] or (-1.0, 1.0)
            held[i] += low <= many[name] <= high
    return float(many["alpha"]), float(held[0] / sets), float(held[1] / sets)


def false_claims(sets: int, queries: int, signals: int = 4, rate: float = 0.5) -> float:
    """The share of comparisons of two policies that are alike, by independent signals, of which the words say that one
    is better or worse (or both, by signals that disagree)."""
    random, clusters, wrong = np.random.default_rng(1), list(range(queries)), 0
    policies = {"base": {"own_reward": []}, "rl": {"own_reward": ["rm"]}}
    for _ in range(sets):
        rows = []
        for signal in range(signals):
            mine, theirs = (hits(random, rate, queries, 1, 0.0) for _ in range(2))
            found = bootstrap_mean_difference(mine, theirs, clusters, 0, RESAMPLES)
            row = {"policy": "rl", "against": "base", "signal": str(signal), "n": queries, "own_reward": False}
            row |= found.named("difference") | {"difference_p": sign_test(mine, theirs, clusters)}
            rows.append(row | {"difference_by_length": None})
        (claim,) = claims({"policies": policies, "differences": rows})
        wrong += claim["kind"] != "open" or "disagree" in claim["text"]
    return wrong / sets


def main(arguments: Sequence[str]) -> None:
    sets = int(arguments[0]) if arguments else 2000
    print(f"share of 95 % intervals that hold the truth, {sets} sets each\n")
    print("queries texts  rho   true " + "".join(f"{name:>9}" for name in COLUMNS))
    for queries, texts, rho, rates in DESIGNS:
        for rate in rates:
            shares = coverage(sets, rate, queries, texts, rho)
            cells = [
                f"{s:9.1%}" if texts > 1 or name != "within" else f"{'–':>9}"
                for name, s in zip(COLUMNS, shares, strict=True)
            ]
            line = f"{queries:7} {texts:5} {rho:4.1f} {rate:6.2f} " + "".join(cells)
            print(line, flush=True)
    print("\nqueries texts  raters  level     alpha    kappa    alpha", flush=True)
    levels: tuple[Level, ...] = ("nominal", "ordinal")
    for (queries, texts), (name, noise), level in itertools.product(RATERS, _NOISE.items(), levels):
        truth, kappa, alpha = agreement_coverage(sets, queries, texts, noise, level)
        print(f"{queries:7} {texts:5}  {name:6}  {level:8} {truth:6.2f} {kappa:8.1%} {alpha:8.1%}", flush=True)
    for queries in (30, 100):
        print(f"false claims, four signals, {queries} queries: {false_claims(sets // 2, queries):.1%}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
