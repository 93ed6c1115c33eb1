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

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from inkfire.errors import DataError, InputError
from inkfire.recipe import Strict, load_toml
from inkfire.records import text_id
from inkfire.workspace import atomic

LIMIT = 10
"""Rules of a set (PAPER: at most ten)."""

Origin = Literal["task", "adversarial", "reflection", "hand"]


@dataclass(frozen=True, slots=True)
class Principle:
    """One rule.

    ``origin`` is the phase that proposed it (``task``: it came with the task); ``round`` counts from 1, 0 is before
    refinement. ``because`` are the ids (``text_id`` of the response) of the texts that led to it.
    """

    text: str
    origin: Origin = "task"
    round: int = 0
    because: tuple[str, ...] = ()


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

    def revised(
        self, texts: Sequence[str], *, origin: Origin, round_number: int, because: Sequence[str] = ()
    ) -> Principles:
        """The set that these texts make: rules that stay keep their history, new ones get this one."""
        known = {item.text: item for item in self.items}
        fresh = [known.get(text) or Principle(text, origin, round_number, tuple(because)) for text in texts]
        return Principles(tuple(fresh), parent=self.version)

    def to_json(self) -> dict[str, Any]:
        return {
            "version": self.version,
            "parent": self.parent,
            "principles": [
                {"text": item.text, "origin": item.origin, "round": item.round, "because": list(item.because)}
                for item in self.items
            ],
        }

    def write(self, path: Path, *, task: str) -> None:
        """Write a file that a person can read and edit."""
        lines = [
            f"# The rules by which the judge of {task} tells good from bad, at most {LIMIT}.",
            "# Edit them freely: the version is computed from the texts when the file is read.",
            f"task = {_toml(task)}",
            f"version = {_toml(self.version)}",
            f"parent = {_toml(self.parent)}",
        ]
        for item in self.items:
            lines += ["", "[[principles]]", f"text = {_toml(item.text)}", f"origin = {_toml(item.origin)}"]
            lines += [f"round = {item.round}", f"because = [{', '.join(map(_toml, item.because))}]"]
        with atomic(path) as file:
            file.write(("\n".join(lines) + "\n").encode())


class _Rule(Strict):
    text: Annotated[str, Field(min_length=1)]
    origin: Origin = "hand"
    round: Annotated[int, Field(ge=0)] = 0
    because: tuple[str, ...] = ()


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
    read = Principles(tuple(Principle(rule.text, rule.origin, rule.round, rule.because) for rule in file.principles))
    edited = bool(file.version) and file.version != read.version
    return Principles(read.items, parent=file.version if edited else file.parent)


def _toml(text: str) -> str:
    """A TOML string: JSON's escapes are TOML's, except that TOML also wants DEL escaped and no surrogates."""
    quoted = json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
    return quoted.encode("utf-8", "replace").decode("utf-8")
