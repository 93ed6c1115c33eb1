"""One curation in parts: which queries a shard has.

A shard i/n has the queries whose hash leaves i - 1 when divided by n: neither the order of the input nor the machine
decides.

>>> shard = Shard.parse("2/4")
>>> [query.query for query in map(Query.of, "abcdefgh") if shard.owns(query)]
['b', 'h']
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Self

from inkfire.errors import InputError
from inkfire.records import Query


@dataclass(frozen=True, slots=True)
class Shard:
    """Part ``index`` of ``of``, counted from 1."""

    index: int
    of: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """``2/8`` → the second of eight.

        Raises:
            InputError: anything else.
        """
        parts = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
        index, of = map(int, parts.groups()) if parts else (0, 0)
        if not 1 <= index <= of:
            raise InputError(f"--shard {text!r}: write i/n with i from 1 to n, for instance 2/8")
        return cls(index, of)

    def owns(self, query: Query) -> bool:
        return query.number % self.of == self.index - 1


def distinct(queries: Iterable[Query]) -> Iterator[Query]:
    """Each query once, where it comes first."""
    seen: set[int] = set()
    for query in queries:
        if query.number not in seen:
            seen.add(query.number)
            yield query
