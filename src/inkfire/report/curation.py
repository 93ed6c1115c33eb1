"""What ``inkfire curate`` found: how many pairs, whether length tells them apart, what the debates were like."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any

from inkfire.files.formats import iter_pairs
from inkfire.report.folder import Folder, Result
from inkfire.report.sections import Page, Sample, Section, Table, shown
from inkfire.report.words import counted, longer, rate, share

PAIRS = 3
"""Pairs that are shown."""


def curate(folder: Folder, result: Result) -> Page:
    queries, pairs, candidates = result["queries"], result["pairs"], result["candidates"]
    said = [f"{share(result['good'], result['labelled'])} of the labelled candidates are good."]
    if pairs:
        said.append(longer(result, pairs, "the chosen text"))
    said.append(
        f"Reflect overturned {share(result['reflect_flips'], result['labelled'])} of the verdicts, "
        f"{result['flips_to_good']} of {result['reflect_flips']} to good."
    )
    warnings = []
    if folder.settings.get("shard"):
        warnings.append(f"This is shard {folder.settings['shard']} of the prompts only.")
    if result["unscored"]:
        warnings.append(f"{share(result['unscored'], candidates)} of the candidates got no verdict; no pair has them.")
    counts = [
        ("queries", str(queries)),
        ("queries that repeat another", str(result["repeated_queries"])),
        ("candidates", str(candidates)),
        ("left out: near duplicates", str(result["duplicates"])),
        ("left out: not written", str(result["not_written"])),
        ("labelled", share(result["labelled"], candidates)),
        ("good", share(result["good"], result["labelled"])),
        ("queries with a pair", rate(result, "pair_share", queries)),
        ("pairs", str(pairs)),
        ("pairs whose chosen text is longer", rate(result, "longer_wins", pairs)),
    ]
    return Page(
        f"{pairs} preference pairs from {queries} queries: {rate(result, 'pair_share', queries)} of the queries "
        "made at least one.",
        said,
        warnings,
        [
            Section("From queries to pairs", table=Table(("", "how many"), counts)),
            Section("Why queries made no pair", table=Table(("why", "queries"), counted(result["no_pair"]))),
            Section("Who left candidates without a verdict", table=_failed(result["unscored_by"])),
            Section("Pairs", samples=_pairs(folder) if pairs else ()),
            Section("Debates", samples=[debate(row) for row in examples(folder, "transcripts.jsonl")]),
        ],
    )


def _failed(unscored_by: Mapping[str, int]) -> Table:
    return Table(("agent", "candidates"), counted(unscored_by))


def _pairs(folder: Folder) -> list[Sample]:
    rows = islice(iter_pairs(folder.path / "pairs.jsonl"), PAIRS)
    return [Sample(one.query, [("chosen", shown(one.chosen)), ("rejected", shown(one.rejected))]) for one in rows]


def examples(folder: Folder, transcripts: str) -> list[Result]:
    """One debate that ended with good and one that ended with bad, the first of each."""
    found: dict[int, Result] = {}
    for row in folder.rows(transcripts):
        if row["label"] is not None:
            found.setdefault(row["label"], row)
        if len(found) == 2:
            break
    return [found[label] for label in sorted(found, reverse=True)]


def debate(row: Mapping[str, Any]) -> Sample:
    """A debate as a conversation."""
    parts = [("candidate", shown(row["response"]))]
    for stance in ("positive", "negative"):
        if row[stance]:
            parts.append((stance, "\n".join(f"{point}: {reason}" for point, reason in row[stance].items())))
    for agent in ("judge", "reflect"):
        if row[agent]:
            parts.append((agent, f"{_word(row[agent]['judge'])} · {row[agent]['reason']}"))
    verdict = _word(row["label"])
    return Sample(row["query"], [*parts, ("verdict", verdict + (", flipped by Reflect" if row["flipped"] else ""))])


def _word(label: int | None) -> str:
    return {1: "good", 0: "bad"}.get(label if label is not None else -1, "unscored")
