"""Labelled texts shown to a judge before the one it judges.

Two choices. ``nearest``: the texts most like the one that is judged (by words, embeddings or both: ``search.py``), good
or bad as they come, the nearest last: how many of them are good tells a small judge more than as many good as bad ones
do (numbers in docs/judge.md). What their labels alone say stands beside such a judge as a twin (``measure.py``).
``fixed``: the same for every text, half of them good, drawn by the seed, so that a server's prefix cache serves all of
the prompt's beginning.

A text is never shown itself, a near-duplicate of itself or another answer to its own query. So one pool serves to fit a
calibration and to judge new texts: each text that is fitted on is judged as if it and its query were unknown.

    examples = Examples(tuple(labelled), n=8)
    await examples.pick("祝外婆八十大寿", "外婆，…")       # eight texts, the one most like it last
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from inkfire.errors import InputError
from inkfire.models.embeddings import Embedder
from inkfire.records import Example, Labelled, to_json
from inkfire.search import Ranker, Retrieval, merge_rankings, near_duplicate, rankers_of

Choice = Literal["nearest", "fixed"]


@dataclass(frozen=True)
class Examples:
    """``n`` texts of ``pool`` a prompt; without arguments there are none. Those with an ``embedder`` have to be
    :meth:`embedded` first.

    Raises:
        InputError: ``n`` is negative, or odd for the fixed choice, or the pool is too small: it must have n/2 texts of
            each class to fix, and n, of both classes, to find the nearest in.
    """

    pool: tuple[Labelled, ...] = ()
    n: int = 0
    choice: Choice = "nearest"
    seed: int = 0
    retrieval: Retrieval = "bm25"
    embedder: str | None = None

    def __post_init__(self) -> None:
        if self.n < 0 or (self.n % 2 and self.choice == "fixed"):
            raise InputError(f"{self.n} examples cannot be half good and half bad; use an even number")
        good = sum(row.label for row in self.pool)
        bad = len(self.pool) - good
        half = self.n // 2
        if self.choice == "fixed" and min(good, bad) < half:
            raise InputError(
                f"{self.n} examples need {half} good and {half} bad texts to choose from; there are {good} good and "
                f"{bad} bad ones"
            )
        if self.n and (min(good, bad) < 1 or len(self.pool) < self.n):
            raise InputError(
                f"{self.n} examples need as many texts to choose from, good and bad ones; there are {good} good and "
                f"{bad} bad ones"
            )

    def __len__(self) -> int:
        return self.n

    def without(self, queries: set[str]) -> Examples:
        """The same from a pool without the texts of ``queries``."""
        return dataclasses.replace(self, pool=tuple(row for row in self.pool if row.query not in queries))

    async def pick(self, query: str, *responses: str) -> list[Labelled]:
        """The nearest, the one most like the item last; or the fixed ones, good and bad in turn. Fewer than ``n`` where
        the item's own query takes too many of the pool away."""
        if self.choice == "nearest":
            return list(itertools.islice(await self._apart(query, responses), self.n))[::-1]
        good, bad = [await self._half(query, responses, label) for label in (1, 0)]
        return [row for pair in reversed(list(zip(good, bad, strict=False))) for row in pair]

    async def retrieve(self, query: str, *, exclude: str = "") -> list[Example]:
        """Good ones only, half as many, in the same order: for a debate, whose agents are shown good texts only."""
        nearest = await self._half(query, [exclude], 1)
        return [Example(row.query, row.response) for row in reversed(nearest)]

    async def good_shares(self, texts: Sequence[Labelled]) -> list[float] | None:
        """For each text the share of good ones among those that :meth:`pick` shows before it (0.5 where there are
        none); None where all texts are shown the same."""
        if not self.n or self.choice == "fixed":
            return None
        shown = [await self.pick(text.query, text.response) for text in texts]
        return [sum(row.label for row in rows) / len(rows) if rows else 0.5 for rows in shown]

    async def shown(self, query: str, *responses: str) -> list[dict[str, Any]]:
        """:meth:`pick` as prompts see it."""
        picked = await self.pick(query, *responses)
        return [{"query": row.query, "response": row.response, "label": row.label} for row in picked]

    def unshown(self, texts: Sequence[Labelled]) -> list[Labelled]:
        """``texts`` that meet a fixed choice as it is: those of other queries than its examples'.

        A calibration is fitted on these, so on the very prompt that is used later; and a server's prefix cache is not
        spoilt by texts that must not see an example. Where examples are chosen for each text, all of them.
        """
        if not self.n or self.choice != "fixed":
            return list(texts)
        of_label = ([row.query for row in self._shuffled if row.label == label] for label in (0, 1))
        shown = {query for queries in of_label for query in queries[: self.n // 2]}
        return [row for row in texts if row.query not in shown]

    async def _half(self, query: str, responses: Sequence[str], label: int) -> list[Labelled]:
        apart = await self._apart(query, responses)
        return list(itertools.islice((row for row in apart if row.label == label), math.ceil(self.n / 2)))

    async def _apart(self, query: str, responses: Sequence[str]) -> Iterator[Labelled]:
        """The pool without the item, the nearest first."""
        rows = await self._in_order(responses) if self.n else []
        return (row for row in rows if not _is_item(row, query, responses))

    async def _in_order(self, responses: Sequence[str]) -> list[Labelled]:
        if self.choice == "fixed":
            return self._shuffled
        text = "\n".join(responses)
        ranked = merge_rankings([await ranker.rank(text, len(self.pool)) for ranker in self._rankers])
        known = set(ranked)  # those without a word in common come after them, in the seed's order
        rest = [number for number in self._order if number not in known]
        return [self.pool[number] for number in (*ranked, *rest)]

    @cached_property
    def _rankers(self) -> list[Ranker]:
        return rankers_of(self.retrieval, [row.response for row in self.pool])

    def embedded(self, embedder: Embedder) -> Examples:
        """The same, found by an embedder that is open."""
        made = dataclasses.replace(self)
        rankers = rankers_of(self.retrieval, [row.response for row in self.pool], embedder)
        vars(made)["_rankers"] = rankers  # in the place of what would be made
        return made

    @cached_property
    def _order(self) -> list[int]:
        return random.Random(self.seed).sample(range(len(self.pool)), len(self.pool))

    @cached_property
    def _shuffled(self) -> list[Labelled]:
        return [self.pool[number] for number in self._order]

    def to_json(self) -> dict[str, Any]:
        pool = [to_json(row) for row in self.pool]
        found = {} if self.embedder is None else {"retrieval": self.retrieval, "embedder": self.embedder}
        return {"n": self.n, "choice": self.choice, "seed": self.seed, "pool": pool, **found}


NO_EXAMPLES = Examples()


def _is_item(row: Labelled, query: str, responses: Sequence[str]) -> bool:
    return row.query == query or any(near_duplicate(row.response, response) for response in responses)
