"""A floor for a policy's entropy: a bonus in the loss that grows while the texts have less than a target.

Entropy is the mean over tokens, in nats, of the distribution that a token was drawn from. A reward narrows it; how far
it may is a target that the user names. The bonus, what a nat is worth in the loss, is the multiplier of that constraint
and follows by dual ascent, as the temperature of soft actor-critic does (Haarnoja et al. 1812.05905):

    bonus = min(_MOST, max(0, bonus + _GAIN · (target - entropy)))

It counts only after texts that were below the target (as in Skywork-OR1, 2505.22312): above it nothing is added to the
loss, and entropy is never pushed down. What is decided depends on metrics.jsonl alone: a training that goes on reads it
back.

>>> floor = Floor(2.0)
>>> floor.see(1.5) > 0, floor.see(2.5)
(True, 0.0)
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

_GAIN, _MOST = 0.02, 1.0


class Floor:
    """Follows a training's entropy, update by update.

    Args:
        target: nats a token.
        rows: metrics.jsonl of the updates done so far.

    ``bonus`` is what a nat is worth in the next update's loss.
    """

    def __init__(self, target: float, rows: Iterable[Mapping[str, Any]] = ()):
        self._target, self._multiplier, self.bonus = target, 0.0, 0.0
        for row in rows:
            self.see(row.get("entropy"))

    def see(self, entropy: float | None) -> float:
        """The mean entropy of an update's texts; None leaves all as it is. Returns the next update's bonus."""
        if entropy is not None and math.isfinite(entropy):
            short = self._target - entropy
            self._multiplier = min(_MOST, max(0.0, self._multiplier + _GAIN * short))
            self.bonus = self._multiplier if short > 0 else 0.0
        return self.bonus
