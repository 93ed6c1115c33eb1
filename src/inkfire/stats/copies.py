"""What texts have from other texts: the longest piece that was copied, and the nearest text.

>>> longest_copied(["may your day be bright"], ["I hope your day is long"], min_chars=6)[0]
Copy(length=10, piece=' your day ', source=0)
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from inkfire.stats.texts import fold, trigrams

_AT_ONCE = 20_000_000  # similarities held at once


class Copy(NamedTuple):
    """The longest piece of a text that is in another: its characters, itself, and the place of the other text."""

    length: int
    piece: str
    source: int | None


def longest_copied(texts: Sequence[str], corpus: Sequence[str], min_chars: int) -> list[Copy]:
    """For each text the longest piece that some text of ``corpus`` has; shorter than ``min_chars`` is chance: none."""
    least = max(1, min_chars)
    everything = {char for text in (*texts, *corpus) for char in text}
    border = next(char for char in map(chr, range(0xE000, 0x10FFFF)) if char not in everything)
    joined = border.join(corpus)
    starts, at = [], 0
    for text in corpus:
        starts.append(at)
        at += len(text) + 1
    pieces = {text[i : i + least] for text in corpus for i in range(len(text) - least + 1)}
    found = []
    for text in texts:
        length, start = _longest(text, joined, pieces, least)
        piece = text[start : start + length]
        source = bisect_right(starts, joined.find(piece)) - 1 if length else None
        found.append(Copy(length, piece, source))
    return found


def _longest(text: str, joined: str, pieces: set[str], least: int) -> tuple[int, int]:
    """(length, where it begins). Each search either lengthens the best or moves on; most starts need none."""
    best, begin = 0, 0
    for start in range(len(text)):
        if text[start : start + least] not in pieces:
            continue
        while start + (size := max(best, least - 1) + 1) <= len(text) and text[start : start + size] in joined:
            best, begin = size, start
    return best, begin


def nearest(texts: Sequence[str], corpus: Sequence[str]) -> list[tuple[float, int | None]]:
    """For each text the most similar one of ``corpus``: Jaccard similarity of character 3-grams, and its place."""
    from sklearn.feature_extraction.text import CountVectorizer

    if not texts or not corpus:
        return [(0.0, None)] * len(texts)
    vectorizer = CountVectorizer(analyzer=_grams, binary=True, dtype=np.int32)
    theirs: Any = vectorizer.fit_transform(corpus)
    ours: Any = vectorizer.transform(texts)
    sizes = np.array([len(set(_grams(text))) for text in texts])
    other = np.asarray(theirs.sum(axis=1)).ravel()
    found: list[tuple[float, int | None]] = []
    step = max(1, _AT_ONCE // len(corpus))
    for start in range(0, len(texts), step):
        shared = (ours[start : start + step] @ theirs.T).toarray()
        alike = shared / np.maximum(sizes[start : start + step, None] + other[None, :] - shared, 1)
        best = alike.argmax(axis=1)
        found += [(float(row[place]), int(place)) for row, place in zip(alike, best, strict=True)]
    return found


def _grams(text: str) -> list[str]:
    return trigrams(fold(text))
