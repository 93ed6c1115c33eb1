"""Calibration: from a judge's own number to the probability that a labelled reader calls the text good.

A small judge is biased, not blind: it says Good to nearly everything, yet it ranks texts better than chance. Two curves
move the bias out. ``platt`` (Platt 1999: a logistic regression on the judge's log-odds) has two numbers to fit, keeps
the order of texts and does with some dozens of labels. ``isotonic`` (Zadrozny and Elkan 2002: the best rising steps)
takes any shape, wants several hundred labels, and gives texts of one step the same probability.

The threshold then says Good. By default it is the one with the best expected balanced accuracy under the fitted curve.
With π the share of good texts among the labels, predicting Good is right for balanced accuracy when
p / π > (1 - p) / (1 - π), that is when p > π: so the threshold is π. On some dozens of labels it varies much less than
the best cut through their scores. Where calling a bad text good costs ``cost_false_good`` times as much as the
opposite, Good is the cheaper answer when 1 - p times that cost is below p: from p = cost / (1 + cost) on (Elkan 2001).

    calibration = fit_calibration(verdicts, labels)
    calibration.apply(verdict)          # P(Good) calibrated, the label by the threshold
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from inkfire.errors import InputError
from inkfire.judge.base import Judge
from inkfire.records import Label, Verdict
from inkfire.stats.intervals import wilson

Method = Literal["platt", "isotonic"]

MIN_LABELS = 10
"""Fewer scored labels than this are no fit."""

BINS = 10
"""Of the reliability curve."""

_CLIP = 1e-9  # a probability of exactly 0 or 1 has no finite log-odds


@dataclass(frozen=True, slots=True)
class Calibration:
    """Platt: P(Good) = sigmoid(slope · log-odds + intercept). Isotonic: the line through ``steps``, pairs of log-odds
    and P(Good), rising in both. Good at or above ``threshold``.

    ``n`` scored labels fitted it, ``n_good`` of them good. ``slope`` 0, or a single height of the steps, means that the
    judge did not rank them better than chance: every text then gets the same probability, and a measurement shows
    AUC 0.5. ``cost_false_good`` None: the threshold is that of balanced accuracy.
    """

    slope: float
    intercept: float
    threshold: float
    n: int
    n_good: int
    method: Method = "platt"
    steps: tuple[tuple[float, float], ...] = ()
    cost_false_good: float | None = None

    def __post_init__(self) -> None:
        if (self.method == "isotonic") != bool(self.steps):
            raise ValueError(f"the calibration is neither platt nor isotonic with steps: {self.method!r}")

    def probability(self, raw: float) -> float:
        if self.method == "isotonic":
            at, height = np.array(self.steps).T
            return float(np.interp(log_odds(raw), at, height))
        x = self.slope * log_odds(raw) + self.intercept
        return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))

    def apply(self, verdict: Verdict) -> Verdict:
        """The verdict with calibrated probability and label; an unscored one and a suspected injection stay."""
        raw = raw_score(verdict)
        if raw is None or verdict.injection:
            return verdict
        probability = self.probability(raw)
        label: Label = 1 if probability >= self.threshold else 0
        return dataclasses.replace(verdict, label=label, probability=probability)

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class CalibratedJudge:
    """A judge whose verdicts pass through a calibration."""

    inner: Judge
    calibration: Calibration

    @property
    def name(self) -> str:
        return self.inner.name

    async def judge(self, query: str, response: str) -> Verdict:
        return self.calibration.apply(await self.inner.judge(query, response))

    async def close(self) -> None:
        await self.inner.close()


def log_odds(probability: float) -> float:
    p = min(max(probability, _CLIP), 1 - _CLIP)
    return math.log(p) - math.log1p(-p)


def raw_score(verdict: Verdict) -> float | None:
    """What a judge gave as a number in 0..1: its probability, or its label where it gives none; None unscored."""
    if verdict.label is None:
        return None
    return verdict.probability if verdict.probability is not None else float(verdict.label)


def fit_calibration(
    verdicts: Sequence[Verdict],
    labels: Sequence[int],
    *,
    method: Method = "platt",
    cost_false_good: float | None = None,
) -> Calibration:
    """Fit on uncalibrated verdicts and the labels of the same texts; unscored and suspected ones are left out.

    Args:
        cost_false_good: what calling a bad text good costs, where calling a good one bad costs 1; it moves the
            threshold. None: the threshold of balanced accuracy.

    Raises:
        InputError: fewer than MIN_LABELS scored labels, only one class among them, or a cost that is not above 0.
    """
    if cost_false_good is not None and not 0 < cost_false_good < math.inf:
        raise InputError(f"the cost of a bad text called good must be above 0, not {cost_false_good:g}")
    pairs = [
        (raw, label)
        for verdict, label in zip(verdicts, labels, strict=True)
        if (raw := raw_score(verdict)) is not None and not verdict.injection
    ]
    n, good = len(pairs), sum(label for _, label in pairs)
    if n < MIN_LABELS:
        raise InputError(f"a calibration needs at least {MIN_LABELS} scored labels; {n} of {len(labels)} were scored")
    if good in (0, n):
        raise InputError(f"a calibration needs good and bad labels; all {n} are {'good' if good else 'bad'}")
    x, y = [log_odds(raw) for raw, _ in pairs], [label for _, label in pairs]
    threshold = good / n if cost_false_good is None else cost_false_good / (1 + cost_false_good)
    steps = _isotonic(x, y) if method == "isotonic" else ()
    slope, intercept = _platt(x, y) if method == "platt" else (0.0, 0.0)
    return Calibration(slope, intercept, threshold, n, good, method, steps, cost_false_good)


def _platt(x: Sequence[float], y: Sequence[int]) -> tuple[float, float]:
    """(slope, intercept); slope 0 where the judge ranks backwards."""
    from sklearn.linear_model import LogisticRegression

    mean, spread = float(np.mean(x)), float(np.std(x)) or 1.0
    # Standardised, so that the weak default penalty means the same for every judge.
    model = LogisticRegression().fit([[(value - mean) / spread] for value in x], y)
    slope = float(model.coef_[0][0]) / spread
    if slope <= 0:
        return 0.0, log_odds(sum(y) / len(y))
    return slope, float(model.intercept_[0]) - slope * mean


def _isotonic(x: Sequence[float], y: Sequence[int]) -> tuple[tuple[float, float], ...]:
    from sklearn.isotonic import IsotonicRegression

    model = IsotonicRegression(y_min=0, y_max=1).fit(x, y)
    return tuple((float(a), float(b)) for a, b in zip(model.X_thresholds_, model.y_thresholds_, strict=True))


def reliability(probabilities: Sequence[float], labels: Sequence[int]) -> list[dict[str, Any]]:
    """The reliability curve: of ten bins of equal width those that hold texts.

    Each has ``low``, ``high``, ``n``, ``said`` (the mean probability), ``found`` (the share of good texts) and
    ``found_ci`` (Wilson).
    """
    said, good = np.asarray(probabilities, float), np.asarray(labels, float)
    of_bin = np.minimum((said * BINS).astype(int), BINS - 1)
    curve = []
    for number in map(int, np.unique(of_bin)):
        inside = of_bin == number
        n, hits = int(inside.sum()), float(good[inside].sum())
        row = {"low": number / BINS, "high": (number + 1) / BINS, "n": n, "said": float(said[inside].mean())}
        curve.append(row | {"found": hits / n, "found_ci": list(wilson(hits, n))})
    return curve


def expected_calibration_error(probabilities: Sequence[float], labels: Sequence[int]) -> float:
    """ECE (Naeini et al. 2015): the mean gap between said and found of :func:`reliability`, weighted by the bins' n."""
    curve = reliability(probabilities, labels)
    return math.fsum(row["n"] * abs(row["said"] - row["found"]) for row in curve) / len(labels)


def brier_score(probabilities: Sequence[float], labels: Sequence[int]) -> float:
    """The mean squared distance between P(Good) and the label."""
    return math.fsum((p - y) ** 2 for p, y in zip(probabilities, labels, strict=True)) / len(labels)
