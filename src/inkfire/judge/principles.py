"""S_D, the judge's principles: at most ten rules for telling a good text from a bad one, each with its history.

A set never changes: refinement makes a new one. Its version is a hash of the rules' texts, so the same rules have the
same version whoever wrote them, and a verdict that names a version says by which rules it was given. The file is
meant to be edited by hand; a rule that was edited keeps its history, and the set gets another version.

>>> from inkfire.judge.principles import Principles
>>> Principles.of(["It fits the occasion.", "It is not a cliché."]).texts
('It fits the occasion.', 'It is not a cliché.')

S_G, the generator's flaw strategies, has the same form.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tomli_w
from pydantic import Field

from inkfire.errors import DataError, InputError
from inkfire.files.jsonl import atomic
from inkfire.records import text_id, to_json
from inkfire.settings import Strict, load_toml
from inkfire.stats.intervals import Interval

LIMIT = 10
"""Rules of a set (PAPER: at most ten)."""

Origin = Literal["task", "adversarial", "reflection", "hand"]


@dataclass(frozen=True, slots=True)
class Principle:
    """One rule, with the field names of principles.toml and judge.json.

    ``origin`` is the phase that proposed it (``task``: it came with the task); ``round`` counts from 1, 0 is before
    refinement. ``because`` are the ids (``text_id`` of the response) of the counter-examples that led to it, ``why``
    what was said of them. ``effect`` is the change of AUC on the validation texts by the candidate set that brought the
    rule in; ``contribution`` what the set's AUC there loses without the rule, each with its interval and number of
    texts; ``tokens`` what the rule adds to a prompt. None: not measured.
    """

    text: Annotated[str, Field(min_length=1)]
    origin: Origin = "hand"
    round: Annotated[int, Field(ge=0)] = 0
    because: tuple[str, ...] = ()
    why: str = ""
    effect: float | None = None
    effect_ci: tuple[float, float] | None = None
    effect_n: int | None = None
    contribution: float | None = None
    contribution_ci: tuple[float, float] | None = None
    contribution_n: int | None = None
    tokens: int | None = None

    def __post_init__(self) -> None:
        for name in ("effect", "contribution"):
            if len({getattr(self, f"{name}{end}") is None for end in ("", "_ci", "_n")}) > 1:
                raise ValueError(f"{name}, {name}_ci and {name}_n go together")

    def measured(self, name: Literal["effect", "contribution"], found: Interval) -> Principle:
        """The rule with one of its numbers, to four digits; as it is where nothing could be computed."""
        if math.isnan(found.estimate):
            return self
        interval = (round(found.low, 4), round(found.high, 4))
        numbers = {name: round(found.estimate, 4), f"{name}_ci": interval, f"{name}_n": found.n}
        return dataclasses.replace(self, **numbers)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Principles:
    """A set of rules. ``parent`` is the version it was made from, empty for a first set."""

    items: Annotated[tuple[Principle, ...], Field(alias="principles")]
    parent: str = ""

    def __post_init__(self) -> None:
        if not 1 <= len(self.items) <= LIMIT:
            raise InputError(f"a set holds 1 to {LIMIT} principles, not {len(self.items)}")

    @classmethod
    def of(cls, texts: Sequence[str]) -> Principles:
        """A first set, as a task brings it."""
        return cls(tuple(Principle(text, origin="task") for text in texts))

    @property
    def texts(self) -> tuple[str, ...]:
        return tuple(item.text for item in self.items)

    @property
    def version(self) -> str:
        return text_id("\n".join(self.texts))

    def to_json(self) -> dict[str, Any]:
        rules = [to_json(item) for item in self.items]
        return {"version": self.version, "parent": self.parent, "principles": rules}

    def write(self, path: Path, *, task: str) -> None:
        """Write a file that a person can read and edit."""
        on_one_line = "".join(letter if letter.isprintable() else " " for letter in task)
        head = (
            f"# The rules by which the judge of {on_one_line} tells good from bad, at most {LIMIT}.\n"
            "# Edit them freely: the version is computed from the texts when the file is read.\n"
        )
        parts = [head + tomli_w.dumps({"task": task, "version": self.version, "parent": self.parent})]
        for item in self.items:  # each on its own: tomli_w puts an array of short tables into inline ones
            known = {key: value for key, value in to_json(item).items() if value not in (None, "")}
            parts.append("[[principles]]\n" + tomli_w.dumps(known))
        with atomic(path) as file:
            file.write("\n".join(parts).encode("utf-8", "replace"))  # a lone surrogate has no form in a file


class _File(Strict):
    task: str = ""
    version: str = ""
    parent: str = ""
    principles: Annotated[tuple[Principle, ...], Field(min_length=1, max_length=LIMIT)]


def read_principles(path: str | Path) -> Principles:
    """Read a principles.toml. A file whose texts no longer have its version was edited: that version is the parent.

    Raises:
        DataError: no such file, not TOML, an unknown key, or not 1 to 10 rules.
    """
    file = load_toml(path, _File, error=DataError)
    read = Principles(file.principles, parent=file.parent)
    edited = bool(file.version) and file.version != read.version
    return dataclasses.replace(read, parent=file.version) if edited else read
