"""The linear reward model: Bradley-Terry on character n-grams (``train rm --kind linear``), seconds on a CPU.

It is the n-gram twin put to use. On pairs whose chosen and rejected texts come from different writers it is hard to
beat, which says as much about the pairs as about the model.

>>> reward = LinearReward(NgramPairModel().fit(pairs), name="rm")                                # doctest: +SKIP
>>> reward.score(["生日祝福语"], ["愿你的新一岁如星辰般闪耀。"])                                      # doctest: +SKIP
[1.84]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from inkfire.records import Identity
from inkfire.stats.twins import NgramPairModel


@dataclass(frozen=True)
class LinearReward:
    """Scores are log-odds against an average text of the vocabulary: only their differences mean something."""

    model: NgramPairModel
    name: str
    threshold: float | None = None
    identities: tuple[Identity, ...] = (Identity("reward model", "not saved yet"),)

    def score(
        self, queries: Sequence[str], responses: Sequence[str], *, truncated: Sequence[bool | None] | None = None
    ) -> list[float | None]:
        return [float(score) for score in self.model.score(queries, responses)]

    def close(self) -> None:
        pass
