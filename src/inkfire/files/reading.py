"""How a user's files are read: which columns and labels are meant, which part of a data set, what to leave out.

Every command with data takes these as options; they are part of what a run is.

>>> Reading(column=("query=Ask",), label=("good=1", "bad=0")).names
{'query': 'Ask'}
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

from inkfire.errors import InputError
from inkfire.records import Label
from inkfire.settings import nearest, option, settings

Data = tuple[Path, ...]
"""Files, or folders of a data set, whose rows follow each other: the type of an option that names data."""

COLUMNS = (
    "query", "prompt", "instruction", "input", "conversations", "messages", "system", "history",
    "response", "output", "completion", "completions", "responses", "chosen", "rejected",
    "label", "score", "scores", "clicks", "tags", "source", "annotator", "provenance",
)  # fmt: skip
"""The names of columns that mean something here."""


@settings
class Reading:
    """How data files are read."""

    column: Annotated[tuple[str, ...], option(several=True)] = ()
    """query=Ask: the data's name of a column that is called otherwise here."""
    label: Annotated[tuple[str, ...], option(several=True)] = ()
    """good=1 bad=0: which of the data's labels are good and bad."""
    split: str | None = None
    """The part of a data set's folder to read, say train."""
    system: Literal["refuse", "drop"] = "refuse"
    """drop: leave out the one system turn that all rows have in common."""
    strip_prefix: str = ""
    """What every query begins with and is no part of it."""

    def to_json(self) -> dict[str, Any]:
        """What of it is not the default: nothing, where files are read as they stand."""
        return {
            one.name: list(value) if isinstance(value, tuple) else value
            for one in dataclasses.fields(self)
            if (value := getattr(self, one.name)) != one.default
        }

    @property
    def names(self) -> dict[str, str]:
        """Our name of a column → the data's.

        Raises:
            InputError: no pair of names, or a column that means nothing here.
        """
        out = {}
        for pair in self.column:
            ours, _, theirs = pair.partition("=")
            inside = theirs.partition("=")[0].rpartition(",")[2]
            if not theirs or (ours not in COLUMNS and theirs in COLUMNS) or inside in COLUMNS:
                raise InputError(f"--column {pair!r}: write OURS=THEIRS, for instance --column query=Ask response=Text")
            if ours not in COLUMNS:
                raise InputError(f"--column {pair!r}: unknown column{nearest(ours, COLUMNS)}")
            out[ours] = theirs
        return out

    @property
    def words(self) -> dict[str, Label]:
        """The data's labels → 1 or 0.

        Raises:
            InputError: what a label stands for is neither.
        """
        out: dict[str, Label] = {}
        for pair in self.label:
            word, _, value = pair.rpartition("=")
            if not word or value not in ("0", "1"):
                raise InputError(f"--label {pair!r}: write the data's word and then 1 or 0: --label good=1 bad=0")
            out[word] = 1 if value == "1" else 0
        return out


AS_IT_STANDS = Reading()


@contextmanager
def quietly() -> Iterator[None]:
    """What a command said of its files when it read them is not said again."""
    log = logging.getLogger("inkfire.files")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(before)
