"""``inkfire refine diff A B``: what changed between two sets of rules, why, and what it was worth.

A and B are run folders of ``inkfire refine`` or principles.toml files. From B's folder, where it is one, come the
counter-examples behind a rule and the round that dropped one; a file alone has what the rules themselves carry.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

from inkfire.files.jsonl import read_jsonl
from inkfire.judge.principles import Principle, Principles, read_principles
from inkfire.records import to_json

REWORDED = 0.6
"""Share of characters in common (difflib's ratio) from which a dropped and a new rule count as one, reworded."""


@dataclass(frozen=True)
class RuleSet:
    """A set of rules and what its run folder knows of it."""

    principles: Principles
    history: tuple[dict[str, Any], ...] = ()
    counterexamples: Mapping[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> RuleSet:
        """From a run folder, or a principles.toml in or outside of one.

        Raises:
            DataError: no such file, or a damaged one.
        """
        folder = path if path.is_dir() else path.parent
        principles = read_principles(path / "principles.toml" if path.is_dir() else path)
        history, examples = folder / "history.jsonl", folder / "counterexamples.jsonl"
        return cls(
            principles,
            tuple(read_jsonl(history)) if history.is_file() else (),
            {row["id"]: row for row in read_jsonl(examples)} if examples.is_file() else {},
        )


def diff(a: RuleSet, b: RuleSet) -> dict[str, Any]:
    """The rules ``added``, ``removed`` and ``changed`` (reworded) from ``a`` to ``b``, and how many were ``kept``.

    Each is the rule's record with ``counterexamples`` in full where they are known. A removed rule has the ``round``
    that dropped it and the ``effect`` of that round's candidate, None where that is not known.
    """
    old, new = set(a.principles.texts), set(b.principles.texts)
    gone = [item for item in a.principles.items if item.text not in new]
    fresh = [item for item in b.principles.items if item.text not in old]
    pairs = list(_reworded(gone, fresh))
    matched = {item.text for pair in pairs for item in pair}
    changes: dict[str, list[dict[str, Any]]] = {
        "added": [_record(item, b) for item in fresh if item.text not in matched],
        "removed": [_dropped(item, a, b) for item in gone if item.text not in matched],
        "changed": [{"from": before.text, **_record(after, b)} for before, after in pairs],
    }
    result = {"from": _about(a.principles), "to": _about(b.principles), "kept": len(old & new)}
    return result | {f"n_{name}": len(rows) for name, rows in changes.items()} | changes


def _reworded(gone: Sequence[Principle], fresh: Sequence[Principle]) -> Iterator[tuple[Principle, Principle]]:
    """(dropped, new) rules that are most alike, each used once."""
    alike = [
        (SequenceMatcher(None, before.text, after.text, autojunk=False).ratio(), i, j)
        for i, before in enumerate(gone)
        for j, after in enumerate(fresh)
    ]
    used: set[tuple[str, int]] = set()
    for ratio, i, j in sorted(alike, key=lambda row: (-row[0], row[1], row[2])):
        if ratio >= REWORDED and used.isdisjoint(pair := {("gone", i), ("fresh", j)}):
            used |= pair
            yield gone[i], fresh[j]


def _about(principles: Principles) -> dict[str, Any]:
    costs = [item.tokens for item in principles.items if item.tokens is not None]
    n = len(principles.items)
    return {"version": principles.version, "rules": n, "tokens": sum(costs) if len(costs) == n else None}


def _record(item: Principle, where: RuleSet) -> dict[str, Any]:
    known = where.counterexamples
    return to_json(item) | {"counterexamples": [known[one] for one in item.because if one in known]}


def _dropped(item: Principle, a: RuleSet, b: RuleSet) -> dict[str, Any]:
    """The round of ``b``'s run whose accepted candidate first lacks the rule."""
    found: dict[str, Any] = dict.fromkeys(("round", "effect", "effect_ci", "effect_n"))
    present = set(a.principles.texts)
    for row in b.history:
        if row.get("accepted"):
            texts = {rule["text"] for rule in row["candidate"]["principles"]}
            if item.text in present - texts:
                found = {name: row[name] for name in ("round", "effect", "effect_ci")} | {"effect_n": row["n"]}
                break
            present = texts
    return {"text": item.text, "origin": item.origin} | found
