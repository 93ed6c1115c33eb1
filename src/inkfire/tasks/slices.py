"""Kinds of requests that are counted apart. A query is of the slice that a tag of it names; without such a tag, of the
first one whose words or pattern it has.

    [slices.high-frequency]
    description = "Festivals"
    words = ["Christmas", "Eid"]         # whole words, in any case; Chinese ones anywhere

    [slices.general]
    description = "All others"
    pattern = "."                        # a regular expression, found anywhere in the query

    [slices]
    short = "Requests of a line"         # by tags alone
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, field_validator

from inkfire.records import Query
from inkfire.settings import Strict
from inkfire.stats.texts import units

OTHER = "other"
"""The slice of the queries that are in none of the task's."""

Text = Annotated[str, Field(min_length=1)]


class Slice(Strict):
    """What a slice holds, and how its queries are known where no tag says so."""

    description: Text
    words: tuple[Text, ...] = ()
    pattern: str | None = None

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str | None) -> str | None:
        try:
            re.compile(pattern or "")
        except re.error as problem:
            raise ValueError(f"no regular expression: {problem}") from None
        return pattern

    @field_validator("words")
    @classmethod
    def _are_words(cls, words: tuple[str, ...]) -> tuple[str, ...]:
        if empty := [word for word in words if not units(word)]:
            raise ValueError(f"{empty[0]!r} is no word")
        return words

    @cached_property
    def _units(self) -> dict[str, list[str]]:
        return {word: units(word) for word in self.words}

    def found(self, query: str) -> list[str]:
        """Those of its words that a query has."""
        has = units(query)
        return [
            word
            for word, parts in self._units.items()
            if parts[0] in has and any(has[at : at + len(parts)] == parts for at in range(len(has)))
        ]

    def holds(self, query: str) -> bool:
        matches = self.pattern is not None and re.search(self.pattern, query, re.IGNORECASE) is not None
        return matches or bool(self.found(query))


def _described(value: Any) -> Any:
    if not isinstance(value, dict):
        return {"description": value}
    # What went through a validator is Python's, where strict types let no list be a tuple.
    return {key: tuple(each) if isinstance(each, list) else each for key, each in value.items()}


Slices = dict[str, Annotated[Slice, BeforeValidator(_described)]]


def slice_of(query: Query, slices: Mapping[str, Slice]) -> str:
    """The slice of a query: see the top of this file."""
    tagged = (tag for tag in query.tags if tag in slices)
    known = (name for name, one in slices.items() if one.holds(query.query))
    return next(tagged, None) or next(known, OTHER)


def coverage(queries: Iterable[Query], slices: Mapping[str, Slice]) -> dict[str, Any]:
    """Which occasions distinct queries are about: ``n`` queries, of each of the ``slices``, and of each of the slices'
    ``words`` that they have, the most frequent first; ``missing`` are the words that none has."""
    distinct = {query.query: query for query in queries}.values()
    words = Counter(word for query in distinct for one in slices.values() for word in one.found(query.query))
    listed = dict.fromkeys(word for one in slices.values() for word in one.words)
    return {
        "n": len(distinct),
        "slices": dict(Counter(slice_of(query, slices) for query in distinct).most_common()),
        "words": dict(words.most_common()),
        "missing": [word for word in listed if word not in words],
    }


def say_coverage(found: Mapping[str, Any]) -> str:
    """:func:`coverage` in a sentence or two."""
    of = ", ".join(f"{name} {n}" for name, n in found["slices"].items())
    said = f"The {found['n']} queries are of these slices: {of}."
    words, missing = found["words"], found["missing"]
    if not words and not missing:
        return said
    most = f" (most often {', '.join(f'{word} {n}' for word, n in list(words.items())[:5])})" if words else ""
    return f"{said} Of {len(words) + len(missing)} occasions that the task lists {len(words)} are named{most}."
