"""A budget for how far a policy may go from its start: KL in nats a text, and the beta that keeps to its course.

A reward is right only near the texts that it was learnt or measured on (Gao et al. 2210.10760: the true reward rises
with √KL, peaks and falls). So a training plans its KL: linear in steps, from 0 to the budget at the last one. beta, the
weight of the KL term, follows (Ziegler et al. 1909.08593): where the policy is ahead of the course beta grows, where it
is behind beta falls. Ziegler's controller holds a constant, over thousands of steps, and looks at the error alone; this
one has some ten steps in which Adam's momentum carries the policy on, so it looks where the KL is going to be in
:data:`_AHEAD` steps:

    e = (KL + _AHEAD · slope) / (plan then) - 1, within [-1, 1]        log beta += _GAIN · e

KL is that of the policy which wrote the step's texts: k3 (Schulman 2020) a token, summed over a text, mean over the
texts. A single step's is noisy, so level and slope are those of a line through the last :data:`_WINDOW` steps.

The numbers were chosen on simulated policies (Adam, a reward that pulls one way, noise) of 14 to 100 steps, three
speeds and four strengths of the KL term. beta only brakes, so the learning rate has to be one that would overshoot
(``GrpoSettings.rate``).

The training ends where the mean of the last :data:`_MEAN` steps is above the budget, and keeps the last policy that was
within it. What is decided depends on metrics.jsonl alone: a training that goes on reads it back.

>>> budget = Budget(4.0, steps=40, beta=0.1)
>>> budget.see(1, 0.0), budget.planned(21)
(0.1, 2.0)
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

_GAIN, _AHEAD = 0.5, 5
_WINDOW = 3
_MEAN = 3
_LOWEST, _HIGHEST = 0.01, 10.0


class Budget:
    """Follows a training's KL, step by step.

    Args:
        budget: nats a text at the last step.
        steps: planned, in updates.
        beta: the first weight of the KL term.
        rows: metrics.jsonl of the steps done so far.

    ``beta`` is what the next step takes; ``ended`` the step after which the training ends, None while it goes on.
    """

    def __init__(self, budget: float, *, steps: int, beta: float, rows: Iterable[Mapping[str, Any]] = ()):
        self.budget, self.beta, self._steps = budget, beta, steps
        self._kl: list[tuple[int, float]] = []
        self.ended: int | None = None
        for row in rows:
            self.see(row["step"], row.get("kl_text"))

    def planned(self, step: float) -> float:
        """The KL that the texts of a step are planned to have; those of the first are the start's own."""
        return self.budget * min(1.0, max(0.0, (step - 1) / max(1, self._steps - 1)))

    def see(self, step: int, kl: float | None) -> float:
        """The KL a text of a step's texts; None leaves all as it is. Returns the next step's beta."""
        if kl is None or not math.isfinite(kl):
            return self.beta
        self._kl.append((step, kl))
        if self.ended is None and len(self._kl) >= _MEAN and self.mean > self.budget:
            self.ended = step
        if len(self._kl) > 1:
            self.beta = self._next(step)
        return self.beta

    @property
    def mean(self) -> float:
        """The mean KL a text of the last three steps; of one step at least."""
        last = [value for _, value in self._kl[-_MEAN:]]
        return sum(last) / len(last)

    def _next(self, step: int) -> float:
        at, kl = np.array(self._kl[-_WINDOW:]).T
        slope, level = np.polyfit(at - step, kl, 1)
        error = max(0.0, level + _AHEAD * slope) / self.planned(step + _AHEAD) - 1
        beta = math.log(self.beta) + _GAIN * min(1.0, max(-1.0, error))
        return min(_HIGHEST, max(_LOWEST, math.exp(beta)))

    def kept(self) -> int:
        """Updates of the last policy whose texts were within the budget: those of the step after."""
        return max((step for step, kl in self._kl if kl <= self.budget), default=1) - 1

    def within(self, updates: int) -> float | None:
        """The KL a text of the policy of so many updates, as its own texts showed it; of the last one seen, else."""
        return dict(self._kl).get(updates + 1, self._kl[-1][1] if self._kl else None)
