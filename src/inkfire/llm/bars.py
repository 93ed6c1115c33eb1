"""How long work tells how far it is, to a bar of progress or to nobody."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Bar(Protocol):
    """The part of ``llm.progress.Progress`` that is used here."""

    def advance(self, n: int = 1, failed: int = 0) -> None: ...


Bars = Callable[[str, int], AbstractContextManager[Bar]]
"""(what is done, how many items) → a bar for it."""


class _NoBar:
    def advance(self, n: int = 1, failed: int = 0) -> None:
        pass


@contextmanager
def no_bars(label: str, total: int) -> Iterator[Bar]:
    """Where nobody looks."""
    yield _NoBar()
