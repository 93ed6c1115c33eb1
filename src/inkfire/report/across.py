"""What the files of a run have in common: whether what was measured on is part of what was learnt from."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

from inkfire.errors import InkfireError
from inkfire.evaluation.claims import listed
from inkfire.files.formats import read_any
from inkfire.files.jsonl import sha256_file
from inkfire.files.reading import quietly
from inkfire.report.folder import Folder
from inkfire.report.words import several
from inkfire.stats.audit import Responses, shared

Row = tuple[str, str, int, int, int, int]
_HELD_OUT = {"held_out_queries": "held-out queries", "validation_queries": "queries to validate on"}
_MEASURED = _HELD_OUT | {"test": "texts that measure the judge"}
_LEARNT = {
    "good": "good texts (SFT)",
    "train_queries": "queries to train on",
    "fit": "texts that calibrate the judge",
    "examples": "examples",
    "pairs": "preference pairs",
}
"""The splits of a recipe, in words."""


def across(run: Folder) -> tuple[list[str], list[Row]]:
    """A sentence, and what any two of the files share: (file, another, rows, rows in both, texts in both, queries in
    both). Of a recipe each file that is measured on with each that is learnt from, of another command its inputs, as
    long as these lie where they lay."""
    rows = list(_shared(run))
    if not rows:
        return [], []
    if run.command != "run":
        return [], rows
    leaks = [row for row in rows if row[0] in _HELD_OUT.values() and (row[3] or row[5])]
    if not leaks:
        return ["No held-out query is part of what was learnt from."], rows
    told = [f"{several(row[5], 'query', 'queries')} of the {row[0]} with the {row[1]}" for row in leaks]
    return [f"Leak: {listed(told)}."], rows


def _shared(run: Folder) -> Iterator[Row]:
    pairs = (
        itertools.product(_splits(run, _MEASURED), _splits(run, _LEARNT))
        if run.command == "run"
        else itertools.combinations(_inputs(run), 2)
    )
    for (name, ours), (other, theirs) in pairs:
        found = shared(ours, theirs)
        yield name, other, len(ours), found["exact"], found["near"], found["query"]


def _splits(run: Folder, names: dict[str, str]) -> list[tuple[str, list[Responses]]]:
    files = {said: run.path / "data" / f"{name}.jsonl" for name, said in names.items()}
    if names is _LEARNT:
        files["pairs curated here"] = run.path / "curate" / "pairs.jsonl"
    return [(said, rows) for said, path in files.items() if (rows := _read(path))]


def _inputs(run: Folder) -> list[tuple[str, list[Responses]]]:
    found, known = [], run.manifest.get("inputs", {})
    for name, path in run.run.places().items():
        if name in known and path.is_file() and sha256_file(path) == known[name]["sha256"] and (rows := _read(path)):
            found.append((name, rows))
    return found


def _read(path: Path) -> list[Responses]:
    """The rows of a file; none where it is not there, is empty, or is no table of texts. What there is to say of it the
    command that took it has said."""
    try:
        with quietly():
            return list(read_any(path)) if path.is_file() and path.stat().st_size else []
    except InkfireError:
        return []
