"""Kappa and alpha against published examples and sklearn; what larger samples would settle; strengths by votes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from inkfire.stats.intervals import wilson, within_cluster_correlations
from inkfire.stats.raters import Level, agreement, alpha_of, apart, confusion, kappa_of
from inkfire.stats.settle import more_clusters
from inkfire.stats.strengths import strengths

NONE = math.nan
KRIPPENDORFF = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, NONE, NONE, NONE],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NONE, 3],
        [NONE, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NONE],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NONE],
    ]
).T
"""Four observers of twelve units: Krippendorff (2011), "Computing Krippendorff's Alpha-Reliability", section C."""
COHEN = [[88, 14, 18], [10, 40, 10], [2, 6, 12]]
"""Two psychologists' diagnoses of 200 patients: Cohen (1960), table 1."""


def whole(statistic: object, values: np.ndarray, level: Level) -> float:
    of_weights, _ = statistic(values, range(len(values)), level)  # type: ignore[operator]
    return float(of_weights(np.ones((1, len(values))))[0])


@pytest.mark.parametrize(("level", "alpha"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)])
def test_alpha_against_krippendorffs_own_example(level: Level, alpha: float) -> None:
    found = agreement(KRIPPENDORFF, list(range(12)), level)
    assert found["alpha"] == pytest.approx(alpha, abs=0.0005)
    assert found["n"] == 11  # the last unit has one value, with which nothing can be paired
    assert found["alpha_ci"][0] < alpha < found["alpha_ci"][1] <= 1


def test_kappa_against_cohens_own_example() -> None:
    rows = [(a, b) for a in range(3) for b in range(3) for _ in range(COHEN[a][b])]
    found = agreement(np.array(rows, float), list(range(200)))
    assert found["kappa"] == pytest.approx(0.492, abs=0.0005)
    assert found["accuracy"] == pytest.approx(0.70)
    assert found["accuracy_ci"] == pytest.approx(list(wilson(140, 200)))
    table = confusion(*np.array(rows, float).T)
    assert table == {"values": [0, 1, 2], "counts": COHEN}


rated = st.lists(st.tuples(*[st.integers(1, 4)] * 2), min_size=2, max_size=30).filter(
    lambda rows: len({value for row in rows for value in row}) > 1
)


@given(rated, st.sampled_from(["nominal", "ordinal"]))
def test_kappa_against_sklearn(rows: list[tuple[int, int]], level: Level) -> None:
    a, b = zip(*rows, strict=True)
    weights = None if level == "nominal" else "quadratic"
    theirs = cohen_kappa_score(a, b, weights=weights, labels=[1, 2, 3, 4])
    assert whole(kappa_of, np.array(rows, float), level) == pytest.approx(theirs)


@given(rated, st.sampled_from(["nominal", "ordinal", "interval"]), st.data())
def test_a_text_drawn_twice_is_two_texts(rows: list[tuple[int, int]], level: Level, data: st.DataObject) -> None:
    """What the bootstrap stands on: weights of texts are copies of them."""
    times = data.draw(st.lists(st.integers(0, 3), min_size=len(rows), max_size=len(rows)))
    values, copies = np.array(rows, float), np.repeat(np.array(rows, float), times, axis=0)
    for statistic in (kappa_of, alpha_of):
        of_weights, _ = statistic(values, range(len(rows)), level)
        found = float(of_weights(np.array([times], float))[0])
        assert found == pytest.approx(whole(statistic, copies, level), nan_ok=True, abs=1e-9)


def test_ordinal_alpha_asks_only_for_ranks() -> None:
    values = np.array([[1, 2], [2, 2], [3, 5], [5, 4], [4, 4]], float)
    assert whole(alpha_of, values, "ordinal") == pytest.approx(whole(alpha_of, values**3, "ordinal"))
    assert whole(alpha_of, values, "interval") != pytest.approx(whole(alpha_of, values**3, "interval"))


def test_raters_that_never_differed_are_not_sure_never_to() -> None:
    found = agreement(np.repeat([[0.0], [1.0]] * 10, 2, axis=1), list(range(20)))
    assert (found["kappa"], found["alpha"], found["accuracy"]) == (1, 1, 1)
    assert found["kappa_ci"][0] == pytest.approx(1 - (1 - wilson(20, 20)[0]) / 0.5)
    assert found["alpha_ci"][1] == 1


def test_what_never_varies_has_no_kappa_and_no_text_has_nothing() -> None:
    same = agreement(np.ones((5, 2)), list("abcde"))
    assert (same["kappa"], same["alpha"], same["accuracy"]) == (None, None, 1.0)
    alone = agreement(np.array([[1.0, NONE], [NONE, 0.0]]), ["a", "b"])
    assert alone["n"] == 0
    assert {alone[name] for name in ("kappa", "alpha", "accuracy", "kappa_ci", "alpha_ci")} == {None}


