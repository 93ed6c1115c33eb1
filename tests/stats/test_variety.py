"""Variety at equal length: against values by hand, and its intervals against known worlds."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkfire.stats import variety
from inkfire.stats.variety import Cut, equal_length

wild = st.text(st.characters(exclude_categories=[]) | st.sampled_from("ab春节 "), max_size=40)


def cut(*texts: str) -> Cut:
    return [(i, tuple(text.split())) for i, text in enumerate(texts)]


def test_sets_are_cut_to_one_length_and_one_number() -> None:
    long = [(i, f"one two three four five six {i}") for i in range(20)]
    short = [(i // 2, f"seven eight nine ten {i}") for i in range(12)]
    of = equal_length({"long": long, "short": short, "few": short[:3], "tiny": [(i, "x") for i in range(9)]}, seed=0)
    assert (sorted(of.of), of.units, of.texts) == (["long", "short"], 5, 12)
    assert {len(row) for texts in of.of.values() for _, row in texts} == {5}
    assert {query for query, _ in of.of["short"]} == set(range(6))
    assert equal_length({"tiny": [(i, "x") for i in range(9)]}, seed=0).texts == 0


def test_by_hand() -> None:
    texts = cut("a b c d", "a b c e", "f g h i")
    assert variety.distinct(texts, 1).estimate == pytest.approx(9 / 12)
    assert variety.distinct(texts, 2).estimate == pytest.approx(7 / 9)
    assert variety.opening_entropy(texts).estimate == pytest.approx(-(2 / 3 * math.log2(2 / 3) + math.log2(1 / 3) / 3))
    assert variety.repetition(cut("a b a b", "a a a a"), 2).estimate == pytest.approx((1 / 3 + 2 / 3) / 2)
    same = variety.self_bleu(cut(*["a b c d e"] * 4))
    assert (same.estimate, variety.opening_entropy(cut(*["a b c d e"] * 4)).estimate) == (pytest.approx(1.0), 0)
    assert variety.self_bleu(cut("a b c d", "e f g h", "i j k l")).estimate < 0.1


def test_texts_of_one_query_are_no_references_for_each_other() -> None:
    alone = variety.self_bleu([(0, ("a", "b", "c", "d"))] * 3 + [(1, ("e", "f", "g", "h"))] * 3)
    assert alone.estimate < 0.1


def test_a_template_is_what_other_queries_texts_have() -> None:
    texts = cut(*[f"may your day be bright {i}" for i in range(8)], *[f"{i} all else is quite new" for i in "abcdefgh"])
    texts = [(i, (*row[:1], str(i), *row[1:])) if i > 7 else (i, row) for i, row in texts]
    share, phrases = variety.templates(texts)
    assert share.estimate == 1.0 or phrases[0][0] == "may your day be bright"
    honest = cut(*[" ".join(f"{word}{i}" for word in "abcdef") for i in range(16)])
    assert variety.templates(honest)[0].estimate == 0


def words(rng: random.Random, n: int, kinds: int) -> Cut:
    return [(i, tuple(f"w{int(rng.expovariate(1) * kinds / 4)}" for _ in range(15))) for i in range(n)]


def test_intervals_of_a_set_hold_what_such_sets_have_in_the_mean() -> None:
    """By simulation: at least nine in ten of 120 sets; the mean over 400 others is the truth."""
    rng = random.Random(0)
    measures = {
        "distinct": lambda texts: variety.distinct(texts, 2),
        "openings": variety.opening_entropy,
        "bleu": variety.self_bleu,
        "repeated": lambda texts: variety.repetition(texts, 2),
    }
    for name, measure in measures.items():
        truth = sum(measure(words(rng, 40, 40)).estimate for _ in range(200)) / 200
        held = 0
        for _ in range(100):
            found = measure(words(rng, 40, 40))
            held += found.low <= truth <= found.high
        assert held >= 88, name


@given(st.lists(st.tuples(st.integers(0, 3), wild), max_size=14), st.integers(0, 2))
def test_any_texts_have_shares_between_0_and_1(texts: list[tuple[int, str]], seed: int) -> None:
    found = equal_length({"a": texts, "b": texts[:9]}, seed)
    for rows in found.of.values():
        for share in (variety.distinct(rows, 2), variety.self_bleu(rows), variety.templates(rows)[0]):
            assert 0 <= share.low <= share.estimate <= share.high <= 1 or math.isnan(share.estimate)
        assert variety.opening_entropy(rows).estimate >= 0
