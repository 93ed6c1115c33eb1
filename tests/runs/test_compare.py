"""A judge of pairs, measured."""

import pytest

from inkfire.judge.ranking import measure_pairs
from inkfire.records import Comparison, Preference


def pair(number: int, chosen: int, rejected: int) -> Preference:
    return Preference(f"q{number}", "x" * chosen, "y" * rejected)


PAIRS = [pair(0, 20, 10), pair(1, 20, 10), pair(2, 10, 11), pair(3, 10, 9), pair(4, 10, 20), pair(5, 10, 20)]
SAID = [
    Comparison("a"),
    Comparison("b"),
    Comparison("tie", place=1),
    Comparison("tie", place=2),
    Comparison("a"),
    Comparison(None, unscored="refused"),
]


def test_by_hand() -> None:
    found = measure_pairs(PAIRS, SAID)
    assert (found["n"], found["scored"], found["unscored"]) == (6, 5, 1)
    assert found["accuracy"] == pytest.approx((2 + 2 * 0.5) / 5)
    assert (found["decided"], found["ties"]) == (3, 2)
    assert found["accuracy_decided"] == pytest.approx(2 / 3)
    assert found["order_flip_rate"] == pytest.approx(2 / 5)
    assert found["first_place_rate"] == pytest.approx(1 / 2)
    assert (found["n_length_matched"], found["accuracy_length_matched"]) == (2, 0.5)
    assert found["accuracy_decided_length_matched"] is None
    assert found["longer_wins"] == pytest.approx(3 / 5)
    assert (found["accuracy_clusters"], found["first_place_rate_clusters"]) == (5, 2)
    for name in ("accuracy", "accuracy_decided", "order_flip_rate", "longer_wins"):
        low, high = found[f"{name}_ci"]
        assert low <= found[name] <= high


def test_pairs_of_one_query_are_no_more_evidence_than_it_is() -> None:
    pairs, said = [pair(n // 10, 20, 10) for n in range(40)], [Comparison("a" if n < 20 else "b") for n in range(40)]
    found, alone = measure_pairs(pairs, said), measure_pairs([pair(n, 20, 10) for n in range(40)], said)
    for name in ("accuracy", "accuracy_decided"):
        (low, high), (by_pair_low, by_pair_high) = found[f"{name}_ci"], alone[f"{name}_ci"]
        assert high - low > 2 * (by_pair_high - by_pair_low)


def test_nothing_scored_has_no_rates() -> None:
    found = measure_pairs(PAIRS[:1], [Comparison(None, unscored="refused")])
    assert (found["scored"], found["accuracy"], found["order_flip_rate"]) == (0, None, None)
