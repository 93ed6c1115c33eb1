"""Hard negatives: the flawed texts that fooled the judge, kept for later rounds and for whoever watches a training.

Refinement shows them to the judge again each round; those that still fool it are reflected on. The file is one of
labelled texts ({query, response, label 0, …}), so that every command that takes labels reads it.

They are the Generator's claim: it says that it hid a flaw, and nobody has checked. So they never count as labels in the
acceptance of principles or in a calibration.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from inkfire.records import Labelled
from inkfire.refine.forgeries import Forgery
from inkfire.search import near_duplicate

LIMIT = 50


@dataclass(frozen=True, slots=True)
class HardNegative:
    """``probability`` is the calibrated P(Good) that the judge gave it in ``round``."""

    query: str
    response: str
    flaw: str
    round: int
    probability: float

    @classmethod
    def of(cls, forgery: Forgery, round_number: int) -> HardNegative:
        """A forgery that fooled the judge."""
        given = None if forgery.verdict is None else forgery.verdict.probability
        return cls(forgery.query, forgery.text, forgery.flaw, round_number, 1.0 if given is None else given)

    def labelled(self) -> Labelled:
        return Labelled(self.query, self.response, 0, "adversary")

    def to_json(self) -> dict[str, Any]:
        return {
            "query": self.query,
            "response": self.response,
            "label": 0,
            "annotator": "adversary",
            "flaw": self.flaw,
            "round": self.round,
            "probability": self.probability,
        }


def best(found: Sequence[HardNegative], limit: int = LIMIT) -> list[HardNegative]:
    """The ``limit`` that the judge was surest of, without near-duplicates."""
    kept: list[HardNegative] = []
    for one in sorted(found, key=lambda one: -one.probability):
        if len(kept) < limit and not any(
            one.response == other.response or near_duplicate(one.response, other.response) for other in kept
        ):
            kept.append(one)
    return kept
