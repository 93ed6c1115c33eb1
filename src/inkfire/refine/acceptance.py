"""Is a new set of principles better? One method, so that another rule can stand in.

The default, :class:`RankingTest`, wants proof on a validation split: the AUC of the judge with the new principles minus
its AUC with the current ones, on the same texts, must be above zero by a one-sided paired bootstrap over queries. A run
tests several candidates, and by luck one of many useless ones looks good; the error rate ``alpha`` is that of the whole
run, shared equally by the ``tests`` it may make (Bonferroni). A change that only shortens need not be better: with a
``margin`` it must be shown not to be worse by more than that (a one-sided test of non-inferiority).

    decision = RankingTest(alpha=0.05, tests=2).decide(labels, current, candidate, clusters=queries)
    decision.accepted, decision.effect, decision.why
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from inkfire.stats.intervals import auc_difference


@dataclass(frozen=True, slots=True)
class Decision:
    """``effect`` is candidate minus current, ``effect_ci`` the interval that the rule looked at, ``n`` the texts."""

    accepted: bool
    effect: float
    effect_ci: tuple[float, float]
    n: int
    why: str


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
class RankingTest:
    """Accept when AUC changes by more than ``-margin``, beyond what resampling the queries explains."""

    alpha: float = 0.05
    tests: int = 1
    margin: float = 0.0
    seed: int = 0

    def decide(
        self,
        labels: Sequence[int],
        current: Sequence[float | None],
        candidate: Sequence[float | None],
        *,
        clusters: Sequence[str],
    ) -> Decision:
        level = 1 - 2 * self.alpha / self.tests
        found = auc_difference(labels, current, candidate, clusters, seed=self.seed, level=level)
        if math.isnan(found.estimate):
            return Decision(False, 0.0, (0.0, 0.0), found.n, "too few texts were scored under both sets")
        accepted = found.low > -self.margin
        if self.margin:
            verdict = "shorter and no worse" if accepted else f"not shown to lose less than {self.margin:g}"
        else:
            verdict = "better beyond chance" if accepted else "not shown to be better"
        low, high = found.low, found.high
        said = f"AUC changes by {found.estimate:+.3f}, interval {low:+.3f} to {high:+.3f} on {found.n} texts: {verdict}"
        return Decision(accepted, found.estimate, (low, high), found.n, said)
