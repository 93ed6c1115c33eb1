"""A reward that says what it is told to, remembers what it was asked, and can be held up."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import groupby

from inkfire.records import Identity


def with_group(query: str, response: str, size: int) -> float:
    """Tells the size of the group that a text was seen in: 1000 a text, and its own length."""
    return 1000.0 * size + len(response)


class ScriptedReward:
    """``rule`` takes a query, a response and how many texts of that query stand side by side."""

    name = "scripted"
    threshold = None
    identities: tuple[Identity, ...] = ()

    def __init__(self, rule: Callable[[str, str, int], float | None] = with_group):
        self.rule = rule
        self.calls: list[list[str]] = []
        self.truncated: list[bool | None] = []
        self.unscored: Counter[str] = Counter()
        self.go = threading.Event()
        self.go.set()

    def score(
        self, queries: Sequence[str], responses: Sequence[str], *, truncated: Sequence[bool | None] | None = None
    ) -> list[float | None]:
        self.calls.append(list(responses))
        self.truncated += truncated or ()
        assert self.go.wait(20)
        out: list[float | None] = []
        left = iter(responses)
        for query, of_query in groupby(queries):
            size = len(list(of_query))
            out += [self.rule(query, next(left), size) for _ in range(size)]
        return out

    def close(self) -> None:
        pass
