"""The seam between whoever scores and GRPO: a reward cannot tell what trains on it, nor GRPO who scores."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Protocol

from inkfire.records import Identity


class Reward(Protocol):
    """Scores texts; higher is better. None means missing (masked in training, left out of metrics), never zero.

    One that knows why texts had no score counts the reasons in ``unscored``, a Counter; see :func:`why_unscored`.
    """

    @property
    def name(self) -> str: ...

    @property
    def threshold(self) -> float | None:
        """A text scored at or above this is called excellent; None where no labelled split fitted one."""
        ...

    @property
    def identities(self) -> tuple[Identity, ...]:
        """The elementary rewards that its scores come from, each once."""
        ...

    def score(
        self, queries: Sequence[str], responses: Sequence[str], *, truncated: Sequence[bool | None] | None = None
    ) -> list[float | None]:
        """The texts of one query stand side by side: a reward may look at the group.

        Args:
            truncated: which responses met the limit before their end token, where the caller knows.
        """
        ...

    def close(self) -> None:
        """Let go of the models behind it. Who opened the reward closes it."""
        ...


def why_unscored(reward: Reward) -> Counter[str]:
    """Why texts had no score so far, each reason with its count; empty for a reward that does not say."""
    return Counter(getattr(reward, "unscored", ()))
