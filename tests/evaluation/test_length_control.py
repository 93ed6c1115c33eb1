"""Length control takes away what length plants, and keeps what it does not. benchmarks/bench_evidence.py has the large
simulation."""

from __future__ import annotations

import numpy as np
import pytest

from inkfire.evaluation.length_control import controlled_rates, controlled_win_rate, logistic, matched_difference

N = 120


def drawn(seed: int, quality: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, policies (1 writes a third longer) and lengths, of which length decides much."""
    random = np.random.default_rng(seed)
    lengths = np.exp(random.normal(4, 0.35, 2 * N) + np.repeat([0, 0.3], N)).astype(int)
    odds = 3.5 * (np.log(lengths) - 4) + quality * np.repeat([0, 1], N)
    return (random.random(2 * N) < 1 / (1 + np.exp(-odds))).astype(int), np.repeat([0, 1], N), lengths


def test_a_logistic_regression_is_the_known_one() -> None:
    from sklearn.linear_model import LogisticRegression

    random = np.random.default_rng(0)
    features = np.column_stack([np.ones(400), random.normal(size=400)])
    outcomes = (random.random(400) < 1 / (1 + np.exp(-(0.3 + features[:, 1])))).astype(float)
    (ours,) = logistic(features, outcomes, np.ones((1, 400)))
    theirs = LogisticRegression(C=1 / 0.05, fit_intercept=False).fit(features, outcomes).coef_[0]
    assert ours == pytest.approx(theirs, abs=1e-3)


def test_a_policy_that_is_only_longer_has_no_advantage_left_and_a_better_one_keeps_it() -> None:
    left, kept, raw = [], [], []
    queries = np.tile(np.arange(N), 2)
    for seed in range(12):
        for quality, found in ((0.0, left), (1.5, kept)):
            labels, policies, lengths = drawn(seed, quality)
            whole, resampled = controlled_rates(labels, policies, lengths, queries, (2, N), seed)
            assert resampled.shape == (400, 2)
            found.append(whole[1] - whole[0])
            raw.append(labels[N:].mean() - labels[:N].mean())
    assert np.mean(raw) > 0.15
    assert abs(np.mean(left)) < 0.05
    assert np.mean(kept) > 0.12


def test_on_texts_of_like_length() -> None:
    queries = np.arange(N)
    labels, _, lengths = drawn(0, 0)
    mine, theirs = (labels[N:], lengths[N:], queries), (labels[:N], lengths[:N], queries)
    found = matched_difference(mine, theirs, N, 0)
    assert found.low < 0 < found.high
    assert 0 < found.n < N
    apart = matched_difference(([1, 1], [500, 600], np.arange(2)), ([0, 0], [5, 6], np.arange(2)), 2, 0)
    assert (apart.n, apart.named("d")["d"]) == (0, None)


def test_wins_at_equal_length() -> None:
    random = np.random.default_rng(1)
    lengths = [
        (int(a), int(b)) for a, b in zip(random.integers(40, 90, 200), random.integers(30, 70, 200), strict=True)
    ]
    wins = [float(a > b) if a != b else 0.5 for a, b in lengths]
    assert np.mean(wins) > 0.65
    found = controlled_win_rate(wins, lengths, np.arange(200), 0)
    assert found.low <= 0.5 <= found.high
    assert controlled_win_rate([1.0, 0.0] * 20, [(5, 5)] * 40, np.arange(40), 0).estimate == pytest.approx(0.5)
