"""Text measures against brute force and by hand."""

from __future__ import annotations

import random
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.metrics.pairwise import cosine_similarity

from inkfire.texts import (
    copied_share,
    distinct,
    longest_common_substring,
    mean_similarity,
    near_duplicates,
    script_mix,
    units,
)

wild = st.text(st.characters(exclude_categories=[]) | st.sampled_from("ab春节 "), max_size=12)
few = st.text("ab 春", max_size=9)


def test_units_of_both_kinds_of_script() -> None:
    assert units("祝你 Don’t worry，生日！カナ 2025年") == [
        "祝",
        "你",
        "don’t",
        "worry",
        "生",
        "日",
        "カ",
        "ナ",
        "2025",
        "年",
    ]
    assert units("foo_bar…") == ["foo", "bar"]


def test_distinct() -> None:
    assert distinct(["a b a b", "a b"], 1) == 2 / 6
    assert distinct(["a b a b", "a b"], 2) == 2 / 4
    assert distinct(["新年好", "新年好"], 2) == 2 / 4
    assert distinct([], 1) == distinct(["", "!"], 2) == 0


@given(st.lists(wild, max_size=5), st.integers(1, 3))
def test_distinct_is_a_share(texts: list[str], n: int) -> None:
    assert 0 <= distinct(texts, n) <= 1


@given(st.lists(st.text("abc春", min_size=2, max_size=6), min_size=2, max_size=6))
def test_mean_similarity_against_sklearn(texts: list[str]) -> None:
    rows = CountVectorizer(analyzer="char", ngram_range=(2, 2), lowercase=False).fit_transform(texts)
    similarity = cosine_similarity(rows)
    expected = sum(similarity[i, j] for i, j in combinations(range(len(texts)), 2)) / len(list(combinations(texts, 2)))
    assert mean_similarity(texts) == pytest.approx(expected, abs=1e-9)


def test_mean_similarity_of_little() -> None:
    assert mean_similarity([]) == mean_similarity(["春节", "a", ""]) == 0
    assert mean_similarity(["春节快乐"] * 3) == pytest.approx(1)


def brute_force_lcs(a: str, b: str) -> int:
    pieces = {a[i:j] for i in range(len(a)) for j in range(i + 1, len(a) + 1)}
    return max((len(piece) for piece in pieces if piece in b), default=0)


@given(few, few)
def test_longest_common_substring(a: str, b: str) -> None:
    assert longest_common_substring(a, b) == brute_force_lcs(a, b)


@given(st.lists(few, max_size=4), st.lists(few, max_size=4), st.integers(0, 3))
def test_copied_share_against_brute_force(texts: list[str], corpus: list[str], min_chars: int) -> None:
    for text, share in zip(texts, copied_share(texts, corpus, min_chars), strict=True):
        longest = max((brute_force_lcs(text, other) for other in corpus), default=0)
        assert share == (longest / len(text) if longest >= max(min_chars, 1) else 0)


def test_a_copy_does_not_span_two_texts() -> None:
    assert copied_share(["abcd", "\ue000"], ["ab", "cd"], 1) == [0.5, 0]
    assert copied_share(["愿你平安喜乐"], ["新的一年愿你平安", "x"], 4) == [4 / 6]
    assert copied_share(["愿你平安喜乐"], ["新的一年愿你平安"], 5) == [0]


def test_script_mix() -> None:
    assert script_mix("新年 awake!") == {"han": 2 / 7, "latin": 5 / 7}
    assert script_mix("あア안Яλ") == {"kana": 0.4, "hangul": 0.2, "cyrillic": 0.2, "other": 0.2}
    assert script_mix("2025 🎉") == {}


@given(wild)
def test_script_mix_sums_to_one(text: str) -> None:
    mix = script_mix(text)
    assert not mix or sum(mix.values()) == pytest.approx(1)


def grams(text: str) -> frozenset[str]:
    folded = " ".join(text.lower().split())
    return frozenset(folded[i : i + 3] for i in range(len(folded) - 2)) or frozenset([folded])


@given(st.lists(st.text("ab春", max_size=8), max_size=12), st.sampled_from([0.3, 0.5, 0.8, 1.0]))
def test_near_duplicates_against_brute_force(texts: list[str], threshold: float) -> None:
    expected = {}
    for j, b in enumerate(map(grams, texts)):
        for i, a in enumerate(map(grams, texts[:j])):
            if len(a & b) >= threshold * len(a | b) - 1e-9:
                expected[j] = i
                break
    found = {later: earlier for earlier, later in near_duplicates(texts, threshold)}
    assert found == expected


def test_near_duplicates_of_real_length() -> None:
    a = "愿你的新一岁如星辰般闪耀，每一天都被甜蜜和惊喜填满，所有美好如期而至"
    assert near_duplicates([a, "别的", a + "！", a.replace("星辰", "星光"), a, a[:15]]) == [(0, 2), (0, 3), (0, 4)]
    assert near_duplicates([]) == near_duplicates(["", "x"]) == []


def test_near_duplicates_scale() -> None:
    draw = random.Random(0)
    syllables = [chr(0x4E00 + i) for i in range(400)]
    opening = "愿你的新一岁"
    texts = [opening + "".join(draw.choices(syllables, k=50)) for _ in range(5000)]
    texts += [text + "！" for text in texts[:100]]
    assert near_duplicates(texts) == [(i, 5000 + i) for i in range(100)]
