"""Intervals and metrics against their references."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from inkfire.stats.agreement import binary_metrics, kappa
from inkfire.stats.intervals import auc, bootstrap_auc, bootstrap_mean_difference, sign_test, wilson


def test_wilson_against_the_formula() -> None:
    z, p, n = 1.959963984540054, 0.9, 10
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    assert wilson(9, 10) == pytest.approx((centre - half, centre + half))
    assert wilson(0, 0) == (0, 1)
    assert wilson(5, 10, level=0.8)[0] > wilson(5, 10)[0]


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
    counts = np.random.default_rng(3).multinomial(len(rows), [1 / len(rows)] * len(rows), size=7)
    good = np.array(labels) == 1
    reference = [
        metrics.roc_auc_score(labels, scores, sample_weight=weights)
        for weights in counts
        if weights[good].sum() and weights[~good].sum()
    ]
    if reference:
        assert (interval.low, interval.high) == pytest.approx(tuple(np.quantile(reference, [0.025, 0.975])))
    else:
        assert math.isnan(interval.low)


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
    assert {name: ours[name] for name in theirs} == pytest.approx(theirs, nan_ok=True)
    assert ours["accuracy_ci"][0] <= ours["accuracy"] <= ours["accuracy_ci"][1]


def test_metrics_of_nothing_are_not_numbers() -> None:
    empty = binary_metrics([], [])
    assert empty.pop("n") == 0
    assert all(math.isnan(value) for value in empty.values())
    assert math.isnan(kappa([1, 1], [1, 1]))
    assert kappa([0, 1, 1], [0, 1, 1]) == 1


@pytest.mark.parametrize(
    ("better", "worse", "same", "p"), [(3, 0, 5, 0.25), (6, 0, 2, 0.03125), (5, 5, 0, 1.0), (0, 0, 4, 1.0)]
)
def test_sign_test_counts_queries_not_texts(better: int, worse: int, same: int, p: float) -> None:
    queries = list(range(better + worse + same)) * 3  # three texts a query are no more evidence than one
    new = ([1.0] * better + [0.0] * worse + [1.0] * same) * 3
    old = ([0.0] * better + [1.0] * worse + [1.0] * same) * 3
    assert sign_test(new, old, clusters=queries) == pytest.approx(p)
