"""Is a new set of principles better? One method, so that another rule can stand in.

The default, :class:`BetterRanking`, wants proof on a validation split: the AUC of the judge with the new principles
minus its AUC with the current ones, on the same texts, must be above zero by a one-sided paired bootstrap over queries.
A run tests several candidates, and by luck one of many useless ones looks good; the error rate ``alpha`` is that of the
whole run, shared equally by the ``tests`` it may make (Bonferroni).

    decision = BetterRanking(alpha=0.05, tests=2).decide(labels, current, candidate, clusters=queries)
    decision.accepted, decision.effect, decision.why

:class:`NoWorse` is for a change that only shortens: it need not be better, but must be shown not to be worse by more
than a margin.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from inkfire.stats.intervals import auc_difference


@dataclass(frozen=True, slots=True)
class Decision:
    """``effect`` is candidate minus current, ``effect_ci`` the interval that the rule looked at, ``n`` the texts."""

    accepted: bool
    effect: float
    effect_ci: tuple[float, float]
    n: int
    why: str

    def to_json(self) -> dict[str, Any]:
        return {
            "accepted": self.accepted,
            "effect": self.effect,
            "effect_ci": list(self.effect_ci),
            "n": self.n,
            "why": self.why,
        }


class Acceptance(Protocol):
    def decide(
        self,
        labels: Sequence[int],
        current: Sequence[float | None],
        candidate: Sequence[float | None],
        *,
        clusters: Sequence[str],
    ) -> Decision:
        """Judge the judges' scores of the same validation texts; None is a text that one of them could not score."""
        ...


@dataclass(frozen=True)
class BetterRanking:
    """Accept when AUC rises beyond what resampling the queries explains (see the module's docstring)."""

    alpha: float = 0.05
    tests: int = 1
    seed: int = 0

    def decide(
        self,
        labels: Sequence[int],
        current: Sequence[float | None],
        candidate: Sequence[float | None],
        *,
        clusters: Sequence[str],
    ) -> Decision:
        found = _compare(labels, current, candidate, clusters, self.alpha / self.tests, self.seed)
        return _decide(found, found.effect_ci[0] > 0, "better beyond chance", "not shown to be better")


@dataclass(frozen=True)
class NoWorse:
    """Accept a shorter set when AUC is shown to fall by less than ``margin``; ``alpha`` is the chance of taking one
    that is worse by more (a one-sided test of non-inferiority)."""

    margin: float = 0.02
    alpha: float = 0.05
    seed: int = 0

    def decide(
        self,
        labels: Sequence[int],
        current: Sequence[float | None],
        candidate: Sequence[float | None],
        *,
        clusters: Sequence[str],
    ) -> Decision:
        found = _compare(labels, current, candidate, clusters, self.alpha, self.seed)
        passed = found.effect_ci[0] > -self.margin
        return _decide(found, passed, "shorter and no worse", f"not shown to lose less than {self.margin:g}")


def _compare(
    labels: Sequence[int],
    current: Sequence[float | None],
    candidate: Sequence[float | None],
    clusters: Sequence[str],
    alpha: float,
    seed: int,
) -> Decision:
    """The effect with its interval at ``alpha`` a side, not yet decided; ``why`` is set where nothing can be."""
    rows = [
        (label, old, new, query)
        for label, old, new, query in zip(labels, current, candidate, clusters, strict=True)
        if old is not None and new is not None
    ]
    if not 0 < sum(row[0] for row in rows) < len(rows):
        return Decision(False, 0.0, (0.0, 0.0), len(rows), "too few texts were scored under both sets")
    columns = (list(column) for column in zip(*rows, strict=True))
    found = auc_difference(*columns, seed=seed, level=1 - 2 * alpha)
    return Decision(False, found.estimate, (found.low, found.high), len(rows), "")


def _decide(found: Decision, passed: bool, yes: str, no: str) -> Decision:
    if found.why:
        return found
    low, high = found.effect_ci
    said = f"AUC changes by {found.effect:+.3f}, interval {low:+.3f} to {high:+.3f} on {found.n} texts"
    return dataclasses.replace(found, accepted=passed, why=f"{said}: {yes if passed else no}")
