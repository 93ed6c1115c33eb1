"""What a frozen model that reads says of texts, with the start policy's own texts as its measure.

Likelihood under a model that was not trained tells drift, not quality: its own dull texts are the likeliest of all. So
as a part of a reward it is flat above where the start policy's better samples lie (:data:`LEVEL`), and as the check
``fluent`` it is a band around them (:data:`BAND`).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self, TypeVar

import numpy as np

from inkfire.errors import DataError
from inkfire.records import Candidate, Example, Identity

T = TypeVar("T")

LEVEL = 0.85
"""Quantile of the start samples above which fluency and relevance are flat. On rated samples of a 0.5B writer the
within-query correlation of likelihood with a reader's rating was 0.64 with a level at the 75 to 90 % quantile (0.65
without one), 0.61 at the median and 0.53 at the 25 % quantile."""
BAND = 0.05, 0.99
"""Quantiles of the reference texts between which a text is fluent."""
OTHERS = 3
"""Foreign queries that a text is held against."""


class Reader(Protocol):
    """A frozen model that reads (models/likelihood.py)."""

    def per_token(self, queries: Sequence[str], responses: Sequence[str]) -> list[float | None]: ...

    def relevance(
        self,
        queries: Sequence[str],
        responses: Sequence[str],
        others: Sequence[Sequence[str]],
        own: Sequence[float | None],
    ) -> list[float | None]: ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class Band:
    """Log-probability a token, in nats, from ``low`` to ``high``."""

    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float | None]) -> Self:
        """Around what reference texts have.

        Raises:
            DataError: none of them has a value.
        """
        low, high = (quantile(values, share) for share in BAND)
        if low is None or high is None:
            raise DataError("there is no text to be as fluent as: all of them are empty")
        return cls(low, high)

    def holds(self, value: float | None) -> bool:
        return value is not None and self.low <= value <= self.high

    def share(self, values: Sequence[float | None]) -> float | None:
        """How many of these values it holds; None of none."""
        return sum(map(self.holds, values)) / len(values) if values else None


@dataclass(frozen=True)
class Start:
    """What the start policy writes: the measure of fluency, relevance and novelty.

    Args:
        queries: those of the training, which a text is held against.
        fluency, relevance: where each flattens; None where it is not asked for.
        read_by: the model that reads, as the rewards that a policy is trained against are told apart.
    """

    responses: tuple[str, ...] = ()
    queries: tuple[str, ...] = ()
    fluency: float | None = None
    relevance: float | None = None
    band: Band | None = None
    read_by: tuple[Identity, ...] = ()


def passed(reader: Reader, band: Band, texts: Sequence[Candidate | Example]) -> dict[str, Any]:
    """``n`` texts and the ``share`` of them that are in the band: of references, of good texts, of damaged ones."""
    values = reader.per_token([text.query for text in texts], [text.response for text in texts])
    return {"n": len(texts), "share": band.share(values)}


def spaced(items: Sequence[T], n: int) -> list[T]:
    """``n`` of the items at equal distances, the first one among them; of fewer than ``n`` some come again.

    >>> spaced("abcdef", 3)
    ['a', 'c', 'e']
    """
    return [items[i * len(items) // n] for i in range(n)]


def quantile(values: Sequence[float | None], share: float) -> float | None:
    """Of those that are there; None of none."""
    known = [value for value in values if value is not None]
    return float(np.quantile(known, share)) if known else None


def others(query: str, response: str, pool: Sequence[str], seed: int) -> list[str]:
    """Queries of the pool that are not this one; the same for the same text."""
    foreign = [other for other in dict.fromkeys(pool) if other != query]
    return random.Random(f"{seed} {query} {response}").sample(foreign, min(OTHERS, len(foreign)))


def relevance(
    reader: Reader,
    queries: Sequence[str],
    responses: Sequence[str],
    pool: Sequence[str],
    seed: int,
    own: Sequence[float | None],
) -> list[float | None]:
    """How much likelier each text is after its own query than after :func:`others` of the pool, by what reads.

    Args:
        own: ``reader.per_token(queries, responses)``.
    """
    foreign = [others(query, text, pool, seed) for query, text in zip(queries, responses, strict=True)]
    return reader.relevance(queries, responses, foreign, own)
