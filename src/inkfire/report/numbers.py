"""The numbers of a comparison as tables: who writes how well, what differs, what would settle it, who may be believed.

A cell is a text, or a pair: what is measured, and what stands small beneath it. A table without rows is not shown.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from inkfire.evaluation.claims import LEVEL, independent, points
from inkfire.files.jsonl import SECONDS
from inkfire.report.folder import Folder
from inkfire.report.words import duration, interval, number, percent, rate, value
from inkfire.stats.agreement import binary_metrics

Result = Mapping[str, Any]
Cell = str | int | tuple[str, str]


class Table(NamedTuple):
    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    note: str = ""


def rates(evaluation: Result) -> list[Table]:
    """Every policy by every signal, overall and by slice."""
    head = ["policy", *(f"excellent by {signal}" for signal in evaluation["signals"])]
    beside = {"mean length": "mean_length", "distinct-1": "distinct_1", "distinct-2": "distinct_2"}
    rows: list[list[Cell]] = []
    for name, policy in evaluation["policies"].items():
        cells = [_rate(policy, signal, policy["own_reward"]) for signal in evaluation["signals"]]
        texts: list[Cell] = [number(policy[key]) for key in beside.values()]
        rows.append([name, *cells, *texts, percent(policy["novelty"]), percent(policy["copied"])])
    twin = "length is a twin that only counts characters, its cut fitted on labelled texts."
    note = f"Length is in characters. {twin if 'length' in evaluation['signals'] else ''}"
    slices: list[list[Cell]] = [
        [name, group, part["n"], *(_rate(part, signal, ()) for signal in evaluation["signals"])]
        for name, policy in evaluation["policies"].items()
        for group, part in policy["slices"].items()
    ]
    return [
        Table("Excellent texts", [*head, *beside, "novelty", "copied"], rows, note),
        Table("By slice", ["policy", "slice", "n", *head[1:]], slices, "Slices are small; their intervals say how."),
    ]


def _rate(of: Result, signal: str, own: Sequence[str]) -> Cell:
    """A rate; beneath it its interval, itself at equal length, and what it is of."""
    held, bounds = of.get("excellent_rate_lc", {}).get(signal), interval(of["excellent_rate_ci"][signal], 100)
    beneath = [bounds, f"at equal length {percent(held)}" if held is not None else ""]
    beneath += [f"{of['unscored'][signal]} unscored" if of["unscored"][signal] else ""]
    beneath += ["own reward" if signal in own else ""]
    return percent(of["excellent_rate"][signal]), " · ".join(filter(None, beneath))


def differences(evaluation: Result) -> list[Table]:
    """Policies against their baselines: by rates, and by wins where two texts were compared."""
    rows = [row for row in evaluation["differences"] if row["difference"] is not None and row["signal"] != "length"]
    head = ["policy", "against", "signal", "difference", "at equal length", "of like length", "by length alone", "n"]
    table: list[list[Cell]] = [
        [
            row["policy"],
            row["against"],
            (row["signal"], _standing(row)),
            _points(row, "difference"),
            _points(row, "difference_lc"),
            _points(row, "difference_matched", row.get("n_matched")),
            "" if row.get("difference_by_length") is None else points(row["difference_by_length"]),
            row["n"],
            p_value(row.get("difference_p")),
            p_value(row.get("difference_p_holm")),
            power(row),
            ", ".join(map(points, row.get("seeds") or ())),
        ]
        for row in rows
    ]
    wins: list[list[Cell]] = [
        [
            row["policy"],
            row["against"],
            (row["signal"], _standing(row)),
            *(_percent(row, key) for key in _WINS.values()),
            row["ties"],
            row["n"],
        ]
        for row in rows
        if row.get("win_rate") is not None
    ]
    note = "In percentage points, with 95 % intervals over queries."
    return [
        filled(Table("Differences", [*head, "p", "p by Holm", "more queries", "by seed"], table, note)),
        Table("Wins, asked in both orders", ["policy", "against", "signal", *_WINS, "ties", "n"], wins),
    ]


_WINS = {
    "wins": "win_rate",
    "at equal length": "win_rate_lc",
    "on texts of like length": "win_rate_matched",
    "order flips": "order_flip_rate",
}


def _standing(row: Result) -> str:
    return "own reward" if row["own_reward"] else "" if independent(row) else "not qualified"


def _points(row: Result, name: str, n: int | None = None) -> Cell:
    if row.get(name) is None:
        return ""
    return points(row[name]), interval(row[f"{name}_ci"], 100) + (f" · n = {n}" if n else "")


def _percent(row: Result, name: str) -> Cell:
    return percent(row[name]), interval(row[f"{name}_ci"], 100)


def p_value(p: float | None) -> str:
    return "" if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}"


def power(row: Result) -> str:
    """How many more queries would settle a difference."""
    if not independent(row) or "more_queries" not in row:
        return ""
    low, high = row["difference_ci"]
    if not low <= 0 <= high and (row.get("difference_p_holm") or 0) <= LEVEL:
        return "settled"
    return f"about {row['more_queries']:,}" if row["more_queries"] is not None else "over ten times as many"


def filled(table: Table) -> Table:
    """Without the columns in which nothing stands."""
    kept = [i for i in range(len(table.head)) if any(row[i] not in ("", None) for row in table.rows)]
    rows = [[row[i] for i in kept] for row in table.rows]
    return table._replace(head=[table.head[i] for i in kept], rows=rows)


def believed(evaluation: Result) -> list[Table]:
    """Which signals a claim may rest on, what they follow besides, and how far they say the same."""
    shortcut = evaluation.get("shortcut", {})
    rows: list[list[Cell]] = [
        [
            name,
            "yes" if row["qualified"] else "no",
            ", ".join(row["sees"]),
            ", ".join(row["blind"]),
            row["why"],
            _value(shortcut.get(name, {}), "length_auc"),
            _value(shortcut.get(name, {}), "query_share"),
        ]
        for name, row in evaluation.get("qualified", {}).items()
    ]
    head = ["signal", "qualified", "sees", "does not see", "because", "length AUC", "share of the query"]
    people: list[list[Cell]] = [
        [name, (percent(row["agreement"]), interval(row["agreement_ci"], 100)), _value(row, "kappa"), row["n"]]
        for name, row in evaluation.get("agreement", {}).items()
    ]
    note = (
        "A signal is shown good texts beside the same texts damaged by code. One that cannot tell them apart is gamed."
    )
    return [
        filled(Table("Which signals a claim may rest on", head, rows, note)),
        _matrix(evaluation["signals"], agreement(evaluation)),
        Table("Agreement with people", ["signal", "agreement", "kappa", "n"], people),
    ]


def agreement(evaluation: Result) -> list[tuple[str, str, str, str, int]]:
    """(signal, another, share of equal labels, kappa, texts) of every two signals, on the first text of each policy to
    each query; both with intervals over queries. The length twin is one of them."""
    rows = []
    for one, other in itertools.combinations(evaluation["signals"], 2):
        both = [
            (said[one], said[other], place)
            for place, sample in enumerate(evaluation["samples"])
            for given in sample["responses"].values()
            if None not in ((said := given["labels"]).get(one), said.get(other))
        ]
        if both:
            labels, others, queries = zip(*both, strict=True)
            found = binary_metrics(labels, others, queries)
            rows.append((one, other, rate(found, "accuracy"), value(found, "kappa"), len(both)))
    return rows


def _matrix(signals: Sequence[str], rows: Sequence[tuple[str, str, str, str, int]]) -> Table:
    """Signals against signals: the share of equal labels, kappa beneath it."""
    found = {(one, other): (share, f"kappa {kappa}") for one, other, share, kappa, _ in rows}
    grid: list[list[Cell]] = [
        [one, *("" if one == other else found.get((one, other), found.get((other, one), "")) for other in signals)]
        for one in signals
    ]
    n = max((row[4] for row in rows), default=0)
    note = f"The share of equal labels, on {n} texts: the first of each writer to each query."
    return Table("Agreement of the signals", ["agreement", *signals], grid if rows else [], note)


def _value(of: Result, name: str) -> Cell:
    return "" if of.get(name) is None else (number(float(of[name])), interval(of[f"{name}_ci"]))


def people(evaluation: Result) -> list[Table]:
    """What people and rubrics say, dimension by dimension."""
    rated = {name: row for name, row in evaluation.get("people", {}).items() if row["n"]}
    dimensions: list[str] = next((list(row["dimensions"]) for row in rated.values()), [])
    rows: list[list[Cell]] = [
        [name, row["n"], _raters(row), row["ties"], number(row["mean"]), *map(number, row["dimensions"].values())]
        for name, row in rated.items()
    ]
    head = ["policy", "texts rated", "raters a text", "ties", "weighted mean", *dimensions]
    tables = [Table("What people say", head, rows, "A text's label is the mean over its raters.")]
    policies = evaluation["policies"]
    for signal, of in next(iter(policies.values())).get("dimensions", {}).items():
        points_of: list[list[Cell]] = [
            [name, *(_value(row, "mean") for row in policy["dimensions"].get(signal, {}).values())]
            for name, policy in policies.items()
        ]
        tables.append(Table(f"The rubric, by {signal}", ["policy", *of], points_of))
    return tables


def _raters(row: Result) -> str:
    return ", ".join(f"{raters} ({n} texts)" for raters, n in row["raters"].items())


_VARIETY: Mapping[str, tuple[str, Callable[[Result, str], Cell]]] = {
    "distinct-1": ("distinct_1", _value),
    "distinct-2": ("distinct_2", _value),
    "self-BLEU": ("self_bleu", _value),
    "bits of openings": ("opening_entropy", _value),
    "on a template": ("templates", _percent),
}


def variety(evaluation: Result) -> Table:
    """What the texts are like, whoever likes them."""
    policies = evaluation["policies"]
    varied = [one for policy in policies.values() if (one := policy.get("variety"))]
    head = ["policy", *_VARIETY, "stock phrases", "copied", "like a training text"]
    rows: list[list[Cell]] = []
    for name, policy in policies.items() if varied else ():
        of = policy.get("variety")
        cells: list[Cell] = [cell(of, key) if of else "" for key, cell in _VARIETY.values()]
        rows.append([name, *cells, *(_value(policy, key) for key in ("slop", "copied", "nearest"))])
    note = ""
    if varied:
        note = (
            f"Of {varied[0]['texts']} texts of each policy, cut to {varied[0]['units']} units (characters of Chinese, "
            "words of English), with 95 % intervals over queries."
        )
    return filled(Table("", head, rows, note))


# ---- what made them ------------------------------------------------------------------------------------------------


def judges(stages: Mapping[str, Result]) -> Table:
    """The judge and the reward model of a recipe on labelled data, beside the twins that do not read."""
    rows: list[list[Cell]] = []
    if (judge := stages.get("judge")) and "auc" in judge:
        on = f"{judge['n']} labelled texts, apart from the {judge['n_fit']} that fitted its threshold"
        twins = {"length": "length_auc", "n-grams": "ngram_auc", "its examples' labels": "examples_auc"}
        beside = [f"{name} {value(judge, key)}" for name, key in twins.items() if judge.get(key) is not None]
        within = ("AUC within a query", value(judge, "auc_within_query"))
        told = [("AUC", value(judge, "auc")), within, ("accuracy", rate(judge, "accuracy"))]
        rows.append([("judge", f"{judge['model']}, {judge['mode']}"), on, _listed(told), "; ".join(beside)])
    if model := stages.get("reward_model"):
        learnt = ""
        if "pairs_curated" in model:
            curated = f"{model['pairs_curated']} pair{'' if model['pairs_curated'] == 1 else 's'} curated here"
            learnt = f"; learnt from {curated} and {model['pairs_data']} of the data"
        told = [
            ("accuracy", rate(model, "accuracy")),
            ("of like length", rate(model, "accuracy_length_matched")),
            ("chosen shorter", rate(model, "accuracy_chosen_shorter")),
        ]
        beside = [f"longer wins {rate(model, 'longer_wins')}"]
        beside += [f"n-grams {rate(model, 'ngram_accuracy')}"] if model.get("ngram_accuracy") is not None else []
        on = f"{model['n']} pairs, {model['measured_on']}"
        rows.append([("rm", model["kind"] + learnt), on, _listed(told), "; ".join(beside)])
    return Table("Judge and reward model", ["reward", "measured on", "result", "twins"], rows)


def _listed(told: Sequence[tuple[str, str]]) -> str:
    return "; ".join(f"{name} {found}" for name, found in told if found != "–")


_COURSE: Mapping[str, tuple[str, Callable[[Any], str]]] = {
    "mean reward": ("reward", number),
    "mean length": ("mean_length", number),
    "cut off": ("truncated", percent),
    "coverage": ("coverage", percent),
    "equal rewards": ("zero_variance", percent),
    "KL": ("kl_text", number),
}


def trainings(run: Folder, names: Sequence[str]) -> Table:
    """A row a training: how it was trained, and where its numbers began and ended."""
    rows: list[list[Cell]] = []
    recipe = {policy["name"]: policy for policy in run.settings.get("policies", ())}
    for name in names:
        of, metrics = run.stages().get(name, {}), list(run.rows(f"{name}/metrics.jsonl"))
        method = recipe[name].get("method", "grpo") if name in recipe else name
        cells: list[Cell] = [_course(metrics, key, form) for key, form in _COURSE.values()]
        alarms = sum(1 for _ in run.rows(f"{name}/alarms.jsonl"))
        about: list[Cell] = [method, of.get("start", ""), of.get("reward", ""), of.get("steps", "")]
        follows = of.get("length_correlation")
        beside: list[Cell] = ["" if follows is None else number(follows), alarms or "none", _phases(run, name)]
        rows.append([name, *about, *cells, *beside])
    head = ["writer", "method", "start", "reward", "steps", *_COURSE, "follows length", "alarms", "time went into"]
    return filled(Table("Trainings", head, rows, "Where two numbers stand, the first and the last step's."))


def _phases(run: Folder, name: str) -> str:
    """Seconds by phase of its steps: writing, scoring, learning …"""
    spent = Counter[str]()
    for row in run.rows(f"{name}/{SECONDS}"):
        spent.update({phase: seconds for phase, seconds in row.items() if phase != "step"})
    return ", ".join(f"{phase} {duration(seconds)}" for phase, seconds in spent.most_common())


def _course(metrics: Sequence[Result], name: str, form: Callable[[Any], str]) -> str:
    known = [row[name] for row in metrics if row.get(name) is not None]
    return f"{form(known[0])} → {form(known[-1])}" if len(known) > 1 else "".join(map(form, known))
