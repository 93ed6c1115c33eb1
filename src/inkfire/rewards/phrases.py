"""Phrases that spread: what a policy has come to say to every query.

A favourite phrase spreads across prompts, where nothing that looks at the texts of one query can see it. Here the share
of the last texts that hold a phrase is compared with its share among the policy's texts at the start.

>>> spread = Phrases(["a red kite", "tea at four", "the long way home", "rain again"])
>>> spread.see(["q"] * 4, ["like a spring breeze"] * 4)
>>> spread.growth("q", "like a spring breeze") > 0.5, spread.growth("q", "tea at four")
(True, 0.0)
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Sequence

from inkfire.stats.texts import units

LONGEST = 6
"""Units (characters of Chinese, words of English) in the longest phrase that is looked at."""

Phrase = tuple[str, ...]


class Phrases:
    """Shares of texts that hold a phrase, now and at the start. A phrase of the text's own query does not count.

    Args:
        start: texts of the policy before it was trained.
        window: how many of the last texts are "now".
    """

    def __init__(self, start: Sequence[str], window: int = 256):
        self._start = Counter(phrase for text in start for phrase in phrases_of(text))
        self._n_start = len(start)
        self._texts: deque[set[Phrase]] = deque()
        self._window = window
        self._now: Counter[Phrase] = Counter()

    def see(self, queries: Sequence[str], responses: Sequence[str]) -> None:
        """Texts that were just written."""
        for query, response in zip(queries, responses, strict=True):
            phrases = phrases_of(response) - phrases_of(query)
            self._texts.append(phrases)
            self._now.update(phrases)
            if len(self._texts) > self._window:
                self._now.subtract(self._texts.popleft())

    def growth(self, query: str, response: str) -> float:
        """How much more frequent than at the start the phrase of a response has become that grew most, 0 to 1.

        What chance explains (two standard errors of both shares) is taken off.
        """
        return max((self._grown(phrase) for phrase in phrases_of(response) - phrases_of(query)), default=0.0)

    def spreading(self, n: int = 5) -> list[tuple[str, float, float]]:
        """(phrase, share at the start, share now) of those that grew most; a part of a longer one is left out."""
        order = sorted(self._now, key=lambda phrase: (-round(self._grown(phrase), 3), -len(phrase)))
        kept: list[Phrase] = []
        for phrase in order[: 50 * n]:
            if self._grown(phrase) > 0 and not any(inside(phrase, longer) for longer in kept):
                kept.append(phrase)
            if len(kept) == n:
                break
        return [(joined(phrase), self._share_at_start(phrase), self._share(phrase)) for phrase in kept]

    def _grown(self, phrase: Phrase) -> float:
        now, before = self._share(phrase), self._share_at_start(phrase)
        error = math.sqrt(variance(now, len(self._texts)) + variance(before, self._n_start))
        return max(0.0, now - before - 2 * error)

    def _share(self, phrase: Phrase) -> float:
        return self._now[phrase] / len(self._texts) if self._texts else 0.0

    def _share_at_start(self, phrase: Phrase) -> float:
        return self._start[phrase] / self._n_start if self._n_start else 0.0


def variance(share: float, n: int) -> float:
    """Of a share, by Agresti and Coull's estimate: never 0, so that one text among few is no trend."""
    if n == 0:
        return 0.0
    middle = (share * n + 2) / (n + 4)
    return middle * (1 - middle) / (n + 4)


def phrases_of(text: str) -> set[Phrase]:
    """The runs of 1 to :data:`LONGEST` units in a text."""
    row = units(text)
    return {tuple(row[i : i + size]) for size in range(1, LONGEST + 1) for i in range(len(row) - size + 1)}


def inside(short: Phrase, long: Phrase) -> bool:
    """Whether a phrase is a part of another."""
    return any(long[i : i + len(short)] == short for i in range(len(long) - len(short) + 1))


def joined(phrase: Phrase) -> str:
    """A phrase as it is written."""
    return ("" if all(ord(unit[0]) > 0x2E7F for unit in phrase) else " ").join(phrase)
