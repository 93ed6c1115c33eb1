"""How far long work is: rate, time left, cost and failures so far.

A bar on a terminal; elsewhere (a log file, CI) a plain line at most every ten seconds and one at the end. Always on
standard error, so that standard output stays the command's result.

    with Progress("curate", total=len(queries), stats=ledger.stats) as progress:
        async for transcript in ordered(...):
            progress.advance(failed=transcript.verdict.scored is False)
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Self, TextIO

from inkfire.llm.prices import CURRENCY

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

_EVERY = 10.0  # seconds between plain lines


class Progress:
    """A context manager; ``advance`` for each item that is done.

    Args:
        label: what is being done, in a word or two.
        total: the number of items, None where it is not known.
        stats: numbers so far, usually ``Ledger.stats``: its ``cost`` and ``cached`` are shown.
        stream: where to write, standard error by default.
    """

    def __init__(
        self,
        label: str,
        total: int | None,
        *,
        stats: Callable[[], Mapping[str, Any]] | None = None,
        stream: TextIO | None = None,
    ) -> None:
        self._label = label
        self._total = total
        self._stats = stats
        self._stream = stream or sys.stderr
        self._bar: Bar | None = None
        self.done = 0
        self.failed = 0
        self._told: tuple[int, int] | None = None

    def __enter__(self) -> Self:
        self._start = self._said = time.monotonic()
        if self._stream.isatty():
            self._bar = _bar(self._stream)
            self._row = self._bar.add_task(self._label, total=self._total, numbers="")
            self._bar.start()
        return self

    def advance(self, n: int = 1, failed: int = 0) -> None:
        """``n`` more items are done, ``failed`` of them without a result."""
        self.done += n
        self.failed += failed
        if self._bar is not None:
            self._bar.update(self._row, completed=self.done, numbers=self._numbers())
        elif time.monotonic() - self._said >= _EVERY:
            self._say()

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.update(self._row, completed=self.done, numbers=self._numbers())
            self._bar.stop()
        elif self._told != (self.done, self.failed):
            self._say()

    def _say(self) -> None:
        self._said, self._told = time.monotonic(), (self.done, self.failed)
        seconds = self._said - self._start
        of = f"/{self._total} ({100 * self.done / self._total:.0f} %)" if self._total else ""
        parts = [f"{self._label}: {self.done}{of}", f"{_duration(seconds)} elapsed"]
        if self._total and 0 < self.done < self._total:
            parts.append(f"{_duration(seconds / self.done * (self._total - self.done))} left")
        print(", ".join(filter(None, [*parts, self._numbers()])), file=self._stream, flush=True)

    def _numbers(self) -> str:
        seconds = time.monotonic() - self._start
        stats = self._stats() if self._stats is not None else {}
        parts = [_rate(self.done / seconds)] if self.done and seconds > 0 else []
        parts += [f"{stats['cached']} cached"] if stats.get("cached") else []
        parts += _cost(stats)
        failed = max(self.failed, stats.get("failures", 0))
        parts += [f"{failed} failed"] if failed else []
        return ", ".join(parts)


def _rate(a_second: float) -> str:
    """``280 a second``, ``4.2 s each``, ``3:05 each``."""
    if a_second >= 1:
        return f"{a_second:,.0f} a second" if a_second >= 9.95 else f"{a_second:.2g} a second"
    each = 1 / a_second
    return f"{_duration(each)} each" if round(each) >= 60 else f"{each:.2g} s each"


def _cost(stats: Mapping[str, Any]) -> list[str]:
    cost, currency = stats.get("cost", 0.0), stats.get("currency", CURRENCY)
    if cost is None:
        known = stats.get("cost_known")
        return [f"cost unknown ({known:.4f} {currency} known)" if known else "cost unknown"]
    return [f"cost {cost:.4f} {currency}"] if cost else []


def _bar(stream: TextIO) -> Bar:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[numbers]}"),
    )
    return Bar(*columns, console=Console(file=stream))


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
