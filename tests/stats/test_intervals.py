"""Intervals and metrics against their references."""

from __future__ import annotations

import math
import time
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn import metrics

from inkfire.stats.agreement import METRICS, binary_metrics
from inkfire.stats.intervals import (
    auc,
    auc_difference,
    bootstrap_auc,
    bootstrap_mean_difference,
    clustered_rate,
    holm,
    resample,
    resampled_auc,
    sign_test,
    wilson,
    within_cluster_auc,
    within_cluster_correlation,
)


def test_wilson_against_the_formula() -> None:
    z, p, n = 1.959963984540054, 0.9, 10
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    assert wilson(9, 10) == pytest.approx((centre - half, centre + half))
    assert wilson(0, 0) == (0, 1)


@given(st.integers(1, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_holds_the_rate(counts: tuple[int, int]) -> None:
    low, high = wilson(*counts)
    assert 0 <= low <= counts[0] / counts[1] <= high <= 1


scored = st.lists(st.tuples(st.integers(0, 1), st.sampled_from([0.0, 0.1, 0.5, 2.0])), min_size=2, max_size=30).filter(
    lambda rows: len({label for label, _ in rows}) == 2
)


@given(scored)
def test_bootstrap_auc_against_sklearn(rows: list[tuple[int, float]]) -> None:
    labels, scores = [row[0] for row in rows], [row[1] for row in rows]
    interval = bootstrap_auc(labels, scores, seed=3, n_resamples=7)
    assert interval.estimate == pytest.approx(metrics.roc_auc_score(labels, scores))
    assert 0 <= interval.low <= interval.estimate <= interval.high <= 1
    counts = resample(lambda weights: weights, len(rows), seed=3, n_resamples=7)
    assert (counts.sum(axis=1) == len(rows)).all()
    good = np.array(labels) == 1
    reference = [
        metrics.roc_auc_score(labels, scores, sample_weight=weights)
        if weights[good].sum() and weights[~good].sum()
        else math.nan
        for weights in counts
    ]
    assert resampled_auc(labels, scores, seed=3, n_resamples=7) == pytest.approx(np.array(reference), nan_ok=True)


def test_one_class_has_no_auc() -> None:
    assert math.isnan(auc([1, 1], [0.1, 0.2]))
    interval = bootstrap_auc([1, 1], [0.1, 0.2])
    assert math.isnan(interval.estimate)
    assert interval.n == 2


def test_clusters_widen_the_interval() -> None:
    random = np.random.default_rng(0)
    labels = np.repeat(random.integers(0, 2, 40), 10).tolist()
    scores = (np.repeat(random.normal(size=40), 10) + np.array(labels)).tolist()
    clusters = np.repeat(np.arange(40), 10).tolist()
    by_row, by_query = bootstrap_auc(labels, scores), bootstrap_auc(labels, scores, clusters=clusters)
    assert by_query.high - by_query.low > 2 * (by_row.high - by_row.low)


def test_mean_difference_covers_the_truth() -> None:
    covered = 0
    for trial in range(60):
        random = np.random.default_rng(trial)
        effect = np.repeat(random.normal(0.3, 1, 60), 3)
        noise = random.normal(size=180)
        interval = bootstrap_mean_difference(
            (effect + noise).tolist(), noise.tolist(), np.repeat(np.arange(60), 3).tolist(), seed=trial, n_resamples=400
        )
        covered += interval.low <= 0.3 <= interval.high
    assert 51 <= covered <= 60


def test_mean_difference_details() -> None:
    same = bootstrap_mean_difference([1, 0, 1], [1, 0, 1], ["a", "a", "b"], seed=1)
    assert (same.estimate, same.low, same.high, same.n) == (0, 0, 0, 3)
    rows = ([1.0, 0.0, 1.0, 1.0], [0.0, 0.0, 1.0, 0.0], ["a", "b", "c", "d"])
    assert bootstrap_mean_difference(*rows, seed=5) == bootstrap_mean_difference(*rows, seed=5)
    assert math.isnan(bootstrap_mean_difference([], [], [], seed=0).estimate)
    with pytest.raises(ValueError, match="same length"):
        bootstrap_mean_difference([1], [1, 2], ["a"], seed=0)


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=40))
def test_binary_metrics_against_sklearn(rows: list[tuple[int, int]]) -> None:
    labels, predictions = [row[0] for row in rows], [row[1] for row in rows]
    ours = binary_metrics(labels, predictions)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = {
            "accuracy": metrics.accuracy_score(labels, predictions),
            "precision": metrics.precision_score(labels, predictions, zero_division=np.nan),
            "recall": metrics.recall_score(labels, predictions, zero_division=np.nan),
            "f1": metrics.f1_score(labels, predictions, zero_division=np.nan),
        }
        if len(set(labels)) == 2:
            theirs["balanced_accuracy"] = metrics.balanced_accuracy_score(labels, predictions)
        if len({*labels, *predictions}) == 2:
            theirs["kappa"] = metrics.cohen_kappa_score(labels, predictions)
    assert {name: ours[name] for name in theirs} == {
        name: None if math.isnan(value) else pytest.approx(value) for name, value in theirs.items()
    }
    for name in theirs:
        assert ours[name] is None or ours[f"{name}_ci"][0] <= ours[name] <= ours[f"{name}_ci"][1]