def test_texts_of_one_query_are_no_independent_evidence() -> None:
    random = np.random.default_rng(0)
    values = np.repeat(random.integers(0, 2, (20, 2)), 10, axis=0).astype(float)  # each query's texts alike
    by_query, by_text = (agreement(values, of) for of in ([i // 10 for i in range(200)], list(range(200))))
    for name in ("kappa_ci", "alpha_ci", "accuracy_ci"):
        assert by_query[name][1] - by_query[name][0] > 2 * (by_text[name][1] - by_text[name][0])


@pytest.mark.parametrize("level", ["nominal", "ordinal"])
def test_intervals_of_alpha_and_kappa_hold_the_truth(level: Level) -> None:
    """The small twin of benchmarks/bench_coverage.py: raters who each see a text's value through noise."""
    random, sets, held = np.random.default_rng(0), 150, np.zeros(2)

    def drawn(queries: int) -> np.ndarray:
        own = np.repeat(random.normal(size=queries), 4) + random.normal(size=4 * queries)
        noisy = own[:, None] + random.normal(size=(4 * queries, 2))
        return np.clip(np.round(noisy + 3), 1, 5) if level == "ordinal" else (noisy > 0).astype(float)

    many = drawn(20_000)
    truth = [whole(statistic, many, level) for statistic in (kappa_of, alpha_of)]
    for _ in range(sets):
        found = agreement(drawn(40), [i // 4 for i in range(160)], level)
        held += [
            found[f"{name}_ci"][0] <= true <= found[f"{name}_ci"][1]
            for name, true in zip(("kappa", "alpha"), truth, strict=True)
        ]
    assert (held / sets >= 0.93 - 3 * math.sqrt(0.93 * 0.07 / sets)).all(), held / sets


def test_the_furthest_come_first_both_ways() -> None:
    a, b = np.array([1.0, 0.0, 5.0, 2.0, NONE]), np.array([1.0, 3.0, 1.0, 1.0, 9.0])
    assert apart(a, b, 1) == ([2], [1])
    assert apart(a, b, 9) == ([2, 3], [1])  # equal ones, and those that one did not rate, are no disagreement


# ---- how many more -------------------------------------------------------------------------------------------------


def _correlated(rho: float, queries: int, seed: int = 0) -> tuple[list[float], list[float], list[int]]:
    random = np.random.default_rng(seed)
    a = random.normal(size=4 * queries)
    b = rho * a + math.sqrt(1 - rho**2) * random.normal(size=4 * queries)
    return a.tolist(), b.tolist(), [i // 4 for i in range(4 * queries)]


def test_as_many_more_as_are_said_settle_it_four_times_in_five() -> None:
    """Of correlation 0.25 and 20 queries of 4 texts, the bootstrap's guess is near what new data need."""
    guesses = []
    for seed in range(10):
        of_weights, _, k = within_cluster_correlations(*_correlated(0.25, 20, seed))
        guesses.append(more_clusters(of_weights, k, seed=seed))
    known = sorted(20 * 20 if guess is None else guess for guess in guesses)
    needed = 40 - 20  # (1.96 + 0.84)² / atanh(0.25)² is 120 residual pairs, three a query
    assert known[3] <= needed <= known[7]


def test_nothing_is_settled_by_any_number_where_nothing_is_to_be_found() -> None:
    a, b, of = _correlated(0.3, 100)
    mirrored = [*b, *(-each for each in b)]  # for every query another that says the opposite
    of_weights, _, k = within_cluster_correlations([*a, *a], mirrored, [*of, *(query + 100 for query in of)])
    assert more_clusters(of_weights, k) is None
    assert more_clusters(of_weights, 1) is None


def test_a_narrow_interval_takes_as_many_as_the_square_of_its_narrowness() -> None:
    of_weights, _, k = within_cluster_correlations(*_correlated(0.5, 50))
    wide, narrow = (more_clusters(of_weights, k, half_width=half) for half in (0.2, 0.05))
    assert wide == 0
    assert narrow is not None
    assert 150 <= narrow <= 400


# ---- votes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ties", [0.0, 0.2])
def test_votes_recover_planted_strengths(ties: float) -> None:
    random = np.random.default_rng(1)
    planted = {"base": -1.0, "sft": 0.0, "rl": 0.3, "people": 0.7}
    votes, queries = [], []
    for query in range(600):
        a, b = random.choice(list(planted), 2, replace=False)
        won = random.random() < 1 / (1 + math.exp(planted[b] - planted[a]))
        # a tie half the time would have been a win, and tells nothing of who is stronger
        votes.append((str(a), str(b), 0.5 if random.random() < ties else float(won)))
        queries.append(query)
    found = strengths(votes, queries)
    shrunk = 1 - ties  # ties pull strengths together, as far as there are any
    for name, strength in planted.items():
        low, high = found[name]["strength_ci"]
        assert low - 0.05 <= shrunk * strength <= high + 0.05, name
    assert list(found) == ["people", "rl", "sft", "base"]
    assert sum(row["votes"] for row in found.values()) == 2 * 600


def test_who_never_lost_is_not_infinitely_strong() -> None:
    found = strengths([("a", "b", 1.0)] * 5, list("vwxyz"))
    assert 0 < found["a"]["strength"] < 5
    assert found["a"]["strength"] == pytest.approx(-found["b"]["strength"])
