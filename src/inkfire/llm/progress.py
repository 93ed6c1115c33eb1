"""How long work tells how it goes: to whoever watches, or to nobody. What draws bars is ``runs.progress``.

watcher.note("round 1: 4 forgeries, 3 caught")
with watcher.bars("judge", len(texts)) as bar:
    bar.advance(failed=not verdict.scored)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Bar(Protocol):
    def advance(self, n: int = 1, failed: int = 0) -> None:
        """``n`` more items are done, ``failed`` of them without a result."""


Bars = Callable[[str, int], AbstractContextManager[Bar]]
"""(what is done, how many items) → a bar for it."""


class _NoBar:
    def advance(self, n: int = 1, failed: int = 0) -> None:
        pass


@contextmanager
def no_bars(label: str, total: int) -> Iterator[Bar]:
    """Where nobody looks."""
    yield _NoBar()


def no_notes(message: str) -> None:
    """Where nobody reads."""
