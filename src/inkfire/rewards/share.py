"""Rewards that can be checked by hand: they show that the training loop learns, before a real reward is trusted.

>>> Share("!").score(["shout"], ["Hi!!"])
[0.5]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from inkfire.records import Identity
from inkfire.rewards.identity import check_identity


@dataclass(frozen=True)
class Share:
    """``share:X``: the share of a text's characters that are X (0 for an empty text)."""

    char: str
    threshold = None

    @property
    def name(self) -> str:
        return f"share:{self.char}"

    @property
    def identities(self) -> tuple[Identity, ...]:
        return (check_identity(self.name),)

    def score(
        self, queries: Sequence[str], responses: Sequence[str], *, truncated: Sequence[bool | None] | None = None
    ) -> list[float | None]:
        return [text.count(self.char) / len(text) if text else 0.0 for text in responses]

    def close(self) -> None:
        pass
