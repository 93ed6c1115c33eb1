"""Calibration, Platt and isotonic: what it must do to a biased judge."""

import json
import math
import random
from typing import get_args

import pytest

from inkfire.errors import InputError
from inkfire.judge.calibration import (
    CalibratedJudge,
    Calibration,
    Method,
    brier_score,
    expected_calibration_error,
    fit_calibration,
    log_odds,
    reliability,
)
from inkfire.records import Verdict
from inkfire.settings import from_json


def biased(n: int, seed: int = 0, bias: float = 4.0, slope: float = 1.5) -> tuple[list[Verdict], list[int]]:
    """A judge that ranks fairly and says Good to nearly everything."""
    rng = random.Random(seed)
    labels = [number % 2 for number in range(n)]
    raw = [bias + slope * (2 * label - 1) * 0.8 + rng.gauss(0, slope) for label in labels]
    return [Verdict(1 if x >= 0 else 0, probability=1 / (1 + math.exp(-x))) for x in raw], labels


def test_it_moves_the_bias_out() -> None:
    verdicts, labels = biased(400)
    fitted = fit_calibration(verdicts[:200], labels[:200])
    after = [fitted.apply(verdict) for verdict in verdicts[200:]]
    right = [verdict.label == label for verdict, label in zip(after, labels[200:], strict=True)]
    assert sum(v.label == 1 for v in verdicts[200:]) > 180
    assert sum(right) / 200 > 0.72
    assert expected_calibration_error([v.probability or 0 for v in after], labels[200:]) < 0.12


def test_it_keeps_the_order_of_texts() -> None:
    verdicts, labels = biased(100)
    fitted = fit_calibration(verdicts, labels)
    before = sorted(range(100), key=lambda i: verdicts[i].probability or 0)
    after = sorted(range(100), key=lambda i: fitted.apply(verdicts[i]).probability or 0)
    assert before == after


def test_isotonic_takes_any_rising_shape_and_never_turns_the_order_around() -> None:
    verdicts, labels = biased(600)
    fitted = fit_calibration(verdicts[:300], labels[:300], method="isotonic")
    after = [fitted.apply(verdict) for verdict in verdicts[300:]]
    right = [verdict.label == label for verdict, label in zip(after, labels[300:], strict=True)]
    assert sum(right) / 300 > 0.7
    ranked = [fitted.probability(v.probability or 0) for v in sorted(verdicts, key=lambda v: v.probability or 0)]
    assert ranked == sorted(ranked)
    assert 0 <= ranked[0] < 0.5 < ranked[-1] <= 1


def test_isotonic_on_a_judge_that_ranks_backwards_is_one_step() -> None:
    verdicts, labels = biased(100, slope=1.0)
    worse = sorted(zip(verdicts, labels, strict=True), key=lambda row: row[0].probability or 0)
    fitted = fit_calibration([v for v, _ in worse], [1] * 50 + [0] * 50, method="isotonic")
    assert {fitted.apply(verdict).probability for verdict in verdicts} == {0.5}


@pytest.mark.parametrize("method", get_args(Method))
@pytest.mark.parametrize(("cost", "threshold"), [(1.0, 0.5), (4.0, 0.8), (0.25, 0.2)])
def test_a_cost_moves_the_threshold_and_nothing_else(method: Method, cost: float, threshold: float) -> None:
    verdicts, labels = biased(80)
    plain = fit_calibration(verdicts, labels, method=method)
    priced = fit_calibration(verdicts, labels, method=method, cost_false_good=cost)
    assert priced.threshold == pytest.approx(threshold)
    assert [priced.probability(v.probability or 0) for v in verdicts] == [
        plain.probability(v.probability or 0) for v in verdicts
    ]


def test_the_threshold_of_a_cost_is_the_cheapest_under_the_curve() -> None:
    fitted = fit_calibration(*biased(200), cost_false_good=3.0)
    for p in (0.3, 0.7, 0.74, 0.76, 0.9):
        says_good = p >= fitted.threshold
        assert says_good == (3.0 * (1 - p) < p)


