"""What an ablation found, in sentences and tables.

The sentences say of each strategy which parts are shown to matter and how large a difference the others could have
hidden, which arms of strategy B end with the same principles, and what length and n-grams reach on the same texts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from inkfire.evaluation.claims import listed, points
from inkfire.llm.bill import in_words
from inkfire.report.words import duration, interval, number, rate, several, value

Row = Mapping[str, Any]
Shown = tuple[str, Sequence[str], Sequence[Sequence[str]]]
"""A table: its title, its head, its rows."""

_OF = {"A": "strategy A", "B": "strategy B"}
_MADE = "Pairs, and a reward model of them"
_RIGHT = ("right", "precision", "recall", "F1")
_LEARNT = ("right on held-out pairs", "of like length", "chosen shorter", "change", "could have shown")


def found(result: Row) -> tuple[list[str], list[str]]:
    """(sentences, warnings)."""
    said: list[str] = []
    for group in _OF:
        rows = [row for row in result["arms"] if row["group"] == group]
        said += [*_parts(group, rows), *_pairs(rows)]
    said += [*_same_principles(result["arms"]), *_frameworks(result["frameworks"]), *_rewards(result)]
    reasons: dict[str, list[str]] = {}
    for name, why in result["left_out"].items():
        reasons.setdefault(why, []).append(name)
    warnings = [f"Not run: {', '.join(names)} ({why})." for why, names in reasons.items()]
    if none := [f"{row['arm']} ({row['rm']})" for row in result["arms"] if row.get("rm")]:
        warnings.append(f"Without a reward model: {'; '.join(none)}.")
    return said or ["No arm was run."], warnings


# ---- sentences -----------------------------------------------------------------------------------------------------


def _arm(row: Row) -> str:
    """An arm's name as a part of a sentence."""
    name = str(row["arm"])
    return name.replace("-", " ", 1) if name.startswith(("without-", "pairs-", "candidates-")) else name


def _change(row: Row, name: str) -> str:
    """``-12 points (-20 to -4)`` of a difference of rates; ``none`` where no text, query or pair differs."""
    key = f"{name}_difference"
    if key not in row:
        return "–"
    if not row[f"{key}_changed"]:
        return "none"
    return f"{points(row[key])} points ({interval(row[f'{key}_ci'], 100)})"


def _parts(group: str, rows: Sequence[Row]) -> list[str]:
    """What the verdicts are without each part."""
    key = "accuracy_difference"
    there = [row for row in rows if key in row]
    if not there:
        return []
    whole = next(row for row in rows if row["arm"] == row["against"])
    told = f"The verdicts of {_OF[group]} are right on {rate(whole, 'accuracy')} of "
    told += several(max(row[f"{key}_n"] for row in there), "labelled text")
    if shown := [row for row in there if row[f"{key}_shown"]]:
        told += "; " + listed([f"{_arm(row)} the change is {_change(row, 'accuracy')}" for row in shown])
    said = [f"{told}."]
    if equal := [_arm(row) for row in there if not row[f"{key}_changed"]]:
        said.append(f"No verdict differs {listed(equal)}.")
    if left := [row for row in there if row[f"{key}_changed"] and not row[f"{key}_shown"]]:
        reach = dict.fromkeys(f"{100 * end(row[f'{key}_could_show'] for row in left):.0f}" for end in (min, max))
        names = listed([_arm(row) for row in left])
        said.append(f"No difference is shown {names}: it would have had to be about {' to '.join(reach)} points.")
    return said


def _pairs(rows: Sequence[Row]) -> list[str]:
    """How many pairs arms make, and what a reward model learns from them."""
    there = [row for row in rows if row.get("pairs") is not None]
    if not there:
        return []
    least, most = (end(there, key=lambda row: row["pairs"]) for end in (min, max))
    said = [f"Each arm makes {several(most['pairs'], 'pair')}."]
    if least["pairs"] != most["pairs"]:
        said = [
            f"Arms make from {several(least['pairs'], 'pair')} ({_arm(least)}) to {most['pairs']:,} ({_arm(most)})."
        ]
    models = [row for row in there if row.get("rm_accuracy") is not None]
    if models:
        best = max(models, key=lambda row: row["rm_accuracy"])
        told = f"The reward model that learns from them is right on {rate(best, 'rm_accuracy')} of "
        told += f"{several(best['rm_n'], 'held-out pair')} at most ({_arm(best)})"
        labels = next((row for row in models if row["arm"] == "labels"), best)
        told += f", that of the labels alone on {rate(labels, 'rm_accuracy')}" if labels is not best else ""
        said.append(f"{told}; the longer text is the chosen one in {rate(best, 'rm_longer_wins')}.")
    return said


def _same_principles(rows: Sequence[Row]) -> list[str]:
    refined = [row for row in rows if "principles" in row]
    same: dict[str, list[str]] = {}
    for row in refined:
        if other := row["same_principles_as"]:
            same.setdefault(other, []).append(_arm(row))
    if len(refined) > 1 and sum(map(len, same.values())) == len(refined) - 1 and len(same) == 1:
        start = "" if any(row["accepted"] for row in refined) else ", those that they began with"
        return [f"All {len(refined)} arms of strategy B end with the same principles{start}."]
    return [f"The principles of {other} are the same {listed(names)}." for other, names in same.items()]


