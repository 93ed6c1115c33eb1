"""Checks, mixtures, thresholds, and how a reward is named."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from inkfire.errors import DataError, InputError
from inkfire.records import Identity
from inkfire.rewards.load import load_reward
from inkfire.rewards.mixture import Mixture
from inkfire.rewards.share import Share
from inkfire.rewards.threshold import fit_threshold


class Given:
    name = "given"
    threshold = None

    identities = (Identity("check", "given", "given"),)

    def __init__(self, *scores: float | None):
        self.scores = list(scores)
        self.closed = 0

    def close(self) -> None:
        self.closed += 1

    def score(self, queries: Sequence[str], responses: Sequence[str], *, truncated=None) -> list[float | None]:
        return self.scores


class Unasked(Given):
    def score(self, queries: Sequence[str], responses: Sequence[str], *, truncated=None) -> list[float | None]:
        raise AssertionError("a part of weight 0 is not asked")


class Unclosable(Given):
    def close(self) -> None:
        super().close()
        raise OSError("gone")


def test_share() -> None:
    assert Share("!").score(["q"] * 3, ["Hi!!", "", "no"]) == [0.5, 0.0, 0.0]


def test_a_mixture_is_missing_where_a_needed_part_is() -> None:
    mixture = Mixture(((2.0, Given(1.0, None, 3.0)), (-1.0, Given(0.5, 1.0, None)), (0.0, Unasked())))
    assert mixture.score(["q"] * 3, ["a", "b", "c"]) == [1.5, None, None]


def test_a_mixture_closes_all_of_its_parts() -> None:
    parts = [Given(), Unclosable(), Unasked()]
    with pytest.raises(OSError, match="gone"):
        Mixture(((1.0, parts[0]), (1.0, parts[1]), (0.0, parts[2]))).close()
    assert [part.closed for part in parts] == [1, 1, 1]


def test_names_of_rewards(tmp_path: Path) -> None:
    assert load_reward("share:好").score(["q"], ["好不好"]) == [pytest.approx(2 / 3)]
    mixed = load_reward("0.5*share:a + -2*share:+")
    assert mixed.name == "0.5*share:a + -2*share:+"
    assert mixed.score(["q"], ["a+"]) == [pytest.approx(-0.75)]
    with pytest.raises(InputError, match="one character"):
        load_reward("share:ab")
    with pytest.raises(InputError, match=r"no reward.*reward\.json"):
        load_reward(tmp_path)


def test_a_damaged_card(tmp_path: Path) -> None:
    (tmp_path / "reward.json").write_text("{")
    with pytest.raises(DataError, match=r"reward\.json:1"):
        load_reward(tmp_path)


def test_threshold_parts_the_classes() -> None:
    fitted = fit_threshold([0.1, 0.2, None, 0.8, 0.9, 1.0], [0, 0, 1, 1, 1, 1], list("aabbcc"))
    assert 0.2 < fitted["threshold"] < 0.8
    assert fitted["threshold_n"] == 5
    assert fitted["threshold_balanced_accuracy"] == 1.0
    assert fitted["auc"] == 1.0


def test_a_score_that_ranks_backwards_has_a_threshold_that_says_nothing() -> None:
    fitted = fit_threshold([1.0, 0.9, 0.1, 0.0], [0, 0, 1, 1])
    assert fitted["auc"] == 0.0
    assert 0.0 < fitted["threshold"] < 1.0


def test_a_threshold_needs_both_classes() -> None:
    with pytest.raises(DataError, match="both labels"):
        fit_threshold([1.0, None], [1, 0])
