"""Two runs on one page: what each found, what they were told otherwise, how their writers compare, what they took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from inkfire.evaluation.claims import points
from inkfire.evaluation.headline import recommendation
from inkfire.files.jsonl import COMPARED
from inkfire.report import findings, page
from inkfire.report.findings import Finding
from inkfire.report.folder import Folder
from inkfire.report.glance import baseline
from inkfire.report.numbers import Cell, Table, filled, p_value
from inkfire.report.words import interval, percent, scalars
from inkfire.stats.intervals import bootstrap_mean_difference, holm, sign_test

Result = Mapping[str, Any]


def write_comparison(a: Path, b: Path, path: Path | None = None) -> Path:
    """Draw the page of two runs, by default as ``compared.html`` in the second, and return its path.

    Raises:
        RunFolderError: one of them is no run folder.
    """
    runs = (Folder(a), Folder(b))
    names = tuple(f"{mark} · {run.path.absolute().name}" for mark, run in zip("AB", runs, strict=True))
    shown = {
        "title": f"{names[0]} and {names[1]}",
        "headline": _headline(runs, names),
        "found": [(name, _found(run)) for name, run in zip(names, runs, strict=True)],
        "settings": _settings(runs, names),
        "both": _numbers(runs, names),
        "costs": _costs(runs, names),
    }
    return page.render("pair", path or b / COMPARED, **shown)


def _headline(runs: Sequence[Folder], names: Sequence[str]) -> str:
    commands = [run.command for run in runs]
    evaluations = [run.stages().get("evaluate") for run in runs]
    if None in evaluations or commands[0] not in ("run", "evaluate"):
        return f"{names[0]} is a run of inkfire {commands[0]}, {names[1]} of inkfire {commands[1]}."
    said = []
    for name, evaluation in zip(names, evaluations, strict=True):
        assert evaluation is not None
        chosen, _ = recommendation(evaluation)
        said.append(f"{name} says use {chosen}" if chosen else f"{name} says keep {baseline(evaluation)}")
    return f"{', '.join(said)}."


def _found(run: Folder) -> Finding:
    stages = run.stages()
    if "evaluate" in stages:
        return findings.compared(stages["evaluate"])
    result = next(iter(stages.values()), None)
    unfinished = Finding([f"This run of inkfire {run.command} is not finished."])
    return unfinished if result is None else findings.of(run, result)


def _settings(runs: Sequence[Folder], names: Sequence[str]) -> Table:
    """What decides the results and is not the same."""
    every = [
        {"command": run.command, "seed": str(run.manifest["seed"]), "inkfire": run.manifest.get("inkfire", "unknown")}
        | dict(run.made_by())
        for run in runs
    ]
    keys = dict.fromkeys([*every[0], *every[1]])
    rows: list[list[Cell]] = [
        [key, *(one.get(key, "–") for one in every)] for key in keys if every[0].get(key) != every[1].get(key)
    ]
    return Table("", ["setting", *names], rows)


def _costs(runs: Sequence[Folder], names: Sequence[str]) -> Table:
    """Stage by stage, and in all."""
    every = [{name: cells for name, *cells in run.costs()} for run in runs]
    stages = dict.fromkeys([*list(every[0])[:-1], *every[1]])  # the total is the last
    kinds = ("time", "model calls", "tokens", "cost")
    head = ["stage", *(f"{kind}, {name.partition(' ')[0]}" for kind in kinds for name in names)]
    rows: list[list[Cell]] = [
        [stage, *(one[stage][i] if stage in one else "" for i in range(len(kinds)) for one in every)]
        for stage in stages
    ]
    return Table("", head, rows)


def _numbers(runs: Sequence[Folder], names: Sequence[str]) -> Table:
    """Of two comparisons their writers, of two other runs of one kind every number."""
    first, second = ({**run.stages()} for run in runs)
    if "evaluate" in first and "evaluate" in second:
        return _writers(runs, first["evaluate"], second["evaluate"], names)
    if runs[0].command != runs[1].command or not first or not second:
        return Table("", [], [])
    found = [dict(scalars(next(iter(stages.values())))) for stages in (first, second)]
    keys = dict.fromkeys([*found[0], *found[1]])
    return Table("Every number", ["", *names], [[key, *(one.get(key, "–") for one in found)] for key in keys])


def _writers(runs: Sequence[Folder], a: Result, b: Result, names: Sequence[str]) -> Table:
    """Writers and signals that both have: their rates, and what B has more of the queries that both asked, where the
    signal is the same one."""
    same = _same_signals(runs)
    rows, p = [], []
    for policy in (name for name in a["policies"] if name in b["policies"]):
        for signal in (name for name in a["signals"] if name in b["signals"] and name != "length"):
            row: list[Cell] = [policy, signal, *(_rate(of["policies"][policy], signal) for of in (a, b))]
            pairs = _paired(a, b, policy, signal) if signal in same else []
            if pairs:
                ours, theirs = zip(*pairs, strict=True)
                found = bootstrap_mean_difference(theirs, ours, range(len(pairs)), 0)
                bounds = interval([found.low, found.high], 100)
                rows.append([*row, (points(found.estimate), bounds), len(pairs)])
                p.append(sign_test(theirs, ours, range(len(pairs))))
            else:
                rows.append([*row, "" if signal in same else "another signal", ""])
                p.append(1.0)
    told = [[*row, p_value(one) if row[-1] else ""] for row, one in zip(rows, holm(p), strict=True)]
    head = ["policy", "signal", *names, "B more than A", "n", "p by Holm"]
    note = "On the first text of each query that both runs asked. A signal that was made anew is another signal."
    if not {sample["query"] for sample in a["samples"]} & {sample["query"] for sample in b["samples"]}:
        note = "No query was asked in both runs: nothing can be held against each other query by query."
    return filled(Table("Excellent texts in both", head, told, note))


def _rate(policy: Result, signal: str) -> Cell:
    return percent(policy["excellent_rate"][signal]), interval(policy["excellent_rate_ci"][signal], 100)


def _paired(a: Result, b: Result, policy: str, signal: str) -> list[tuple[float, float]]:
    """The labels of the queries that both have."""
    given = [
        {
            sample["query"]: label
            for sample in of["samples"]
            if (label := sample["responses"].get(policy, {"labels": {}})["labels"].get(signal)) is not None
        }
        for of in (a, b)
    ]
    return [(float(given[0][query]), float(given[1][query])) for query in given[0] if query in given[1]]


def _same_signals(runs: Sequence[Folder]) -> set[str]:
    """The signals that are known to be one in both: of one folder's contents, or of one model, task and labels."""
    asked = []
    for run in runs:
        within = run.path / "evaluate"
        manifest = Folder(within).manifest if (within / "manifest.json").is_file() else run.manifest
        settings, files = manifest["settings"], {name: of["sha256"] for name, of in manifest.get("inputs", {}).items()}
        beside = {name: (settings.get("model"), settings.get("task_version")) for name in settings.get("signals", ())}
        of_folder = {name: sha for name in beside if (sha := files.get(f"signal {name}"))}
        asked.append(beside | of_folder | {"length": files.get("length_from")})
    return {name for name, what in asked[0].items() if asked[1].get(name) == what}
