"""A reward model less what length explains of its scores (``train rm --length-debias``)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from inkfire.records import Identity
from inkfire.rewards.base import Reward
from inkfire.stats.length import LengthPart


@dataclass(frozen=True)
class WithoutLength:
    """``reward``'s scores less ``length``; its threshold is one of these scores."""

    reward: Reward
    length: LengthPart

    @property
    def name(self) -> str:
        return self.reward.name

    @property
    def threshold(self) -> float | None:
        return self.reward.threshold

    @property
    def identities(self) -> tuple[Identity, ...]:
        return self.reward.identities

    def score(
        self, queries: Sequence[str], responses: Sequence[str], *, truncated: Sequence[bool | None] | None = None
    ) -> list[float | None]:
        return self.length.without(self.reward.score(queries, responses, truncated=truncated), responses)

    def close(self) -> None:
        self.reward.close()