def _frameworks(rows: Sequence[Row]) -> list[str]:
    """Both strategies as classifiers beside what a ruler and a bag of n-grams reach."""
    of_name = {row["name"]: row for row in rows}
    twins = [of_name[name] for name in ("length", "n-grams") if name in of_name]
    own = [row for row in rows if row["name"] in _OF]
    if not twins or not own:
        return []
    told = listed([f"strategy {row['name']} is right on {rate(row, 'accuracy')}" for row in own])
    beside = listed([f"{row['name']} alone on {rate(row, 'accuracy')}" for row in twins])
    said = [f"As classifiers of {several(own[0]['n'], 'text')}: {told}; {beside}."]
    key = "accuracy_difference_ci"
    if lost := [row["name"] for row in own if key in row and row[key][1] < 0]:
        said.append(f"N-grams are shown to be right more often than strategy {' and '.join(lost)}.")
    return said


def _rewards(result: Row) -> list[str]:
    rewards = result.get("rewards")
    if not rewards:
        return []
    told = [
        f"{row['policy']} {points(row['difference'])} points by {row['signal']} ({interval(row['difference_ci'], 100)})"
        for row in rewards["differences"]
        if row["signal"] != "length" and row.get("difference") is not None
    ]
    said = [f"Against {rewards['whole']}, whose reward is whole: {listed(told)}."] if told else []
    return said + [f"{name} was not trained: {why}." for name, why in rewards["refused"].items()]


# ---- tables --------------------------------------------------------------------------------------------------------


def tables(result: Row) -> list[Shown]:
    """Verdicts, pairs with what is learnt from them, principles, frameworks, rewards, and what each arm took; those
    that have a row."""
    arms, rewards = result["arms"], result.get("rewards") or {"whole": "", "differences": [], "policies": {}}
    verdicts = [
        (row["arm"], *_rates(row), _change(row, "accuracy"), _could_show(row, "accuracy"), f"{row['unscored']:,}")
        for row in arms
        if row.get("accuracy") is not None
    ]
    made = [
        (
            row["arm"],
            f"{row['pairs']:,}",
            rate(row, "pair_share"),
            _change(row, "pair_share"),
            *(rate(row, f"rm_accuracy{end}") for end in ("", "_length_matched", "_chosen_shorter")),
            _change(row, "rm_accuracy"),
            _could_show(row, "rm_accuracy"),
        )
        for row in arms
        if row.get("pairs") is not None
    ]
    principles = [
        (
            row["arm"],
            row["principles"],
            f"{row['rules']}",
            f"{row['accepted']}",
            row["same_principles_as"] or "",
            value(row, "auc"),
        )
        for row in arms
        if "principles" in row
    ]
    twins = [(row["name"], *_rates(row), _change(row, "accuracy")) for row in result["frameworks"]]
    compared = [
        (row["policy"], row["signal"], f"{points(row['difference'])} ({interval(row['difference_ci'], 100)})")
        for row in rewards["differences"]
        if row.get("difference") is not None
    ]
    lengths = [(name, number(policy["mean_length"])) for name, policy in rewards["policies"].items()]
    spent = [
        (row["arm"], f"{row['calls']:,}", f"{row['tokens']:,}", in_words(row), duration(row["model_seconds"]))
        for row in arms
    ]
    of_verdicts = (f"{result['judged']} texts", *_RIGHT, "change", "could have shown", "no verdict")
    every: list[Shown] = [
        ("Verdicts", of_verdicts, verdicts),
        (_MADE, ("arm", "pairs", "queries with one", "change", *_LEARNT), made),
        ("Principles", ("strategy B", "principles", "rules", "taken", "the same as", "AUC"), principles),
        ("Both strategies as classifiers", ("as a classifier", *_RIGHT, "more than n-grams"), twins),
        ("Rewards", (f"against {rewards['whole']}", "by", "points"), compared),
        ("How long their texts are", ("policy", "characters"), lengths),
        ("What each arm takes by itself", ("arm", "calls", "tokens", "cost", "model time"), spent),
    ]
    return [table for table in every if table[2]]


def differences(result: Row) -> list[tuple[str, str, float, Sequence[float]]]:
    """The changes of accuracy in points, for a figure: arm, what it is of, value, interval."""
    key = "accuracy_difference"
    return [
        (row["arm"], _OF[row["group"]], 100 * row[key], [100 * bound for bound in row[f"{key}_ci"]])
        for row in result["arms"]
        if key in row
    ]


def _rates(row: Row) -> tuple[str, ...]:
    return tuple(rate(row, name) for name in ("accuracy", "precision", "recall", "f1"))


def _could_show(row: Row, name: str) -> str:
    reach = row.get(f"{name}_difference_could_show")
    return "–" if reach is None else f"{100 * reach:.0f}"
