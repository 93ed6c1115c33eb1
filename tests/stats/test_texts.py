"""Text measures against brute force and by hand."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkfire.stats.texts import (
    distinct,
    is_mixed,
    is_refusal,
    main_script,
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


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't help with that.",
        "I’m sorry, I cannot write this greeting.",
        "Sorry, I am unable to generate such content.",
        "Unfortunately, I won't provide a text on this.",
        "I cannot assist with this request.",
        "As an AI language model, I have no birthday.",
        "作为一个人工智能助手，我不会写这个。",
        "作为AI，我没有感情，但祝你快乐",
        "抱歉，我无法生成这样的内容。",
        "很抱歉，我不能满足这个要求",
        "对不起，我没办法为您写这段话。",
        "无法提供相关内容",
    ],
)
def test_refusals(text: str) -> None:
    assert is_refusal(text)


@pytest.mark.parametrize(
    "text",
    [
        "Sorry I can't be there on Saturday; dance twice for me.",
        "I'm sorry for your loss, and I can help with the garden.",
        "I cannot believe you are forty. Happy birthday!",
        "抱歉，我不能来参加你的婚礼，祝你们白头偕老。",
        "对不起，那天没能陪你，愿你原谅我。",
        "作为一个老朋友，我想说，一路平安。",
        "无法用言语表达我的感激",
        "",
    ],
)
def test_texts_that_only_sound_like_refusals(text: str) -> None:
    assert not is_refusal(text)


def test_the_main_script_and_what_is_mixed_into_it() -> None:
    assert main_script(["祝你生日快乐", "happy"]) == "han"
    assert main_script(["おめでとうございます新年", "今年もよろしく"]) == "kana"
    assert main_script(["123 !"]) is None
    assert is_mixed("愿你的 awakening 到来", "han")
    assert not is_mixed(
        "愿你新家的WiFi永远满格，愿每一个晚归的夜里都有一盏灯在窗口等着你，也愿厨房里的汤一直是热的，愿楼下的花开了又开",
        "han",
        0.1,
    )
    assert not is_mixed("新年おめでとう", "kana")
    assert not is_mixed("2024!", "latin")
