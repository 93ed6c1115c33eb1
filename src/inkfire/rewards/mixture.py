"""Several rewards as one: a weighted sum or the least of them, computed on our side of the seam.

TRL counts a missing reward among several as zero. Here a text of which any needed part is missing has no reward at
all, and is masked. The parts keep their own scales (log-odds, probabilities): choose the weights accordingly.

>>> from inkfire.rewards.share import Share
>>> Mixture(((2.0, Share("a")), (-1.0, Share("b")))).score(["q"], ["aabb"])
[0.5]
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Literal

from inkfire.records import Identity
from inkfire.rewards.base import Reward, why_unscored


@dataclass(frozen=True)
class Mixture:
    """Σ weight · part, or the least of the parts. A part of weight 0 is not asked."""

    parts: tuple[tuple[float, Reward], ...]
    how: Literal["sum", "min"] = "sum"
    threshold = None

    @property
    def name(self) -> str:
        if self.how == "min":
            return f"min({', '.join(part.name for _, part in self.parts)})"
        return " + ".join(f"{weight:g}*{part.name}" for weight, part in self.parts)

    @property
    def identities(self) -> tuple[Identity, ...]:
        return tuple(dict.fromkeys(known for weight, part in self.parts if weight for known in part.identities))

    @property
    def unscored(self) -> Counter[str]:
        return sum((why_unscored(part) for _, part in self.parts), Counter())

    def score(
        self, queries: Sequence[str], responses: Sequence[str], *, truncated: Sequence[bool | None] | None = None
    ) -> list[float | None]:
        columns = [
            (weight, part.score(queries, responses, truncated=truncated)) for weight, part in self.parts if weight != 0
        ]
        out: list[float | None] = []
        for row in range(len(responses)):
            scores = [(weight, column[row]) for weight, column in columns]
            known = [weight * score for weight, score in scores if score is not None]
            total = min(known, default=0.0) if self.how == "min" else sum(known)
            out.append(total if len(known) == len(scores) else None)
        return out

    def close(self) -> None:
        with ExitStack() as stack:  # all of them, also where closing one fails
            for _, part in self.parts:
                stack.callback(part.close)
