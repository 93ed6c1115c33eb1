"""``inkfire agree``: whether raters agree, and which reward ranks texts as they do."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from inkfire.cli.common import Json, Seed, Shown, Table, emit, flat
from inkfire.report.agreed import agreed
from inkfire.report.words import number, rate, shown, value
from inkfire.runs.agree import AgreeInputs
from inkfire.runs.agree import agree as compare
from inkfire.runs.context import Access

_TEXT = 80
_LABELS = {0.0: "bad", 1.0: "good"}


def agree(
    files: Annotated[tuple[Path, ...], Parameter(help="Labelled texts, ratings, verdicts of a judge, votes on pairs.")],
    /,
    *,
    inputs: Annotated[AgreeInputs, flat] = AgreeInputs(),
    access: Annotated[Access, flat] = Access(),
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Say whether raters agree, and which reward ranks texts as they do.

    Files are matched by query and text. Of one file, its raters are
    compared (rater, or annotator, in each row); a text that one rater
    rated twice shows how far they agree with themselves.

    Example: inkfire agree people.jsonl runs/judge/verdicts.jsonl
    Example: inkfire agree rated.jsonl --reward runs/rm --reward runs/judge
    """
    emit(compare(files, inputs, access=access, seed=seed), as_json=json, show=_shown)


def _shown(result: Mapping[str, Any]) -> Shown:
    said, warnings = agreed(result)
    tables = [_rewards(result), _parts(result), *_confusions(result), _raters(result)]
    details = [*_apart(result), *_misjudged(result)]
    return Shown(said, warnings, [table for table in tables if table.rows], details)


def _rewards(result: Mapping[str, Any]) -> Table:
    if "rewards" not in result:
        return Table([])
    rows = [*result["rewards"], {"reward": "(length alone)", **result["length"]}]
    cells = [(row["reward"], value(row, "correlation"), f"{row['n_texts']:,}", f"{row['n_queries']:,}") for row in rows]
    return Table(cells, ("reward", "correlation within the query", "texts", "queries"))


def _parts(result: Mapping[str, Any]) -> Table:
    """Pairs of voices, slices and dimensions, a row each."""
    if "alpha" not in result:
        return Table([])
    pairs = result["pairs"] if len(result["pairs"]) > 1 else []
    rows = [("all", result), *((f"{row['a']} and {row['b']}", row) for row in pairs)]
    rows += [(f"slice {name}", row) for name, row in result["slices"].items()]
    rows += list(result["dimensions"].items())
    if len(result["pairs"]) == 1:
        rows[0] = ("all", result["pairs"][0])
    cells = [
        (
            name,
            *(value(row, number) for number in ("alpha", "kappa")),
            rate(row, "accuracy"),
            value(row, "correlation") if "correlation" in row else "",
            f"{row['n']:,}",
        )
        for name, row in rows
    ]
    return Table(cells, ("", "alpha", "kappa", "the same", "correlation within the query", "texts"))


def _confusions(result: Mapping[str, Any]) -> list[Table]:
    """How often the second of two voices said what, where the first said that."""
    out = []
    for row in result.get("pairs", ()):
        if len(result["pairs"]) == 1 and (found := row["confusion"]) is not None:
            names = [_LABELS.get(v, number(v)) if result["kind"] == "label" else number(v) for v in found["values"]]
            cells = [(name, *map(str, counts)) for name, counts in zip(names, found["counts"], strict=True)]
            out.append(Table(cells, (f"{row['a']}, below; {row['b']}:", *names)))
    return out


def _raters(result: Mapping[str, Any]) -> Table:
    rows = [row for row in result["raters"] if row["repeats"] or row["seconds"] is not None]
    cells = [
        (row["rater"], f"{row['n']:,}", number(row["seconds"]), f"{row['repeats']:,}", rate(row, "same"))
        for row in rows
    ]
    return Table(cells, ("rater", "rated", "seconds, median", "shown twice", "said the same"))


def _apart(result: Mapping[str, Any]) -> list[str]:
    return [
        f"{row['higher']} {row['scores'][0]:g}, {row['lower']} {row['scores'][1]:g}: {row['query']}: "
        + " | ".join(_line(text) for text in row.get("responses", [row.get("response")]))
        for row in result.get("disagreements", ())
    ]


def _misjudged(result: Mapping[str, Any]) -> list[str]:
    return [
        f"{row['reward']} {what} ({one['score']:.3g}; rated {one['rating']:g}): {one['query']}: "
        + _line(one["response"])
        for row in result.get("rewards", ())
        for what in ("overrated", "underrated")
        for one in row[what]
    ]


def _line(text: str) -> str:
    return shown(" ".join(text.split()), _TEXT)