@pytest.mark.parametrize("cost", [0.0, -1.0, math.inf, math.nan])
def test_a_cost_that_is_none_is_refused(cost: float) -> None:
    with pytest.raises(InputError, match="must be above 0"):
        fit_calibration(*biased(40), cost_false_good=cost)


def test_the_threshold_is_the_share_of_good_texts() -> None:
    verdicts, labels = biased(90)
    fitted = fit_calibration(verdicts + verdicts[1:60:2], labels + labels[1:60:2])
    assert fitted.threshold == pytest.approx(75 / 120)


def test_a_judge_that_ranks_backwards_gives_every_text_the_same() -> None:
    verdicts, labels = biased(100, slope=1.0)
    fitted = fit_calibration(verdicts, [1 - label for label in labels])
    assert fitted.slope == 0
    assert len({fitted.apply(verdict).probability for verdict in verdicts}) == 1


def test_unscored_verdicts_stay_and_are_not_fitted_on() -> None:
    verdicts, labels = biased(40)
    missing = Verdict(None, unscored="refused")
    fitted = fit_calibration([*verdicts, missing], [*labels, 1])
    assert fitted.n == 40
    assert fitted.apply(missing) is missing


def test_labels_without_probability_calibrate_too() -> None:
    verdicts = [Verdict(1), Verdict(1), Verdict(1), Verdict(0)] * 5
    fitted = fit_calibration(verdicts, [1, 1, 0, 0] * 5)
    assert [fitted.apply(Verdict(label)).label for label in (1, 0)] == [1, 0]


def test_too_few_labels_or_one_class_is_no_fit() -> None:
    verdicts, labels = biased(40)
    with pytest.raises(InputError, match="at least 10"):
        fit_calibration(verdicts[:8], labels[:8])
    with pytest.raises(InputError, match="all 40 are good"):
        fit_calibration(verdicts, [1] * 40)


def test_certainty_has_finite_log_odds() -> None:
    assert math.isfinite(log_odds(0.0))
    assert math.isfinite(log_odds(1.0))


async def test_a_calibrated_judge_keeps_its_name_and_applies() -> None:
    class Always:
        name = "always"

        async def judge(self, query: str, response: str) -> Verdict:
            return Verdict(1, probability=0.9)

    judge = CalibratedJudge(Always(), Calibration(1.0, -log_odds(0.9), 0.6, 20, 10))
    verdict = await judge.judge("q", "r")
    assert judge.name == "always"
    assert verdict.probability == pytest.approx(0.5)
    assert verdict.label == 0


def test_it_survives_json_and_names_what_is_missing() -> None:
    verdicts, labels = biased(60)
    for method in get_args(Method):
        fitted = fit_calibration(verdicts, labels, method=method, cost_false_good=2)
        assert from_json(json.loads(json.dumps(fitted.to_json())), Calibration) == fitted
    with pytest.raises(InputError, match="neither platt nor isotonic"):
        from_json(Calibration(1, 0, 0.5, 20, 10).to_json() | {"method": "isotonic"}, Calibration)
    with pytest.raises(InputError, match="threshold"):
        from_json({"slope": 1, "intercept": 0}, Calibration)


def test_scores_by_hand() -> None:
    assert brier_score([1.0, 0.5], [1, 0]) == pytest.approx(0.125)
    assert expected_calibration_error([0.75, 0.75, 0.75, 0.75], [1, 1, 1, 0]) == pytest.approx(0.0)
    assert expected_calibration_error([0.9, 0.1], [0, 1]) == pytest.approx(0.9)


def test_the_reliability_curve_by_hand() -> None:
    curve = reliability([0.05, 0.08, 0.31, 1.0], [0, 1, 1, 1])
    assert [(row["low"], row["n"]) for row in curve] == [(0.0, 2), (0.3, 1), (0.9, 1)]
    assert curve[0]["said"] == pytest.approx(0.065)
    assert curve[0]["found"] == 0.5
    assert curve[0]["found_ci"] == [pytest.approx(0.0945, abs=1e-3), pytest.approx(0.9055, abs=1e-3)]
