"""Alarms on a training's numbers, where alarms.py is about its texts; one row of metrics.jsonl at a time.

    NAME falls                       a canary falls (canaries.py)
    reward up while NAME falls       and the reward's mean of the last three steps is above that of the first three
    kl                               three steps are past the budget in the mean (budget.py)
    entropy                          the writer's choices narrow: alarms.py's CUSUM on the logged entropy (nats a token)
                                     against the first five steps, which may fall by a quarter (half the way to half)

Of a reward that looks at the group it is the ``score`` that counts: its ranks have always the same mean.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from inkfire.records import Rollout
from inkfire.training.alarms import BASELINE, Alarm, Cusum, Rule, cusum_of, three
from inkfire.training.budget import Budget
from inkfire.training.canaries import Reading, Row, baseline, falls, last_good, now, readings_of

_EDGE = 3
_FALLS = " falls"
KL, ENTROPY = "kl", "entropy"
_NARROWS = Rule(
    ENTROPY, ENTROPY, -1, lambda mean: mean / 4, "The writer's choices narrow", "{:.2f} nats a token".format
)


def is_fall(what: str) -> bool:
    """Whether an alarm says that a canary fell."""
    return what.endswith(_FALLS)


class NumberWatch:
    """Sees the rows of metrics.jsonl one after the other.

    Args:
        budget: has seen each row before.
        looks: planned at canaries, see :meth:`Canaries.looks`.
    """

    def __init__(self, budget: Budget | None, looks: int = 1):
        self._budget, self._looks = budget, looks
        self._rewards: list[float] = []
        self._entropies: list[float] = []
        self._cusum: Cusum | None = None
        self._readings: dict[str, list[Reading]] = defaultdict(list)
        self._rung: set[str] = set()

    def see(self, row: Mapping[str, Any], read: Sequence[Row], texts: Sequence[Rollout]) -> list[Alarm]:
        """A step's row, the rows of canaries.jsonl of that step if it was read, and its texts.

        Returns:
            The alarms that ring for the first time.
        """
        step = row["step"]
        if (reward := row.get("score", row.get("reward"))) is not None:
            self._rewards.append(reward)
        found = [*self._canaries(step, read), *self._far(step, texts), *self._narrow(step, row.get("entropy"), texts)]
        fresh = [alarm for alarm in found if alarm.what not in self._rung]
        self._rung |= {alarm.what for alarm in fresh}
        return fresh

    def _canaries(self, step: int, read: Sequence[Row]) -> list[Alarm]:
        found = []
        for name, reading in readings_of(read).items():
            readings = self._readings[name]
            readings.append(reading)
            if not falls(readings, self._looks):
                continue
            lowest = sorted(
                (row for row in read if row["canary"][name] is not None), key=lambda row: float(row["canary"][name])
            )
            shown = three([Rollout(step, row["query"], row["response"]) for row in lowest])
            value, first = now(readings), baseline(readings)
            up = self._up()
            said = f"{'The reward rises while ' if up else ''}{name} falls: {value:.4g} ({first:.4g} at first)."
            what = f"{'reward up while ' if up else ''}{name}{_FALLS}"
            found.append(Alarm(step, what, value, first, last_good(readings, self._looks) + 1, said, *shown))
        return found

    def _up(self) -> bool:
        first, last = self._rewards[:_EDGE], self._rewards[-_EDGE:]
        return bool(first) and sum(last) / len(last) > sum(first) / len(first)

    def _far(self, step: int, texts: Sequence[Rollout]) -> list[Alarm]:
        budget = self._budget
        if budget is None or budget.ended != step:
            return []
        said = f"Texts are past the budget: {budget.mean:.1f} nats a text from the start's (of {budget.budget:g})."
        return [Alarm(step, KL, budget.mean, budget.budget, min(step, budget.kept() + 2), said, *three(texts))]

    def _narrow(self, step: int, entropy: float | None, texts: Sequence[Rollout]) -> list[Alarm]:
        if entropy is None:
            return []
        if self._cusum is None:
            self._entropies.append(entropy)
            if len(self._entropies) == BASELINE:
                self._cusum = cusum_of(_NARROWS, self._entropies)
            return []
        return [self._cusum.alarm(step, entropy, texts)] if self._cusum.see(step, [entropy]) else []
