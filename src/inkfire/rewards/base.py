"""The seam between whoever scores and GRPO: a reward cannot tell what trains on it, nor GRPO who scores."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
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


PAIRS_PER_TEXT = 3
"""Others of its group that a text meets in a tournament, where nobody says how many."""


@dataclass(frozen=True)
class Among:
    """How a reward by groups puts texts beside each other: ``task`` of a judge that is only a model's name,
    ``pairs_per_text`` of a tournament, ``references`` the file of the texts that others are compared with."""

    task: str | None = None
    pairs_per_text: int = PAIRS_PER_TEXT
    references: Path | None = None
    seed: int = 0


def why_unscored(reward: Reward) -> Counter[str]:
    """Why texts had no score so far, each reason with its count; empty for a reward that does not say."""
    return Counter(getattr(reward, "unscored", ()))
