"""A cascade: a cheap signal says first, and a dear one is asked only where the cheap one is unsure.

The cheap one's score has a cut, and is unsure within ``width`` of it. Both are fitted on labelled texts: the cut as the
threshold of any reward (``rewards/threshold.py``), the width as the least from which on, out to asking the dear one
everything, the share of right labels stays within ``tolerance`` of the dear one's own. What that saves and loses is
measured on texts of other queries.

    band = fit_band(fit, tolerance=0.01)
    measured = measure_cascade(test, band, seed=0)
    measured["asked_share"], measured["calls_saved"], measured["accuracy_difference_ci"]
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

from inkfire.errors import InputError
from inkfire.llm.bill import Bill
from inkfire.records import Label, Labelled
from inkfire.rewards.threshold import fit_threshold
from inkfire.stats.intervals import bootstrap_mean_difference, sign_test
from inkfire.stats.twins import rate

ARMS = ("cheap", "dear", "cascade")


@dataclass(frozen=True)
class Cost:
    """What one text took: calls and their money, and seconds, one after another."""

    calls: int = 0
    seconds: float = 0.0
    bill: Bill = field(default_factory=Bill)

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.calls + other.calls, self.seconds + other.seconds, self.bill + other.bill)


@dataclass(frozen=True)
class Asked:
    """A labelled text, what the cheap signal scored, what the dear one said (None: nothing), and what each took."""

    text: Labelled
    score: float | None
    said: Label | None
    cheap: Cost
    dear: Cost


@dataclass(frozen=True)
class Band:
    """The cheap signal says good from ``cut`` on, and is unsure less than ``width`` from it (None: wherever it is)."""

    cut: float
    width: float | None

    def sure(self, score: float | None) -> bool:
        """Whether the cheap signal's label stands; what has no score is unsure."""
        return score is not None and self.width is not None and abs(score - self.cut) >= self.width

    def label(self, score: float) -> Label:
        return 1 if score >= self.cut else 0


def fit_band(fit: Sequence[Asked], *, tolerance: float = 0.0, seed: int = 0) -> Band:
    """The band that asks least and is right on ``fit`` as often as the dear signal alone, less ``tolerance``.

    Raises:
        InputError: no text of one class that both have an answer for.
    """
    both = [one for one in fit if one.score is not None and one.said is not None]
    labels = [one.text.label for one in both]
    if len(set(labels)) < 2:
        raise InputError(
            f"a cascade is fitted on labelled texts, good and bad; {len(both)} of {len(fit)} have an answer of both "
            "signals, all of one label: label more"
        )
    scores = [one.score or 0.0 for one in both]
    cut = fit_threshold(scores, labels, [one.text.query for one in both], seed)["threshold"]
    everywhere = Band(cut, None)
    nearest = sorted(both, key=lambda one: abs((one.score or 0.0) - cut))
    distance = [abs((one.score or 0.0) - cut) for one in nearest]
    dear = [int(one.said == one.text.label) for one in nearest]
    cheap = [int(everywhere.label(one.score or 0.0) == one.text.label) for one in nearest]
    # right[k]: how many labels are right where the k nearest the cut are asked of the dear one.
    right = list(accumulate((a - b for a, b in zip(dear, cheap, strict=True)), initial=sum(cheap)))
    enough = sum(dear) - tolerance * len(both) - 1e-9
    asked = max((k + 1 for k, hits in enumerate(right) if hits < enough), default=0)
    while 0 < asked < len(both) and distance[asked - 1] == distance[asked]:  # one score is sure or unsure as a whole
        asked += 1
    if asked == len(both):
        return everywhere
    return Band(cut, distance[asked] if asked else 0.0)


def measure_cascade(test: Sequence[Asked], band: Band, *, seed: int = 0) -> dict[str, Any]:
    """What a cascade saves and loses beside the dear signal alone.

    Returns:
        ``n``; ``asked`` of the dear one and ``asked_share``; for each arm of :data:`ARMS` ``ARM_accuracy`` on the
        ``ARM_n`` texts that it has a label for, ``ARM_unscored``, ``ARM_calls``, ``ARM_seconds``, ``ARM_tokens`` and
        the fields of ``Bill``; ``accuracy_difference``, cascade less dear alone, paired, on the ``n_paired`` texts that
        both have a label for; and ``calls_saved``, ``seconds_saved``, ``tokens_saved``, ``cost_saved`` (None where
        money is unknown), each with its share of what the dear one takes alone. Below 0 it takes more.
    """
    sure = [band.sure(one.score) for one in test]
    labels: dict[str, list[Label | None]] = {
        "cheap": [None if one.score is None else band.label(one.score) for one in test],
        "dear": [one.said for one in test],
    }
    answers = zip(sure, labels["cheap"], labels["dear"], strict=True)
    labels["cascade"] = [cheap if certain else dear for certain, cheap, dear in answers]
    took = {"cheap": _sum(one.cheap for one in test), "dear": _sum(one.dear for one in test)}
    took["cascade"] = took["cheap"] + _sum(one.dear for one, certain in zip(test, sure, strict=True) if not certain)
    out: dict[str, Any] = {"n": len(test), "asked": sure.count(False)}
    out |= rate("asked_share", [not certain for certain in sure], [one.text.query for one in test])
    for arm in ARMS:
        rows = [(one.text, said) for one, said in zip(test, labels[arm], strict=True) if said is not None]
        out |= rate(f"{arm}_accuracy", [text.label == said for text, said in rows], [text.query for text, _ in rows])
        out |= {f"{arm}_n": len(rows), f"{arm}_unscored": len(test) - len(rows)}
        out |= {f"{arm}_calls": took[arm].calls, f"{arm}_seconds": took[arm].seconds}
        out |= {f"{arm}_tokens": took[arm].bill.tokens, **took[arm].bill.fields(f"{arm}_")}
    return out | _paired(test, labels, seed) | _saved(out)


def _sum(spent: Iterable[Cost]) -> Cost:
    return sum(spent, start=Cost())


def _paired(test: Sequence[Asked], labels: dict[str, list[Label | None]], seed: int) -> dict[str, Any]:
    rows = [
        (float(mine == one.text.label), float(alone == one.text.label), one.text.query)
        for one, mine, alone in zip(test, labels["cascade"], labels["dear"], strict=True)
        if mine is not None and alone is not None
    ]
    mine, alone, queries = (list[Any](column) for column in zip(*rows, strict=True)) if rows else ([], [], [])
    found = bootstrap_mean_difference(mine, alone, queries, seed).named("accuracy_difference")
    found["accuracy_difference_p"] = sign_test(mine, alone, queries) if rows else None
    return found | {"n_paired": len(rows)}


def _saved(numbers: dict[str, Any]) -> dict[str, Any]:
    """By what the cascade takes less than the dear signal alone."""
    out: dict[str, Any] = {}
    for name in ("calls", "seconds", "tokens", "cost"):
        alone, mine = numbers[f"dear_{name}"], numbers[f"cascade_{name}"]
        known = alone is not None and mine is not None
        out[f"{name}_saved"] = alone - mine if known else None
        out[f"{name}_saved_share"] = (alone - mine) / alone if known and alone else None
    return out