def test_metrics_of_nothing_are_not_numbers() -> None:
    empty = binary_metrics([], [])
    assert empty.pop("n") == 0
    assert set(empty.values()) == {None}
    assert binary_metrics([1, 1], [1, 1])["kappa"] is None
    assert binary_metrics([0, 1, 1], [0, 1, 1])["kappa"] == 1


def test_twenty_of_twenty_right_is_not_certainty() -> None:
    labels = [0, 1] * 10
    found = binary_metrics(labels, labels)
    assert found["accuracy_ci"] == pytest.approx(list(wilson(20, 20)))
    for name in ("balanced_accuracy", "precision", "recall", "f1"):
        assert found[name] == found[f"{name}_ci"][1] == 1
        assert found[f"{name}_ci"][0] < 0.9
    assert set(METRICS) < set(found)


def test_a_rate_of_independent_rows_is_wilson_and_of_repeated_ones_counts_them_once() -> None:
    hits = [1] * 20 + [0] * 10
    plain = clustered_rate(hits)
    assert (plain.low, plain.high) == pytest.approx(wilson(20, 30))
    assert (plain.n, plain.clusters) == (30, 30)
    repeated = clustered_rate(hits * 4, clusters=list(range(30)) * 4)  # each row four times: no more is known
    assert (repeated.n, repeated.clusters) == (120, 30)
    assert (repeated.low, repeated.high) == pytest.approx((plain.low, plain.high), abs=0.01)
    shuffled = clustered_rate(hits * 4, clusters=[i // 4 for i in np.random.default_rng(0).permutation(120)])
    assert (shuffled.low, shuffled.high) == pytest.approx(wilson(80, 120), abs=0.02)


def test_no_hit_in_few_clusters_says_little_of_others() -> None:
    none = clustered_rate([0] * 280, clusters=[i % 14 for i in range(280)])
    assert (none.estimate, none.low) == (0, 0)
    assert none.high == pytest.approx(wilson(0, 14)[1])  # as if each of the 14 were seen once, not 280 texts
    every = clustered_rate([1] * 280, clusters=[i % 14 for i in range(280)])
    assert every.low == pytest.approx(1 - none.high)
    assert clustered_rate([1, 1, 0, 1], clusters="aaaa").high > 0.95  # one cluster is one observation
    assert clustered_rate([1, 1, 0, 1], clusters="aaaa").low < 0.25
    assert math.isnan(clustered_rate([]).estimate)
    assert clustered_rate([]).named("x") == {"x": None, "x_ci": None}
    with pytest.raises(ValueError, match="each row needs one"):
        clustered_rate([1, 0], clusters=["a"])


def test_a_perfect_auc_is_not_certain() -> None:
    found = bootstrap_auc([0, 1] * 10, [0.1, 0.9] * 10)
    assert found.estimate == found.high == 1
    assert found.low == pytest.approx(wilson(10, 10)[0])


def test_within_a_cluster_only_its_own_rows_are_compared() -> None:
    labels, clusters = [1, 0, 1, 0, 1, 0, 0, 1], ["a", "a", "b", "b", "c", "c", "d", "e"]
    found, ties = within_cluster_auc(labels, [0.2, 0.1, 0.9, 0.8, 0.5, 0.5, 0.0, 0.0], clusters)
    assert (found.estimate, found.n, found.clusters) == (pytest.approx(2.5 / 3), 3, 3)
    assert ties == pytest.approx(1 / 3)
    nothing, ties = within_cluster_auc([1, 0], [0.9, 0.1], ["a", "b"])
    assert math.isnan(nothing.estimate)
    assert math.isnan(ties)
    assert nothing.clusters == 0


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.5]) == [1.0, 1.0]
    assert holm([0.2]) == [0.2]
    assert holm([]) == []


def test_one_cluster_says_nothing_of_a_difference() -> None:
    found = bootstrap_mean_difference([1.0, 1.0], [0.0, 1.0], ["q", "q"], seed=0)
    assert (found.estimate, found.low, found.high, found.clusters) == (0.5, -1, 1, 1)
    of_auc = auc_difference([1, 0, 1], [0.1, 0.2, 0.1], [0.2, 0.1, 0.2], ["q"] * 3)
    assert (of_auc.estimate, of_auc.low, of_auc.high) == (1, -1, 1)


