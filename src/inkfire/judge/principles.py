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

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import tomli_w
from pydantic import Field, model_validator

from inkfire.errors import DataError, InputError
from inkfire.files.jsonl import atomic
from inkfire.records import text_id
from inkfire.settings import Strict, load_toml
from inkfire.stats.intervals import Interval

LIMIT = 10
"""Rules of a set (PAPER: at most ten)."""

Origin = Literal["task", "adversarial", "reflection", "hand"]


@dataclass(frozen=True, slots=True)
class Principle:
    """One rule.

    ``origin`` is the phase that proposed it (``task``: it came with the task); ``round`` counts from 1, 0 is before
    refinement. ``because`` are the ids (``text_id`` of the response) of the counter-examples that led to it, ``why``
    what was said of them. ``effect`` is the change of AUC on the validation texts by the candidate set that brought the
    rule in; ``contribution`` what the set's AUC there loses without the rule; ``tokens`` what it adds to a prompt.
    None: not measured.
    """

    text: str
    origin: Origin = "task"
    round: int = 0
    because: tuple[str, ...] = ()
    why: str = ""
    effect: Interval | None = None
    contribution: Interval | None = None
    tokens: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Flat, as in principles.toml: an interval is NAME, NAME_ci and NAME_n."""
        out: dict[str, Any] = {"text": self.text, "origin": self.origin, "round": self.round}
        out |= {"because": list(self.because), "why": self.why}
        for name in ("effect", "contribution"):
            found: Interval | None = getattr(self, name)
            out |= {
                name: found and found.estimate,
                f"{name}_ci": found and [found.low, found.high],
                f"{name}_n": found and found.n,
            }
        return out | {"tokens": self.tokens}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Principle:
        """The inverse of :meth:`to_json`; what is not measured may be missing."""
        intervals: dict[str, Any] = {}
        for name in ("effect", "contribution"):
            if data.get(name) is not None:
                low, high = data[f"{name}_ci"]
                intervals[name] = Interval(data[name], low, high, data[f"{name}_n"])
        because = tuple(data["because"])
        return cls(
            data["text"],
            data["origin"],
            data["round"],
            because,
            data.get("why", ""),
            **intervals,
            tokens=data.get("tokens"),
        )


@dataclass(frozen=True, slots=True)
class Principles:
    """A set of rules. ``parent`` is the version it was made from, empty for a first set."""

    items: tuple[Principle, ...]
    parent: str = ""

    def __post_init__(self) -> None:
        if not 1 <= len(self.items) <= LIMIT:
            raise InputError(f"a set holds 1 to {LIMIT} principles, not {len(self.items)}")

    @classmethod
    def of(cls, texts: Sequence[str]) -> Principles:
        """A first set, as a task brings it."""
        return cls(tuple(Principle(text) for text in texts))

    @property
    def texts(self) -> tuple[str, ...]:
        return tuple(item.text for item in self.items)

    @property
    def version(self) -> str:
        return text_id("\n".join(self.texts))

    def to_json(self) -> dict[str, Any]:
        return {
            "version": self.version,
            "parent": self.parent,
            "principles": [item.to_json() for item in self.items],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Principles:
        return cls(tuple(Principle.from_json(item) for item in data["principles"]), parent=data["parent"])

    def write(self, path: Path, *, task: str) -> None:
        """Write a file that a person can read and edit."""
        on_one_line = "".join(letter if letter.isprintable() else " " for letter in task)
        head = (
            f"# The rules by which the judge of {on_one_line} tells good from bad, at most {LIMIT}.\n"
            "# Edit them freely: the version is computed from the texts when the file is read.\n"
        )
        parts = [head + tomli_w.dumps({"task": task, "version": self.version, "parent": self.parent})]
        for item in self.items:  # each on its own: tomli_w puts an array of short tables into inline ones
            known = {key: value for key, value in item.to_json().items() if value not in (None, "")}
            parts.append("[[principles]]\n" + tomli_w.dumps(known))
        with atomic(path) as file:
            file.write("\n".join(parts).encode("utf-8", "replace"))  # a lone surrogate has no form in a file


class _Rule(Strict):
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

    @model_validator(mode="after")
    def _whole(self) -> Self:
        for name in ("effect", "contribution"):
            if len({getattr(self, f"{name}{end}") is None for end in ("", "_ci", "_n")}) > 1:
                raise ValueError(f"{name}, {name}_ci and {name}_n go together")
        return self


class _File(Strict):
    task: str = ""
    version: str = ""
    parent: str = ""
    principles: Annotated[tuple[_Rule, ...], Field(min_length=1, max_length=LIMIT)]


def read_principles(path: str | Path) -> Principles:
    """Read a principles.toml. A file whose texts no longer have its version was edited: that version is the parent.

    Raises:
        DataError: no such file, not TOML, an unknown key, or not 1 to 10 rules.
    """
    file = load_toml(path, _File, error=DataError)
    read = Principles(tuple(Principle.from_json(rule.model_dump()) for rule in file.principles))
    edited = bool(file.version) and file.version != read.version
    return Principles(read.items, parent=file.version if edited else file.parent)
