"""Labelled texts shown to a judge before the one it judges: as many good ones as bad ones.

Two choices. ``nearest``: for each text those that are most like it (BM25 of query and text, as in strategy A), the
nearest last. ``fixed``: the same ones for every text, drawn by the seed, so that a server's prefix cache serves all of
the prompt's beginning.

A text is never shown itself, a near-duplicate of itself or another answer to its own query. So one pool serves to fit a
calibration and to judge new texts: each text that is fitted on is judged as if it and its query were unknown.

    examples = Examples(tuple(labelled), n=8)
    await examples.pick("祝外婆八十大寿", "外婆，…")       # [good, bad, …, good, bad], the nearest pair last
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from inkfire.agents.retrieve import BM25Ranker, near_duplicate
from inkfire.errors import InputError
from inkfire.records import Example, Labelled, to_json

Choice = Literal["nearest", "fixed"]


@dataclass(frozen=True)
class Examples:
    """``n`` texts of ``pool`` a prompt, half of them good; without arguments there are none.

    Raises:
        InputError: ``n`` is odd or negative, or the pool has fewer than n/2 texts of a class.
    """

    pool: tuple[Labelled, ...] = ()
    n: int = 0
    choice: Choice = "nearest"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.n < 0 or self.n % 2:
            raise InputError(f"{self.n} examples cannot be half good and half bad; use an even number")
        good = sum(row.label for row in self.pool)
        if self.n and min(good, len(self.pool) - good) < self.n // 2:
            raise InputError(
                f"{self.n} examples need {self.n // 2} good and {self.n // 2} bad texts to choose from; there are "
                f"{good} good and {len(self.pool) - good} bad ones"
            )

    def __len__(self) -> int:
        return self.n

    def without(self, queries: set[str]) -> Examples:
        """The same from a pool without the texts of ``queries``."""
        return dataclasses.replace(self, pool=tuple(row for row in self.pool if row.query not in queries))

    async def pick(self, query: str, *responses: str) -> list[Labelled]:
        """Good and bad in turn, the nearest last; fewer than ``n`` where the item's own query takes too many away."""
        if not self.n:
            return []
        kept: tuple[list[Labelled], list[Labelled]] = ([], [])
        for row in await self._in_order(query, *responses):
            of_class = kept[row.label]
            if len(of_class) < self.n // 2 and not _is_item(row, query, responses):
                of_class.append(row)
                if all(len(texts) == self.n // 2 for texts in kept):
                    break
        bad, good = kept
        return [row for pair in reversed(list(zip(good, bad, strict=False))) for row in pair]

    async def shown(self, query: str, *responses: str) -> list[dict[str, Any]]:
        """:meth:`pick` as prompts see it."""
        return [
            {"query": row.query, "response": row.response, "label": row.label}
            for row in await self.pick(query, *responses)
        ]

    def unshown(self, texts: Sequence[Labelled]) -> list[Labelled]:
        """``texts`` that meet a fixed choice as it is: those of other queries than its examples'.

        A calibration is fitted on these, so on the very prompt that is used later; and a server's prefix cache is not
        spoilt by texts that must not see an example. Where examples are chosen for each text, all of them.
        """
        if not self.n or self.choice != "fixed":
            return list(texts)
        shown: set[str] = set()
        for label in (0, 1):
            shown.update([row.query for row in self._shuffled if row.label == label][: self.n // 2])
        return [row for row in texts if row.query not in shown]

    async def _in_order(self, query: str, *responses: str) -> list[Labelled]:
        if self.choice == "fixed":
            return self._shuffled
        ranked = await self._ranker.rank("\n".join((query, *responses)), len(self.pool))
        known = set(ranked)  # those without a word in common come after them, in the seed's order
        rest = [number for number in self._order if number not in known]
        return [self.pool[number] for number in (*ranked, *rest)]

    @cached_property
    def _ranker(self) -> BM25Ranker:
        return BM25Ranker([f"{row.query}\n{row.response}" for row in self.pool])

    @cached_property
    def _order(self) -> list[int]:
        return random.Random(self.seed).sample(range(len(self.pool)), len(self.pool))

    @cached_property
    def _shuffled(self) -> list[Labelled]:
        return [self.pool[number] for number in self._order]

    def to_json(self) -> dict[str, Any]:
        return {
            "n": self.n,
            "choice": self.choice,
            "seed": self.seed,
            "pool": [to_json(row) for row in self.pool],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Examples:
        """The inverse of :meth:`to_json`; KeyError, TypeError or ValueError where it is not."""
        if data["choice"] not in ("nearest", "fixed"):
            raise ValueError(f"unknown choice of examples {data['choice']!r}")
        return cls(tuple(Labelled(**row) for row in data["pool"]), data["n"], data["choice"], data["seed"])


NO_EXAMPLES = Examples()


@dataclass(frozen=True)
class GoodExamples:
    """The good half of :class:`Examples`, for a debate, whose agents are shown good texts only."""

    examples: Examples

    async def retrieve(self, query: str, *, exclude: str = "") -> list[Example]:
        picked = await self.examples.pick(query, exclude)
        return [Example(row.query, row.response) for row in picked if row.label == 1]


def _is_item(row: Labelled, query: str, responses: tuple[str, ...]) -> bool:
    return row.query == query or any(
        row.response == response or near_duplicate(row.response, response) for response in responses
    )