def test_two_thousand_resamples_of_four_hundred_texts_take_no_time() -> None:
    random = np.random.default_rng(0)
    labels, scores = random.integers(0, 2, 400).tolist(), random.normal(size=400).tolist()
    clusters = [i // 4 for i in range(400)]
    bootstrap_auc(labels, scores, clusters, n_resamples=10)  # imports
    started = time.perf_counter()
    bootstrap_auc(labels, scores, clusters)
    auc_difference(labels, scores, scores[::-1], clusters)
    assert time.perf_counter() - started < 2


def _texts(random: np.random.Generator, rate: float, rho: float, queries: int, texts: int) -> list[float]:
    """Beta-binomial hits: ``texts`` a query, of intra-cluster correlation ``rho``."""
    odds = (1 - rho) / rho
    own = random.beta(rate * odds, (1 - rate) * odds, queries)
    return (random.random((queries, texts)) < own[:, None]).ravel().astype(float).tolist()


@pytest.mark.parametrize(("rate", "least"), [(0.5, 0.93), (0.99, 0.92)])
def test_intervals_of_thirty_queries_cover_the_truth(rate: float, least: float) -> None:
    """The small twin of benchmarks/bench_coverage.py; three standard errors of 400 sets are allowed for."""
    random, sets, clusters = np.random.default_rng(0), 400, np.repeat(np.arange(30), 4).tolist()
    covered = np.zeros(3)
    for _ in range(sets):
        hits, others = _texts(random, rate, 0.5, 30, 4), _texts(random, 0.5, 0.5, 30, 4)
        difference = bootstrap_mean_difference(hits, others, clusters, seed=0, n_resamples=500)
        shift = 2**0.5 * float(norm.ppf(rate))
        labels = [1, 0, 1, 0] * 30
        scores = shift * np.array(labels) + np.repeat(random.normal(size=30), 4) * 0.5**0.5
        area = bootstrap_auc(labels, (scores + random.normal(size=120) * 0.5**0.5).tolist(), clusters, 0, 100)
        for i, (found, truth) in enumerate(
            [(clustered_rate(hits, clusters), rate), (difference, rate - 0.5), (area, rate)]
        ):
            covered[i] += found.low <= truth <= found.high
    share = covered / sets
    assert (share >= least - 3 * math.sqrt(least * (1 - least) / sets)).all(), share
    if rate == 0.5:
        assert (share <= 0.97 + 3 * math.sqrt(0.97 * 0.03 / sets)).all(), share


@pytest.mark.parametrize(
    ("better", "worse", "same", "p"), [(3, 0, 5, 0.25), (6, 0, 2, 0.03125), (5, 5, 0, 1.0), (0, 0, 4, 1.0)]
)
def test_sign_test_counts_queries_not_texts(better: int, worse: int, same: int, p: float) -> None:
    queries = list(range(better + worse + same)) * 3  # three texts a query are no more evidence than one
    new = ([1.0] * better + [0.0] * worse + [1.0] * same) * 3
    old = ([0.0] * better + [1.0] * worse + [1.0] * same) * 3
    assert sign_test(new, old, clusters=queries) == pytest.approx(p)


def test_a_correlation_within_clusters_is_that_of_what_their_means_leave() -> None:
    rng = np.random.default_rng(0)
    clusters = np.repeat(np.arange(30), 4)
    quality, level = rng.normal(size=120), np.repeat(rng.normal(size=30), 4) * 10
    a, b = quality + level + rng.normal(size=120), quality - level + rng.normal(size=120)
    centred = [column - np.repeat(column.reshape(30, 4).mean(1), 4) for column in (a, b)]
    found = within_cluster_correlation(a.tolist(), b.tolist(), clusters.tolist())
    assert found.estimate == pytest.approx(np.corrcoef(*centred)[0, 1])
    assert np.corrcoef(a, b)[0, 1] < 0 < found.low < 0.5 < found.high < 0.8
    assert (found.n, found.clusters) == (120, 30)
    lone = within_cluster_correlation([*a.tolist(), 99.0], [*b.tolist(), -99.0], [*clusters.tolist(), "alone"])
    assert (lone.estimate, lone.n, lone.clusters) == (pytest.approx(found.estimate), 120, 30)


def test_nothing_correlates_where_nothing_differs_within_a_cluster() -> None:
    assert math.isnan(within_cluster_correlation([1, 1, 2, 2], [3, 4, 5, 6], "aabb").estimate)
    assert math.isnan(within_cluster_correlation([1, 2, 3], [3, 4, 5], "abc").estimate)
    assert math.isnan(within_cluster_correlation([], [], []).estimate)
