"""The numbers of a comparison of policies: a row a policy, each beside what is left of it at equal length."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from inkfire.cli.common import Table
from inkfire.evaluation.claims import points
from inkfire.report.findings import Result
from inkfire.report.words import interval, number, rate, value


def compared(result: Result) -> list[Table]:
    """Excellent rates, who may be believed, differences, wins, dimensions, people, and what the texts are like."""
    return [
        _rates(result),
        _signals(result),
        _differences(result),
        _wins(result),
        *_dimensions(result),
        *_people(result),
        _texts(result),
    ]


def _rates(result: Result) -> Table:
    rows = []
    for name, policy in result["policies"].items():
        cells = [
            _of(policy, "excellent_rate", signal) + " *" * (signal in policy["own_reward"])
            for signal in result["signals"]
        ]
        rows.append((name, *cells, number(policy["mean_length"])))
        if any(_known(policy, signal) for signal in result["signals"]):
            held = [_of(policy, "excellent_rate_lc", signal) for signal in result["signals"]]
            rows.append(("  at equal length", *held, ""))
    return Table(rows, ("excellent by", *result["signals"], "characters"))


def _known(policy: Result, signal: str) -> bool:
    return policy.get("excellent_rate_lc", {}).get(signal) is not None


def _of(policy: Result, name: str, signal: str) -> str:
    found = {end: policy.get(end, {}).get(signal) for end in (name, f"{name}_ci")}
    return rate(found, name)


def _signals(result: Result) -> Table:
    rows = [
        (name, "yes" if row["qualified"] else "no", ", ".join(row["sees"]) or "-", row["why"])
        for name, row in result.get("qualified", {}).items()
    ]
    return Table(rows, ("signal", "a claim may rest on it", "sees", "because"))


def _differences(result: Result) -> Table:
    rows = [
        (
            row["policy"],
            row["against"],
            row["signal"] + " *" * row["own_reward"],
            _points(row, "difference"),
            _points(row, "difference_lc"),
            f"{_points(row, 'difference_matched')}, n = {row['n_matched']:,}" if row["n_matched"] else "–",
            f"{row['n']:,}",
        )
        for row in result["differences"]
        if row["difference"] is not None and row["signal"] != "length" and "difference_lc" in row
    ]
    return Table(rows, ("policy", "against", "by", "points", "at equal length", "on texts of like length", "n"))


def _points(row: Result, name: str) -> str:
    if row[name] is None:
        return "–"
    return f"{points(row[name])} ({interval(row[f'{name}_ci'], 100)})"


def _wins(result: Result) -> Table:
    rows = [
        (
            row["policy"],
            row["against"],
            rate(row, "win_rate"),
            rate(row, "win_rate_lc"),
            rate(row, "win_rate_matched"),
            rate(row, "order_flip_rate"),
            f"{row['unscored']:,}",
        )
        for row in result["differences"]
        if row.get("win_rate") is not None
    ]
    names = ("policy", "against", "wins, a tie a half", "at equal length", "on texts of like length")
    return Table(rows, (*names, "answers that change with the order", "without an answer"))


def _dimensions(result: Result) -> list[Table]:
    """What each signal that rates by the rubric says of each of its dimensions."""
    found: dict[str, list[tuple[str, ...]]] = {}
    heads: dict[str, list[str]] = {}
    for name, policy in result["policies"].items():
        for signal, dimensions in policy.get("dimensions", {}).items():
            heads.setdefault(signal, list(dimensions))
            found.setdefault(signal, []).append((name, *(value(row, "mean") for row in dimensions.values())))
    return [Table(rows, (f"{signal} on", *heads[signal])) for signal, rows in found.items()]


def _people(result: Result) -> list[Table]:
    people = [
        (name, f"{row['n']:,}", f"{row['ties']:,}", *(number(mean) for mean in row["dimensions"].values()))
        for name, row in result.get("people", {}).items()
        if row["n"]
    ]
    dimensions: list[str] = next((list(row["dimensions"]) for row in result.get("people", {}).values() if row["n"]), [])
    agreement = [
        (signal, rate(row, "agreement"), value(row, "kappa"), f"{row['n']:,}")
        for signal, row in result.get("agreement", {}).items()
    ]
    return [
        Table(people, ("people on", "texts", "ties", *dimensions)),
        Table(agreement, ("agrees with people", "share", "kappa", "texts")),
    ]


_TEXTS: Mapping[str, tuple[str, Any]] = {
    "distinct_2": ("distinct-2", value),
    "self_bleu": ("self-BLEU", value),
    "opening_entropy": ("bits of openings", value),
    "templates": ("on a template", rate),
    "repeated_2": ("repeated pairs", rate),
}
_BESIDE: Mapping[str, tuple[str, Any]] = {
    "slop": ("stock phrases a hundred", value),
    "copied": ("copied", rate),
    "nearest": ("like a training text", value),
}


def _texts(result: Result) -> Table:
    rows, cut = [], next((one for policy in result["policies"].values() if (one := policy.get("variety"))), None)
    if cut is None:
        return Table([])
    for name, policy in result["policies"].items():
        varied = policy.get("variety") or {}
        cells = [cell(varied, key) for key, (_, cell) in _TEXTS.items()]
        rows.append((name, *cells, *(cell(policy, key) for key, (_, cell) in _BESIDE.items())))
    labels = [label for label, _ in (*_TEXTS.values(), *_BESIDE.values())]
    return Table(rows, (f"{cut['texts']} texts of {cut['units']} units", *labels))
