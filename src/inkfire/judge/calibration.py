"""Calibration: from a judge's own number to the probability that a labelled reader calls the text good.

A small judge is biased, not blind: it says Good to nearly everything, yet it ranks texts better than chance. Platt
scaling (Platt 1999: a logistic regression on the judge's log-odds) moves the bias out; the threshold then says Good.

The threshold is the one with the best expected balanced accuracy under the fitted curve. With π the share of good
texts among the labels, predicting Good is right for balanced accuracy when p / π > (1 - p) / (1 - π), that is when
p > π: so the threshold is π. On some dozens of labels it varies much less than the best cut through their scores.

    calibration = fit_calibration(verdicts, labels)
    calibration.apply(verdict)          # P(Good) calibrated, the label by the threshold
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from inkfire.errors import DataError, InputError
from inkfire.judge.base import Judge
from inkfire.records import Label, Verdict

MIN_LABELS = 10
"""Fewer scored labels than this are no fit."""

_CLIP = 1e-9  # a probability of exactly 0 or 1 has no finite log-odds


@dataclass(frozen=True, slots=True)
class Calibration:
    """P(Good) = sigmoid(slope · log-odds + intercept); Good at or above ``threshold``.

    ``n`` scored labels fitted it, ``n_good`` of them good. ``slope`` 0 means that the judge did not rank them better
    than chance: every text then gets the same probability, and a measurement shows AUC 0.5.
    """

    slope: float
    intercept: float
    threshold: float
    n: int
    n_good: int

    def probability(self, raw: float) -> float:
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

    @classmethod
    def from_json(cls, data: Mapping[str, Any], *, path: object = None) -> Calibration:
        try:
            return cls(**{field.name: data[field.name] for field in dataclasses.fields(cls)})
        except KeyError as error:
            raise DataError(f"the calibration has no {error}", path=str(path) if path else None) from None


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


def log_odds(probability: float) -> float:
    p = min(max(probability, _CLIP), 1 - _CLIP)
    return math.log(p) - math.log1p(-p)


def raw_score(verdict: Verdict) -> float | None:
    """What a judge gave as a number in 0..1: its probability, or its label where it gives none; None unscored."""
    if verdict.label is None:
        return None
    return verdict.probability if verdict.probability is not None else float(verdict.label)


def fit_calibration(verdicts: Sequence[Verdict], labels: Sequence[int]) -> Calibration:
    """Fit on uncalibrated verdicts and the labels of the same texts; unscored and suspected ones are left out.

    Raises:
        InputError: fewer than MIN_LABELS scored labels, or only one class among them.
    """
    from sklearn.linear_model import LogisticRegression

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
    x = [log_odds(raw) for raw, _ in pairs]
    mean = math.fsum(x) / n
    spread = math.sqrt(math.fsum((value - mean) ** 2 for value in x) / n) or 1.0
    # Standardised, so that the weak default penalty means the same for every judge.
    model = LogisticRegression().fit([[(value - mean) / spread] for value in x], [label for _, label in pairs])
    slope = float(model.coef_[0][0]) / spread
    share = good / n
    if slope <= 0:
        return Calibration(0.0, log_odds(share), share, n, good)
    return Calibration(slope, float(model.intercept_[0]) - slope * mean, share, n, good)


def expected_calibration_error(probabilities: Sequence[float], labels: Sequence[int], bins: int = 10) -> float:
    """ECE: the mean gap between confidence and share of good texts, over bins of equal width weighted by their size."""
    total = 0.0
    for index in range(bins):
        inside = [(p, y) for p, y in zip(probabilities, labels, strict=True) if min(int(p * bins), bins - 1) == index]
        if inside:
            total += abs(math.fsum(p for p, _ in inside) - sum(y for _, y in inside))
    return total / len(labels)


def brier_score(probabilities: Sequence[float], labels: Sequence[int]) -> float:
    """The mean squared distance between P(Good) and the label."""
    return math.fsum((p - y) ** 2 for p, y in zip(probabilities, labels, strict=True)) / len(labels)
