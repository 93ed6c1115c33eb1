"""Stock phrases: what language models write whatever they are asked, and how much of a text is made of it.

The lists (``stats/slop/zh.txt`` and ``en.txt``) are the project's own; each says how it was made. A task may add its
own ``slop.txt``. Phrases are matched as runs of units (characters of Chinese, words of English), the longest first.

>>> Slop(["like a gentle breeze"]).found("Like a gentle breeze, love comes.")
['like a gentle breeze']
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib import resources
from pathlib import Path

from inkfire.files.jsonl import numbered_lines
from inkfire.stats.texts import units

LANGUAGES = ("en", "zh")
_OF_SCRIPT = {"han": "zh", "latin": "en"}


def stock_phrases(language: str) -> list[str]:
    """The list of a language; [] where there is none."""
    if language not in LANGUAGES:
        return []
    with resources.as_file(resources.files("inkfire.stats") / "slop" / f"{language}.txt") as path:
        return read_phrases(path)


def of_script(script: str | None) -> list[str]:
    """The list for texts in a script (``texts.main_script``)."""
    return stock_phrases(_OF_SCRIPT.get(script or "", ""))


def read_phrases(path: Path) -> list[str]:
    """The phrases of a file, one a line; a line that begins with # is none.

    Raises:
        DataError: the file cannot be read, or is not UTF-8 (the line is named).
    """
    return [line for _, line in numbered_lines(path) if not line.startswith("#")]


class Slop:
    """Finds the phrases of a list in texts."""

    def __init__(self, phrases: Iterable[str]):
        self._phrases: dict[str, dict[tuple[str, ...], str]] = {}
        for phrase in phrases:
            row = tuple(units(phrase))
            if row:
                self._phrases.setdefault(row[0], {})[row] = phrase
        self._sizes = {first: sorted({len(row) for row in rows}, reverse=True) for first, rows in self._phrases.items()}

    def __bool__(self) -> bool:
        return bool(self._phrases)

    def found(self, text: str) -> list[str]:
        """The phrases in a text, in their order, none within another."""
        row, at, found = units(text), 0, []
        while at < len(row):
            size = self._at(row, at)
            if size:
                found.append(self._phrases[row[at]][tuple(row[at : at + size])])
            at += size or 1
        return found

    def per_hundred(self, text: str) -> float:
        """Phrases a hundred units of the text."""
        return 100 * len(self.found(text)) / max(1, len(units(text)))

    def _at(self, row: Sequence[str], at: int) -> int:
        """Units of the longest phrase that begins here; 0 for none."""
        known = self._phrases.get(row[at])
        if known is None:
            return 0
        return next((size for size in self._sizes[row[at]] if tuple(row[at : at + size]) in known), 0)
