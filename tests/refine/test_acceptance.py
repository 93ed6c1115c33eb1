"""The acceptance test: what it takes, and how often it takes what is useless."""

import math
import random

import pytest

from inkfire.refine.acceptance import RankingTest
from inkfire.stats.intervals import auc, auc_difference

LABELS = [1, 0] * 30
QUERIES = [f"q{number // 2}" for number in range(60)]


def scores(rng: random.Random, skill: float) -> list[float]:
    return [skill * label + rng.gauss(0, 1) for label in LABELS]


def test_the_difference_is_that_of_the_aucs() -> None:
    rng = random.Random(0)
    old, new = scores(rng, 0.5), scores(rng, 1.5)
    found = auc_difference(LABELS, old, new, QUERIES)
    assert found.estimate == pytest.approx(auc(LABELS, new) - auc(LABELS, old))
    assert found.low < found.estimate < found.high
    assert auc_difference(LABELS, old, new, QUERIES, level=0.99).low < found.low


def test_a_much_better_set_is_taken() -> None:
    rng = random.Random(1)
    decision = RankingTest().decide(LABELS, scores(rng, 0.0), scores(rng, 3.0), clusters=QUERIES)
    assert decision.accepted
    assert decision.effect_ci[0] > 0
    assert "better beyond chance" in decision.why


def test_the_same_scores_are_not_better() -> None:
    same = scores(random.Random(2), 1.0)
    decision = RankingTest().decide(LABELS, same, same, clusters=QUERIES)
    assert not decision.accepted
    assert decision.effect == 0


@pytest.mark.slow
def test_ten_useless_candidates_rarely_get_one_taken() -> None:
    rng = random.Random(3)
    rule = RankingTest(alpha=0.05, tests=10)
    runs = 20
    taken = 0
    for _ in range(runs):
        current = scores(rng, 1.0)
        taken += any(rule.decide(LABELS, current, scores(rng, 1.0), clusters=QUERIES).accepted for _ in range(10))
    assert taken <= 2


def test_what_one_of_them_could_not_score_is_left_out() -> None:
    rng = random.Random(4)
    old: list[float | None] = [*scores(rng, 1.0)]
    new: list[float | None] = [*scores(rng, 1.0)]
    old[0], new[5] = None, None
    assert RankingTest().decide(LABELS, old, new, clusters=QUERIES).n == 58
    nothing: list[float | None] = [None] * 60
    assert not RankingTest().decide(LABELS, old, nothing, clusters=QUERIES).accepted


def test_one_class_has_no_auc() -> None:
    assert math.isnan(auc_difference([1, 1], [0.1, 0.2], [0.1, 0.2], ["a", "b"]).estimate)


def many(seed: int, skill: float) -> list[float]:
    rng = random.Random(seed)
    return [skill * (n % 2) + rng.gauss(0, 1) for n in range(300)]


def test_a_shorter_set_is_taken_when_it_is_no_worse_and_not_when_it_is() -> None:
    labels, queries = [n % 2 for n in range(300)], [f"q{n // 2}" for n in range(300)]
    current = many(1, 2.0)
    jitter = random.Random(2)
    same = [score + jitter.gauss(0, 0.05) for score in current]
    taken = RankingTest(margin=0.02).decide(labels, current, same, clusters=queries)
    assert taken.accepted
    assert taken.effect_ci[0] > -0.02
    assert taken.why.endswith("shorter and no worse")
    assert not RankingTest().decide(labels, current, same, clusters=queries).accepted
    worse = RankingTest(margin=0.02).decide(labels, current, many(1, 1.2), clusters=queries)
    assert not worse.accepted
    assert "not shown to lose less than 0.02" in worse.why
    assert not RankingTest(margin=0.02).decide([1, 1], [0.5, 0.5], [0.5, 0.5], clusters=["a", "b"]).accepted


@pytest.mark.slow
def test_a_shorter_set_that_loses_more_than_the_margin_is_rarely_taken() -> None:
    """Sets whose true loss is the margin itself: the error rate of the rule at its worst."""
    labels, queries = [n % 2 for n in range(300)], [f"q{n}" for n in range(300)]
    taken, runs = 0, 40
    for seed in range(runs):
        # P(good beats bad) = Phi(skill / sqrt 2): 0.8550 at 1.4964, 0.8350 at 1.3776
        old, new = many(seed, 1.4964), many(1000 + seed, 1.3776)
        taken += RankingTest(margin=0.02).decide(labels, old, new, clusters=queries).accepted
    assert taken <= 6
