"""A reward, and what looks at a training without being a part of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from inkfire.records import Query
from inkfire.rewards.base import Reward


@dataclass(frozen=True)
class Watched:
    """What a policy is trained against, and what watches.

    Args:
        canaries: they read the texts every ``canary_steps`` steps, and are no part of the reward.
        validation: queries to write for every ``validation_steps``; those that are trained on are left out.
    """

    reward: Reward
    canaries: Sequence[Reward] = ()
    validation: Sequence[Query] = ()
