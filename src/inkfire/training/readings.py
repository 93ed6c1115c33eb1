"""What is read of the texts of a step without any model: a number a text, which a step's mean is taken of.

None of them moves by itself when steps have more texts, or longer ones: distinct-n does, so what texts have in common
is read as the share of a text's pairs of units that another text has.
"""

from __future__ import annotations

import math
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

import numpy as np

from inkfire.records import Rollout
from inkfire.rewards.group import own_share
from inkfire.rewards.reading import Band, spaced
from inkfire.rewards.writing import finished, loops
from inkfire.stats.slop import Slop, of_script
from inkfire.stats.texts import is_mixed, main_script, units

Values = list[float | None]
_QUERIES = 64
_EMOJI = 3


class Readings:
    """Reads texts as the texts of a baseline want it: their script with its stock phrases, their queries, their band of
    likelihood.

    Args:
        baseline: texts of the policy before anything went wrong.
    """

    def __init__(self, baseline: Sequence[Rollout]):
        self._script = main_script([text.response for text in baseline])
        self._slop = Slop(of_script(self._script))
        queries = sorted({text.query for text in baseline})
        holders = Counter(unit for query in queries for unit in set(units(query)))
        self._weight = {unit: math.log((len(queries) + 1) / count) for unit, count in holders.items()}
        self._rare = math.log(len(queries) + 1)
        self._asked = {query: self._weights(query) for query in spaced(queries, min(_QUERIES, len(queries)))}
        known = [text.fluency for text in baseline if text.fluency is not None]
        self._band = Band.of(known) if known else None

    def of(self, texts: Sequence[Rollout], recent: Sequence[Rollout]) -> dict[str, Values]:
        """A column a reading, in the order of the texts.

        Args:
            recent: the texts that these are held against for what they have in common, these among them.
        """
        alone: dict[str, Callable[[Rollout], float | None]] = {
            "length": lambda text: math.log(max(1, len(text.response))),
            "truncated": lambda text: None if text.truncated is None else float(text.truncated),
            "unfinished": lambda text: float(not finished(text.response)),
            "loops": lambda text: float(loops(text.response)),
            "script": lambda text: float(self._script is not None and is_mixed(text.response, self._script, 0.1)),
            "emoji": lambda text: float(emoji(text.response) >= _EMOJI),
            "slop": lambda text: float(bool(self._slop.found(text.response))) if self._slop else None,
            "on_query": self._on_query,
            "outside_band": self._outside,
            "relevance": lambda text: text.relevance,
        }
        columns = {name: [read(text) for text in texts] for name, read in alone.items()}
        return columns | {"shared": shared(texts, recent), "own_share": _own_share(texts)}

    def _on_query(self, text: Rollout) -> float | None:
        """The share of the baseline's queries whose words the text has fewer of than of its own query's.

        0.5 is chance. Words weigh as in BM25, by how few queries have them.
        """
        words = set(units(text.response))
        own = _covered(self._weights(text.query), words)
        others = [_covered(asked, words) for query, asked in self._asked.items() if query != text.query]
        return sum((own > other) + (own == other) / 2 for other in others) / len(others) if others else None

    def _weights(self, query: str) -> dict[str, float]:
        return {unit: self._weight.get(unit, self._rare) for unit in units(query)}

    def _outside(self, text: Rollout) -> float | None:
        if self._band is None or text.fluency is None:
            return None
        return float(not self._band.holds(text.fluency))


def emoji(text: str) -> int:
    """How many pictures and symbols are in a text.

    >>> emoji("生日快乐🎂🎉，好！"), emoji("5 > 4")
    (2, 0)
    """
    return sum(unicodedata.category(char) == "So" for char in text)


def shared(texts: Sequence[Rollout], recent: Sequence[Rollout]) -> Values:
    """For each text the mean share of its pairs of units that a recent text of another query has, 0 to 1.

    What its own query says does not count. None where there is no other query.
    """
    everywhere: Counter[tuple[str, str]] = Counter()
    of_query: dict[str, Counter[tuple[str, str]]] = defaultdict(Counter)
    sizes = Counter(text.query for text in recent)
    for text in recent:
        pairs = _pairs(text)
        everywhere.update(pairs)
        of_query[text.query].update(pairs)
    out: Values = []
    for text in texts:
        pairs, n = _pairs(text), len(recent) - sizes[text.query]
        found = sum(everywhere[pair] - of_query[text.query][pair] for pair in pairs)
        out.append(found / (len(pairs) * n) if pairs and n else None)
    return out


def _pairs(text: Rollout) -> set[tuple[str, str]]:
    return {*pairwise(units(text.response))} - {*pairwise(units(text.query))}


def _covered(asked: Mapping[str, float], words: set[str]) -> float:
    """Share of the weight of a query's words that a text has."""
    whole = sum(asked.values())
    return sum(asked[unit] for unit in asked.keys() & words) / whole if whole else 0.0


def _own_share(texts: Sequence[Rollout]) -> Values:
    """:func:`own_share` within the texts of each query; None for a text that is alone."""
    out: Values = [None] * len(texts)
    for places in groups(texts).values():
        if len(places) > 1:
            for i, share in zip(places, own_share([texts[i].response for i in places]), strict=True):
                out[i] = share
    return out


def groups(texts: Sequence[Rollout]) -> dict[tuple[int, str], list[int]]:
    """The places of the texts of each query and step."""
    found: dict[tuple[int, str], list[int]] = defaultdict(list)
    for i, text in enumerate(texts):
        found[text.step, text.query].append(i)
    return found


def group_means(columns: Mapping[str, Values], texts: Sequence[Rollout]) -> dict[str, list[float]]:
    """Each reading's means over the texts of a query: these are independent, the texts of a query are not."""
    out: dict[str, list[float]] = {name: [] for name in columns}
    for places in groups(texts).values():
        for name, column in columns.items():
            if known := [value for i in places if (value := column[i]) is not None]:
                out[name].append(float(np.mean(known)))
    return out
