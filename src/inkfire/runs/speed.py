"""Seconds a text and a group of texts take a reward or a writer, as they stand in ``used.json``.

>>> of_texts([0.1, 0.2, 0.3])
{'texts_timed': 3, 'seconds_text_p50': 0.2, 'seconds_text_p95': 0.29}
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any

import numpy as np

from inkfire.judge.base import Took
from inkfire.records import Candidate, Labelled

GROUP = 8
"""Texts of one query that a reward is asked about at once, where a group is timed."""
_TEXTS = 40
FIELDS = ("texts_timed", "calls_text", *(f"seconds_{of}_{end}" for of in ("text", "group") for end in ("p50", "p95")))
"""What may be known of a reward's or writer's texts."""


def of_texts(seconds: Sequence[float]) -> dict[str, Any]:
    """The median and the 95th percentile of what each text took; nothing where none was timed."""
    return {"texts_timed": len(seconds), **_ends("text", seconds)} if seconds else {}


def _ends(what: str, seconds: Sequence[float]) -> dict[str, float]:
    middle, high = np.quantile(np.asarray(seconds, float), [0.5, 0.95])
    return {f"seconds_{what}_p50": round(float(middle), 6), f"seconds_{what}_p95": round(float(high), 6)}


def of_groups(seconds: Sequence[float]) -> dict[str, float]:
    """The same of groups."""
    return _ends("group", seconds) if seconds else {}


def of_verdicts(took: Took) -> dict[str, Any]:
    """What a judge's texts took of its models, one call after another; replies on file count as when they came."""
    asked = [entries for entries in took.values() if entries]
    calls = {"calls_text": sum(map(len, asked)) / len(asked)} if asked else {}
    return calls | of_texts([sum(entry.latency for entry in entries) for entries in asked])


class Clock:
    """Times texts as they are done: ``advance(4)`` shares what has gone by since the last time among four texts."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._last = time.perf_counter()

    def advance(self, count: int) -> None:
        now = time.perf_counter()
        self.seconds += [(now - self._last) / count] * count if count > 0 else []
        self._last = now


def timed(
    score: Callable[[Sequence[str], Sequence[str]], object], texts: Sequence[Candidate | Labelled]
) -> dict[str, Any]:
    """Ask a reward that calls no model elsewhere about up to 40 texts, one by one and then eight at once."""
    some = list(islice(texts, _TEXTS))
    one = Clock()
    for text in some:
        score([text.query], [text.response])
        one.advance(1)
    many = Clock()
    for start in range(0, len(some) - GROUP + 1, GROUP):
        group = some[start : start + GROUP]
        score([group[0].query] * GROUP, [text.response for text in group])
        many.advance(1)
    return of_texts(one.seconds) | of_groups(many.seconds)
