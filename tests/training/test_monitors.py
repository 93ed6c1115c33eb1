"""The numbers that tell whether a reward teaches anything, and what."""

import pytest

from inkfire.training.monitors import Monitor, summary, within_groups

pytestmark = pytest.mark.slow


def test_a_step_in_numbers() -> None:
    monitor = Monitor(num_generations=2)
    monitor.observe(["a", "a"], ["one", "three"], [0.0, 1.0])
    monitor.observe(["b", "b"], ["same", "same"], [None, 0.5])
    step = monitor.step()
    assert step["reward"] == pytest.approx(0.5)
    assert step["missing"] == 1
    assert (step["zero_variance"], step["missing_groups"]) == (0, 0.5)
    assert step["mean_length"] == 4
    assert monitor.step() == {}


def test_nothing_scored_is_no_number() -> None:
    monitor = Monitor(num_generations=2)
    monitor.observe(["a", "a"], ["x", "y"], [None, None])
    assert monitor.step() | {"distinct": 0} == {
        "reward": None,
        "reward_std": None,
        "missing": 2,
        "zero_variance": None,
        "missing_groups": 1.0,
        "mean_length": 1.0,
        "mean_tokens": None,
        "distinct": 0,
        "length_correlation": None,
    }


def test_missing_rewards_are_not_equal_ones() -> None:
    monitor = Monitor(num_generations=2)
    monitor.observe([], ["x", "y"] * 3, [None, None, 1.0, 1.0, 0.0, 1.0], [3, 5] * 3)
    step = monitor.step()
    assert (step["zero_variance"], step["missing_groups"], step["mean_tokens"]) == (0.5, pytest.approx(1 / 3), 4)


def test_length_is_compared_within_groups_only() -> None:
    """A query that gets long texts and high rewards says nothing about length: the advantage does not see it."""
    texts = ["a", "aa", "a" * 50, "a" * 51]
    assert within_groups(texts, [1.0, 0.0, 9.0, 8.0], 2) == pytest.approx(-1)
    assert within_groups(texts, [1.0, None, 9.0, None], 2) is None
    assert within_groups(["a", "b"], [0.0, 1.0], 2) is None


def row(step: int, **more: float | None) -> dict[str, float | None]:
    return {"step": step, "reward": 0.5, "zero_variance": 0.0, "length_correlation": 0.0, "missing": 0} | more


def test_summary_says_in_words_what_is_wrong() -> None:
    fine = summary([row(i, reward=i / 10) for i in range(1, 9)])
    assert fine["warnings"] == []
    assert (fine["steps"], fine["reward_first"], fine["reward_last"]) == (8, pytest.approx(0.2), pytest.approx(0.7))
    bad = summary([row(i, zero_variance=0.5, length_correlation=0.9, missing=2) for i in range(1, 5)])
    flat, length, missing = bad["warnings"]
    assert "50% of the groups" in flat
    assert "longer" in length
    assert missing == "8 completions had no reward and were masked."
    (missing,) = summary([row(i, zero_variance=None, missing_groups=1.0, missing=4) for i in range(1, 3)])["warnings"]
    assert "in 100% of the groups fewer than two had one" in missing
    assert missing.endswith("missing, not equal.")


def test_of_ranks_the_score_behind_them_is_summed_up_and_a_phrase_that_spread_is_said() -> None:
    phrases = [["sea of stars", 0.02, 0.6], ["the", 0.5, 0.65]]
    rows = [row(i, score=i / 10, failed=0.5 - i / 20, phrases=phrases) for i in range(1, 9)]
    found = summary(rows)
    assert (found["score_first"], found["score_last"]) == (pytest.approx(0.2), pytest.approx(0.7))
    assert (found["failed_first"], found["failed_last"]) == (pytest.approx(0.4), pytest.approx(0.15))
    assert found["warnings"] == ["'sea of stars' stands in 60% of the last texts, and stood in 2% of the start's."]
    assert summary([row(1, phrases=[["the", 0.5, 0.65]])])["warnings"] == []
    assert "score_first" not in summary([row(1)])


def test_summary_of_nothing() -> None:
    assert summary([])["steps"] == 0
