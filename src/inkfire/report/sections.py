"""What a page is made of: a finding, and sections of words, a table, figures and sample texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from inkfire.report import figures

_LONGEST = 1500
"""Characters of a sample text that are shown; its file has all."""


@dataclass(frozen=True, slots=True)
class Table:
    """``rows`` of cells, as long as ``head``; a row's first cell names it."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Figure:
    """Inline SVG, of our own drawing, and what is said beneath it."""

    svg: str
    caption: str = ""


@dataclass(frozen=True, slots=True)
class Sample:
    """A text beside what was said of it: (what it is, the text) in ``parts``."""

    title: str
    parts: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Section:
    title: str
    words: Sequence[str] = ()
    table: Table | None = None
    figures: Sequence[Figure] = ()
    samples: Sequence[Sample] = ()

    @property
    def empty(self) -> bool:
        return not (self.words or self.figures or self.samples or (self.table and self.table.rows))


@dataclass(frozen=True, slots=True)
class Page:
    """``headline`` is the finding, ``words`` what belongs to it, ``warnings`` what a reader must not overlook."""

    headline: str
    words: Sequence[str] = ()
    warnings: Sequence[str] = ()
    sections: Sequence[Section] = ()


def shown(text: str) -> str:
    """A sample text, cut where it is very long."""
    if not text.strip():
        return "(empty)"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} … ({len(text)} characters)"


def dots(numbers: Mapping[str, Any], names: Mapping[str, str], what: str, chance: float = 0.5) -> list[Figure]:
    """One figure of those of ``names`` (name → label) that have an interval; none where none has."""
    rows = [
        (label, what, numbers[name], bounds)
        for name, label in names.items()
        if numbers.get(name) is not None and (bounds := numbers.get(f"{name}_ci")) and None not in bounds
    ]
    caption = f"The dashed line, {chance:g}, is chance." if chance else "The dashed line is no change."
    return [Figure(figures.estimates(rows, what, chance), caption)] if rows else []
