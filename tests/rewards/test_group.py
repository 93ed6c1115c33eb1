"""The one order of operations inside a group, step by step."""

from __future__ import annotations

import random

import pytest

from inkfire.rewards import group


def test_standardised_and_what_does_not_vary() -> None:
    assert group.standardised([1.0, None, 3.0]) == [-1.0, None, 1.0]
    assert group.standardised([0.3, 0.3, 0.3]) == [0.0, 0.0, 0.0]
    assert group.standardised([0.1 + 0.2, 0.3]) == [0.0, 0.0]  # rounding is no difference
    assert group.standardised([None, None]) == [None, None]
    assert [group.flat(column) for column in ([2.0, 2.0, None], [1.0, 2.0], [1.0], [])] == [True, False, False, False]


def test_a_sum_and_the_least_are_missing_where_a_part_is() -> None:
    columns = [[1.0, 2.0, None], [10.0, None, 30.0]]
    assert group.added([(2.0, columns[0]), (-0.1, columns[1])]) == [1.0, None, None]
    assert group.least([[1.0, 5.0], [3.0, 2.0]]) == [1.0, 2.0]
    assert group.least(columns) == [1.0, None, None]


def test_ranks_lie_between_0_and_1_and_no_text_stretches_them() -> None:
    assert group.ranked([5.0, 1.0, 3.0, 9.0]) == [0.625, 0.125, 0.375, 0.875]
    assert group.ranked([5.0, 1.0, 3.0, 9e9]) == [0.625, 0.125, 0.375, 0.875]
    assert group.ranked([2.0, 2.0, None]) == [0.5, 0.5, None]
    assert group.ranked([7.0]) == [0.5]
    assert group.ranked([None]) == [None]


def test_a_text_that_is_there_twice_has_nothing_of_its_own() -> None:
    texts = ["愿你平安喜乐", "愿你平安喜乐", "外婆的灶台今天归我", "happy birthday to you"]
    assert group.own_share(texts) == [0.0, 0.0, 1.0, 1.0]
    shared = group.own_share(["one two three", "two three four"])
    assert shared == [0.5, 0.5]
    assert group.own_share(["", "a"]) == [0.0, 1.0]


def test_own_share_does_not_grow_with_length() -> None:
    rng = random.Random(0)
    words = [f"w{i}" for i in range(60)]
    short = [" ".join(rng.choices(words, k=10)) for _ in range(40)]
    assert abs(sum(group.own_share(short)) / 40 - 0.9) < 0.1
    assert group.own_share(["a b", "c d e f g h i j"]) == [1.0, 1.0]


def test_diversity_multiplies_and_has_a_floor() -> None:
    assert group.thinned([0.8, 0.8, None], [1.0, 0.5, 0.0], 0.5) == [0.8, pytest.approx(0.6), None]
    assert group.thinned([0.8], [0.0], 1.0) == [pytest.approx(0.8 * group.FLOOR)]


def test_what_fails_lies_below_the_worst_that_passes() -> None:
    values = group.with_failed([0.9, None, 0.3, None, 0.5], [0, 1, 0, 3, 0])
    assert values[0::2] == [0.9, 0.3, 0.5]
    assert values[3] < values[1] < 0.3
    assert group.with_failed([-0.4, None], [0, 1])[1] < -0.4  # novelty may have lowered the worst


def test_where_all_fail_fewer_failures_are_better() -> None:
    one, three, two = group.with_failed([None, None, None], [1, 3, 2])
    assert one > two > three


def test_a_text_that_passes_and_has_no_score_stays_missing() -> None:
    passing, missing, failing = group.with_failed([0.5, None, None], [0, 0, 1])
    assert (passing, missing) == (0.5, None)
    assert failing < 0.5


def test_length_is_taken_out_by_its_slope_over_many_groups() -> None:
    """Scores that follow log length with slope 2 and some noise: what is left does not follow it."""
    rng = random.Random(1)
    slope = group.LengthSlope()
    for _ in range(30):
        slope.fade()
        texts = ["x" * rng.randint(20, 90) for _ in range(8)]
        level = rng.random() * 10  # of the query: no part of the slope
        slope.see(texts, [level + 2 * group._log_length(text) + rng.gauss(0, 0.1) for text in texts])
    assert slope.slope == pytest.approx(2, abs=0.1)
    texts = ["x" * n for n in (20, 40, 80)]
    left = slope.taken_out(texts, [2 * group._log_length(text) for text in texts])
    assert max(left) - min(left) < 0.3
    assert sum(left) == pytest.approx(sum(2 * group._log_length(text) for text in texts))


def test_length_that_is_punished_is_taken_out_too() -> None:
    slope = group.LengthSlope()
    slope.see(["a", "aa", "aaaa"], [2.0, 1.0, 0.0])
    assert slope.slope < 0
    assert slope.taken_out(["a", "aa", "aaaa"], [2.0, None, 0.0]) == [1.0, None, 1.0]


def test_without_lengths_nothing_is_taken_out() -> None:
    slope = group.LengthSlope()
    slope.see(["aa", "bb"], [0.0, 1.0])
    slope.see([], [])
    assert slope.taken_out(["aa", "bb"], [0.0, 1.0]) == [0.0, 1.0]
