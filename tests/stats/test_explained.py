"""What simple twins explain of scores whose cause is known."""

import random

import pytest

from inkfire.stats.explained import explained

RNG = random.Random(0)
WORDS = ["lamp", "river", "door", "window", "light", "spring", "bread", "stone", "letter", "garden", "song", "winter"]
TEXTS = [" ".join(RNG.choice(WORDS) for _ in range(RNG.randint(3, 25))) for _ in range(120)]
QUERIES = [f"q{i // 3}" for i in range(120)]
NONE: list[list[str]] = [[] for _ in TEXTS]


def test_a_ruler_is_explained_by_length() -> None:
    found = explained([len(text) + RNG.gauss(0, 2) for text in TEXTS], QUERIES, TEXTS, NONE, 0)
    assert found["length_r2"] > 0.95
    assert found["length_r2_ci"][0] > 0.9
    assert "checks_r2" not in found


def test_a_favourite_word_is_explained_by_ngrams() -> None:
    found = explained([float("river" in text) for text in TEXTS], QUERIES, TEXTS, NONE, 0)
    assert found["ngram_r2"] > 0.4 > found["length_r2"]
    assert found["ngram_r2_ci"][0] > found["length_r2"]


def test_checks_that_decide_are_said() -> None:
    failed = [["finished"] if i % 3 else [] for i in range(120)]
    scores = [1.0 - bool(names) + RNG.gauss(0, 0.1) for names in failed]
    assert explained(scores, QUERIES, TEXTS, failed, 0)["checks_r2"] > 0.9


def test_noise_is_explained_by_nothing() -> None:
    found = explained([RNG.random() for _ in TEXTS], QUERIES, TEXTS, NONE, 0)
    assert found["length_r2"] < 0.1
    assert found["ngram_r2"] < 0.1


@pytest.mark.parametrize("n", [0, 1, 19])
def test_of_few_texts_nothing_is_said(n: int) -> None:
    assert explained([float(i) for i in range(n)], QUERIES[:n], TEXTS[:n], NONE[:n], 0) == {}
    assert explained([1.0] * 120, QUERIES, TEXTS, NONE, 0) == {}
    assert explained([float(i) for i in range(120)], ["q"] * 120, TEXTS, NONE, 0) == {}
