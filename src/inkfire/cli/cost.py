"""``inkfire cost``: what each strategy took, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from inkfire.cli.common import Json, Seed, Shown, Table, Yes, emit, flat
from inkfire.llm.bill import in_words
from inkfire.report import costs
from inkfire.report.words import duration, number, percent, value
from inkfire.runs.context import Access, Place
from inkfire.runs.cost import CostInputs, CostSettings
from inkfire.runs.cost import cost as count

_GIB = 2**30


def cost(
    runs: Annotated[tuple[Path, ...], Parameter(help="Run folders, of a recipe or of single commands.")] = (),
    /,
    *,
    inputs: Annotated[CostInputs, flat] = CostInputs(),
    settings: Annotated[CostSettings, flat] = CostSettings(),
    access: Annotated[Access, flat] = Access(),
    out: Annotated[
        Path | None, Parameter(help="A run folder for cost.svg and the numbers; none, none is kept.")
    ] = None,
    seed: Seed = 0,
    yes: Yes = False,
    json: Json = False,
) -> None:
    r"""Count what each strategy took, and what came of it.

    Labels, calls, tokens, money and seconds of each reward and policy of runs,
    preparation and training apart. With --labels F by the number of labels;
    with --cascade a cheap signal that a dear one helps where it is unsure.

    Example: inkfire cost runs/demo --out runs/demo-cost
    Example: inkfire cost runs/demo --labels labelled.jsonl
    Example: inkfire cost --cascade runs/rm runs/debate --data labelled.jsonl
    """
    beside = next(iter([*runs, *map(Path, inputs.cascade or ()), Path("runs/any")]))
    place = Place(out or beside.absolute().parent / "cost", seed, access, yes)
    result = count(runs, inputs, settings, place, keep=out is not None)
    emit(result, as_json=json, show=partial(_shown, out))


def _shown(out: Path | None, result: Mapping[str, Any]) -> Shown:
    said, warnings = costs.said(result)
    tables = [_rewards(result), _policies(result), _speeds(result), _stages(result), _curves(result)]
    tables += [_cascade(result["cascade"])] if "cascade" in result else []
    files = {"cost.svg": "AUC against what it cost", "stages/cost.json": "every number"}
    details = [] if out else ["Nothing is kept; --out FOLDER keeps the numbers and draws cost.svg."]
    shown = [_lean(table) for table in tables if table.rows]
    return Shown(said, warnings, shown, details, out, {n: f for n, f in files.items() if out and (out / n).exists()})


def _lean(table: Table) -> Table:
    """Without the columns that nobody knows anything of."""
    kept = [i for i in range(len(table.head)) if any(row[i] != "–" for row in table.rows)]
    return Table([[row[i] for i in kept] for row in table.rows], [table.head[i] for i in kept])


def _money(row: dict[str, Any], currency: str) -> str:
    return "–" if row["cost_known"] is None else in_words(row | {"currency": currency})


def _count(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"


def _time(seconds: float | None) -> str:
    return "–" if seconds is None else duration(seconds)


def _rewards(result: Mapping[str, Any]) -> Table:
    cells = [
        (
            f"{row['strategy']}: {row['run']}/{row['reward']}",
            _count(row["labels"]),
            _count(row["clicks"]),
            _count(row["calls"]),
            _count(row["tokens"]),
            _money(row, result["currency"]),
            _time(row["preparation"]["seconds"]),
            _time(row["training"]["seconds"]),
            value(row, "auc", row["auc_n"]),
            value(row, "common_auc", row["common_n"]),
            value(row, "accuracy", row["accuracy_n"]) + ("" if row["accuracy_on"] != "held-out pairs" else " of pairs"),
        )
        for row in result["rewards"]
    ]
    head = ("reward", "labels", "clicks", "calls", "tokens", "cost", "prepared", "trained", "AUC", "on the same texts")
    return Table(cells, (*head, "accuracy"))


def _policies(result: Mapping[str, Any]) -> Table:
    cells = [
        (
            f"{row['strategy'] or 'other'}: {row['run']}/{row['policy']}",
            row["method"],
            _count(row["calls"]),
            _count(row["tokens"]),
            _money(row, result["currency"]),
            _time(row["preparation"]["seconds"]),
            _time(row["training"]["seconds"]),
            _time(row["gpu_seconds"] or None),
        )
        for row in result["policies"]
    ]
    return Table(cells, ("policy", "by", "calls", "tokens", "cost", "all before", "trained", "on a GPU"))


def _stages(result: Mapping[str, Any]) -> Table:
    cells = [
        (
            f"{row['run']}/{row['stage']}" if row["run"] != row["stage"] else row["stage"],
            _time(row["seconds"]),
            _time(row["gpu_seconds"] or None),
            _count(row["calls"]),
            _count(row["tokens"]),
            _money(row, result["currency"]),
            _count(row["failures"]),
            _gib(row["peak_memory"]),
            _gib(row["peak_engine_memory"]),
            _gib(row["peak_device_memory"]),
        )
        for row in result["stages"]
    ]
    head = ("stage", "time", "on a GPU", "calls", "tokens", "cost", "failed", "memory at most", "engine", "GPU")
    return Table(cells, head)


def _speeds(result: Mapping[str, Any]) -> Table:
    cells = [
        (
            f"{row['who']}, {row['what']} ({row['run']})",
            _seconds(row, "text"),
            _seconds(row, "group"),
            number(row["calls_text"]),
            _count(row["texts_timed"]),
            _gib(row["peak_memory"]),
            _gib(row["peak_engine_memory"]),
            _gib(row["peak_device_memory"]),
        )
        for row in result["speeds"]
    ]
    head = ("who", "s a text (p50, p95)", "s a group", "calls a text", "texts", "memory at most", "engine", "GPU")
    return Table(cells, head)


def _seconds(row: Mapping[str, Any], of: str) -> str:
    middle, high = row[f"seconds_{of}_p50"], row[f"seconds_{of}_p95"]
    return "–" if middle is None else f"{number(middle)}, {number(high)}"


def _gib(size: int | None) -> str:
    return "–" if size is None else f"{size / _GIB:.1f} GiB"


def _curves(result: Mapping[str, Any]) -> Table:
    curves = result.get("curves")
    if not curves:
        return Table([])
    who = {"rm": "A, labelled pairs", "judge": "B, judge", "rm_debated": "A, so many debated"}
    by = {key: {row["labels"]: row for row in curves[key]} for key in who if curves[key]}
    cells = [
        (f"{size:,}", *(value(of.get(size, {}), name) for name in ("auc", "accuracy") for of in by.values()))
        for size in sorted({size for rows in by.values() for size in rows})
    ]
    return Table(cells, ("labels", *(f"{what}: {who[key]}" for what in ("AUC", "accuracy") for key in by)))


def _cascade(found: Mapping[str, Any]) -> Table:
    cells = [
        (
            name,
            value(found, f"{arm}_accuracy", found[f"{arm}_n"]),
            _count(found[f"{arm}_unscored"]),
            _count(found[f"{arm}_calls"]),
            _time(found[f"{arm}_seconds"]),
            _count(found[f"{arm}_tokens"]),
        )
        for arm, name in (("cheap", found["cheap"]), ("dear", found["dear"]), ("cascade", "the cascade"))
    ]
    share = percent(found["asked_share"])
    return Table(cells, (f"{share} asked of {found['dear']}", "accuracy", "unscored", "calls", "time", "tokens"))
