"""What length explains of a score, and what is left of it."""

import math
import random

import pytest

from inkfire.records import Preference
from inkfire.stats.length import MOST_OFTEN, LengthPart, balanced, length_correlation, on_pairs


def test_the_slope_is_that_of_least_squares_on_log_length() -> None:
    texts = ["a" * n for n in (10, 20, 40, 80)]
    part = LengthPart.fit([3 * math.log(len(text)) + 5 for text in texts], texts)
    assert part.slope == pytest.approx(3, abs=1e-5)
    assert part.without([10.0, None], ["a" * 10, "b"]) == [
        pytest.approx(10 - 3 * math.log(10 / 28.2843), abs=1e-3),
        None,
    ]
    assert LengthPart.fit([1.0, 2.0], ["ab", "cd"]).slope == 0  # length does not vary: it explains nothing
    assert LengthPart.fit([1.0, 2.0], ["", "a"]).without([0.0], [""]) == [0.0]


def test_nothing_is_left_of_the_correlation_on_the_texts_it_was_fitted_on() -> None:
    draw = random.Random(0)
    texts = ["x" * draw.randint(5, 120) for _ in range(200)]
    scores = [math.log(len(text)) + draw.gauss(0, 0.5) for text in texts]
    queries = [str(i // 2) for i in range(200)]
    before = length_correlation(scores, texts, queries)
    after = length_correlation(LengthPart.fit(scores, texts).without(scores, texts), texts, queries)
    assert before.low > 0.7
    assert after.estimate == pytest.approx(0, abs=1e-4)
    assert after.low < 0 < after.high
    assert (after.n, after.clusters) == (200, 100)


def test_a_correlation_that_is_none() -> None:
    assert math.isnan(length_correlation([1.0, 1.0], ["a", "bb"], ["p", "q"]).estimate)
    assert math.isnan(length_correlation([None], ["a"], ["p"]).estimate)
    pair = Preference("q", "longer", "short")
    assert on_pairs([pair], [(None, None)]) == {"length_correlation": None, "length_correlation_ci": None}


@pytest.mark.parametrize(("longer", "shorter", "after"), [(6, 2, 6), (2, 6, 6), (100, 3, 3 * MOST_OFTEN), (4, 0, 0)])
def test_the_rarer_side_counts_as_often_as_it_can(longer: int, shorter: int, after: int) -> None:
    long = [Preference(f"l{i}", "longer", "short") for i in range(longer)]
    short = [Preference(f"s{i}", "short", "longer") for i in range(shorter)]
    same = [Preference("e", "ab", "cd")]
    made = balanced([*long, *short, *same])
    rare = short if shorter < longer else long
    assert sum(pair in rare for pair in made) == after
    assert len(made) == max(longer, shorter) + after + 1
