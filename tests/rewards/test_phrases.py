"""Phrases that spread across prompts, against those of the start."""

from __future__ import annotations

from inkfire.rewards.phrases import Phrases

START = [f"愿你第{i}天都有好天气" for i in range(40)]


def test_what_was_frequent_at_the_start_is_no_growth() -> None:
    spread = Phrases(START)
    spread.see(["q"] * 40, START)
    assert spread.growth("q", START[0]) == 0.0
    assert spread.spreading() == []


def test_a_favourite_phrase_is_seen_across_prompts() -> None:
    spread = Phrases(START)
    spread.see([f"q{i}" for i in range(40)], [f"{i}如春风拂面" for i in range(40)])
    assert spread.growth("q", "你如春风") > 0.8
    assert spread.growth("q", "外婆，八十大寿快乐") == 0.0
    phrase, before, now = spread.spreading(1)[0]
    assert (phrase, before, now) == ("如春风拂面", 0.0, 1.0)


def test_a_phrase_of_the_query_does_not_count() -> None:
    spread = Phrases(START)
    spread.see(["外婆的生日"] * 40, ["外婆的生日"] * 40)
    assert spread.growth("外婆的生日", "外婆的生日快乐") == 0.0
    assert spread.spreading() == []


def test_one_text_among_few_is_no_trend() -> None:
    spread = Phrases(START)
    spread.see(["q"] * 4, ["a red kite", "tea at four", "rain again", "so long"])
    assert spread.growth("q", "a red kite") == 0.0


def test_what_is_long_ago_is_forgotten() -> None:
    spread = Phrases(START, window=20)
    spread.see(["q"] * 20, ["like a spring breeze"] * 20)
    assert spread.growth("q", "like a spring breeze") > 0.5
    spread.see(["q"] * 20, [f"w{i}" for i in range(20)])
    assert spread.growth("q", "like a spring breeze") == 0.0
