"""What all arms of an ablation get: the same texts, of which some have labels that no arm sees.

material = Material.of(task, splits, limit=120, folder=out / "data", seed=0)
material.judged, material.held_out
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inkfire.files.columns import ranked
from inkfire.files.jsonl import write_jsonl
from inkfire.records import Labelled, Preference, to_json
from inkfire.runs.recipe import Recipe
from inkfire.runs.refine import taken
from inkfire.runs.splits import Splits
from inkfire.runs.stages import spread
from inkfire.tasks.task import Task


@dataclass(frozen=True)
class Material:
    """What all arms get. ``judged`` texts and ``held_out`` pairs have labels that no arm sees."""

    task: Task
    splits: Splits
    judged: list[Labelled]
    held_out: list[Preference]
    folder: Path

    @classmethod
    def of(cls, task: Task, splits: Splits, limit: int, folder: Path, seed: int) -> Material:
        """
        Raises:
            InputError: the labelled texts cannot be split so that each part has good and bad ones.
        """
        test = list({(row.query, row.response): row for row in splits.test}.values())
        rest, judged = taken(test, 0.5, limit, seed + 2)
        return cls(task, splits, judged, pairs_of(rest), folder)

    def write(self, recipe: Recipe, queries: int, seed: int) -> None:
        apart = {row.query for row in self.judged}
        tested = taken(self.judged, 1.0, recipe.refine.test, seed)[1]
        files: dict[str, Iterable[Mapping[str, Any]]] = {
            "judged": map(to_json, self.judged),
            "candidates": ({"query": r.query, "response": r.response, "source": "labelled"} for r in self.judged),
            "held_out": map(to_json, self.held_out),
            "fit": map(to_json, self.splits.fit),
            "tested": map(to_json, tested),
            "examples": (to_json(one) for one in self.splits.examples if one.query not in apart),
            "train_queries": map(to_json, self.splits.train),
            "written_queries": map(to_json, spread(self.splits.curated, queries)),
        }
        for name, rows in files.items():
            write_jsonl(self.file(name), rows)

    def file(self, name: str) -> Path:
        return self.folder / f"{name}.jsonl"


def pairs_of(labelled: Sequence[Labelled]) -> list[Preference]:
    """Every good text with every bad one of its query."""
    of_query: dict[str, list[tuple[str, float]]] = {}
    for row in labelled:
        of_query.setdefault(row.query, []).append((row.response, row.label))
    return [pair for query, answers in of_query.items() for pair in ranked(query, answers)]
