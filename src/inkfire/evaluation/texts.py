"""What policies wrote for the same queries: several texts a query, of one training or of several.

>>> texts = Texts.single([Query.of("a wish")], {"base": ["Be well."], "sft": [None]})
>>> [text.text for text in texts.of("base")], texts.missing("sft")
(['Be well.'], 1)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple, Self

from inkfire.errors import InputError
from inkfire.records import Query
from inkfire.stats.copies import Copy, longest_copied, nearest

Written = Sequence[Sequence[str | None]]
"""The texts of each query, in the order of the queries; None for one that did not come."""

CHANCE = 6
"""Pieces of fewer characters that two texts share are chance."""


class Text(NamedTuple):
    """A text that came: the number of its query, and of the training that its policy is from."""

    query: int
    seed: int
    text: str


@dataclass(frozen=True)
class Texts:
    """``written``: policy → the texts of each of its trainings (one, or several with different seeds).

    ``corpus`` are the texts that they may have been copied from, ``slop`` the phrases that too many texts have.

    Raises:
        InputError: no queries, or a policy that answered another number of them.
    """

    queries: Sequence[Query]
    written: Mapping[str, Sequence[Written]] = field(default_factory=dict)
    corpus: Sequence[str] = ()
    slop: Sequence[str] = ()

    def __post_init__(self) -> None:
        if not self.queries:
            raise InputError("there are no queries to compare policies on")
        for name, seeds in self.written.items():
            for texts in seeds:
                if len(texts) != len(self.queries):
                    raise InputError(f"policy {name!r} answered {len(texts)} of {len(self.queries)} queries")

    @classmethod
    def single(cls, queries: Sequence[Query], responses: Mapping[str, Sequence[str | None]]) -> Self:
        """One text a query and policy."""
        return cls(queries, {name: [[[text] for text in texts]] for name, texts in responses.items()})

    @cached_property
    def asked(self) -> list[str]:
        return [query.query for query in self.queries]

    @cached_property
    def _rows(self) -> dict[str, list[Text]]:
        return {
            name: [
                Text(i, seed, text)
                for seed, written in enumerate(seeds)
                for i, of_query in enumerate(written)
                for text in of_query
                if text is not None
            ]
            for name, seeds in self.written.items()
        }

    def of(self, policy: str) -> list[Text]:
        """The texts that came."""
        return self._rows[policy]

    def copies(self, policy: str) -> list[Copy]:
        """Of each text that came the longest piece that a text of the corpus has."""
        return self._beside_corpus[policy][0]

    def alike(self, policy: str) -> list[tuple[float, int | None]]:
        """Of each text that came its similarity to the nearest of the corpus, and the place of that."""
        return self._beside_corpus[policy][1]

    @cached_property
    def _beside_corpus(self) -> dict[str, tuple[list[Copy], list[tuple[float, int | None]]]]:
        """Looked for once, for all policies together."""
        every = [row.text for name in self.written for row in self.of(name)]
        copies, similar = longest_copied(every, self.corpus, CHANCE), nearest(every, self.corpus)
        found, at = {}, 0
        for name in self.written:
            end = at + len(self.of(name))
            found[name], at = (copies[at:end], similar[at:end]), end
        return found

    def missing(self, policy: str) -> int:
        """Queries of which there is no text."""
        return len(self.queries) - len({row.query for row in self.of(policy)})

    def first(self, policy: str, query: int) -> str | None:
        """The first text of a query."""
        return next((text for text in self.written[policy][0][query] if text is not None), None)
