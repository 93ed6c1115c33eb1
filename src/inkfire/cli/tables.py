"""The numbers of each command's result as tables: a line for each that there is, with its interval."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from inkfire.cli.common import Table
from inkfire.judge.measure import CLASSIFIER
from inkfire.llm.bill import in_words
from inkfire.report import ablated, picks
from inkfire.report.findings import Result
from inkfire.report.words import change, counted, duration, number, percent, rate, several, share, value

Cell = Callable[[Result, str], str]
Names = Mapping[str, tuple[str, Cell]]
"""A number's name → its label, and how it is written."""


def count(result: Result, name: str) -> str:
    return f"{result[name]:,}"


def plain(result: Result, name: str) -> str:
    return number(result[name])


def rows(result: Result, names: Names, *ends: str) -> list[tuple[str, ...]]:
    """A row for each of ``names`` that there is: its label, its number, and the same with each of ``ends``."""
    return [
        (label, cell(result, name), *(cell(result, name + end) if name + end in result else "" for end in ends))
        for name, (label, cell) in names.items()
        if result.get(name) is not None
    ]


def took(result: Result) -> list[tuple[str, ...]]:
    """What it took of models and time, as far as the result says it."""
    said = []
    if result.get("calls"):
        cached = f" ({result['cached']:,} from the ledger)" if result.get("cached") else ""
        said.append(several(result["calls"], "model call") + cached)
    if result.get("tokens"):
        said += [several(result["tokens"], "new token"), f"cost {in_words(result)}"]
    if "seconds" in result:
        said.append(duration(result["seconds"]))
    return [("took", ", ".join(said))] if said else []


def _lacking(result: Result) -> list[tuple[str, str]]:
    """What models were found to lack, and how deep a debate was: with another, the same numbers mean another thing."""
    said = [(f"{model} lacks", ", ".join(features)) for model, features in result.get("lacking", {}).items()]
    return [*([("debates", result["depth"])] if result.get("depth") else []), *said]


def damage(result: Result) -> list[Table]:
    """How well it tells good texts from damaged ones, by kind."""
    kinds = (result.get("qualified") or {}).items()
    rows = [(kind, value(row, "auc"), value(row, "length_auc"), count(row, "n")) for kind, row in kinds]
    return [Table(rows, ("good texts beside damaged ones", "AUC", "length alone", "n"))] if rows else []


def arrow(result: Result, name: str) -> str:
    return f"{number(result[f'{name}_first'])} → {number(result[f'{name}_last'])}"


# ---- data ----------------------------------------------------------------------------------------------------------


def audit(found: Result) -> list[Table]:
    of_pairs = {
        "longer_wins": ("the longer text wins", rate),
        "shorter_wins": ("the shorter text wins", rate),
        "ngram_accuracy": ("n-grams are right", rate),
        "writer_accuracy": ("the writer's name is right", rate),
    }
    of_texts = {
        "good_share": ("labelled good", rate),
        "length_auc": ("AUC of length", value),
        "length_best_accuracy": ("right by the best cut in length", rate),
        "length_cv_accuracy": ("that cut, fitted on other queries", rate),
        "ngram_auc": ("AUC of n-grams", value),
        **({} if found["n_pairs"] else {"ngram_accuracy": ("right by n-grams", rate)}),
        "mixed_share": ("mixing in another script", rate),
        "refusal_share": ("refusals to write", rate),
        "writer_auc": ("AUC of the writer's name", value),
    }
    counts = {
        "overlap_exact": ("rows whose text is in the other files", count),
        "overlap_near": ("rows with a text nearly in them", count),
        "overlap_query": ("rows whose query is in them", count),
        "overlap_query_near": ("rows whose query is nearly in them", count),
        "repeats_across": ("rows in two of the audited files", count),
        "duplicates": ("rows that repeat an earlier one", count),
        "near_duplicates": ("texts that repeat another, nearly", count),
        "contradictions": ("texts labelled both ways", count),
        "blank": ("blank texts", count),
    }
    slices = [
        (tag, count(row, "n_pairs"), rate(row, "longer_wins"), count(row, "n_labelled"), rate(row, "good_share"))
        for tag, row in found["slices"].items()
    ]
    varied = [
        (f"distinct-{n}", "", *(plain(found, f"distinct_{n}_{side}") for side in ("good", "bad"))) for n in (1, 2)
    ]
    told = [*rows(found, of_texts, "_good", "_bad"), *varied]
    texts = Table(told, (several(found["n_texts"], "text"), "all", "good", "bad"))
    return [
        *([_on_pairs(found, of_pairs, found["n_pairs"])] if found["n_pairs"] else []),
        texts,
        Table(rows(found, counts)),
        Table(slices, ("slice", "pairs", "longer wins", "texts", "good")),
        Table(
            [(name, count(row, "n"), rate(row, "good_share")) for name, row in found.get("writers", {}).items()],
            ("writer", "texts", "good"),
        ),
    ]


def _on_pairs(result: Result, names: Names, n: int) -> Table:
    """Beside all pairs, those whose length says nothing, and those in which it says the wrong thing."""
    parts = (f"{result['n_length_matched']:,} of like length", f"{result['n_chosen_shorter']:,} chosen shorter")
    return Table(rows(result, names, "_length_matched", "_chosen_shorter"), (several(n, "pair"), "all", *parts))


def checked(result: Result) -> list[Table]:
    counts = [(name, share(failed, result["n"])) for name, failed in result["failed"].items()]
    return [Table(counts, ("check", "fail it"))]


def curate(result: Result) -> list[Table]:
    shares = {
        "good": ("labelled good", "labelled"),
        "reflect_flips": ("verdicts turned by Reflect", "labelled"),
        "unscored": ("without a verdict", "candidates"),
    }
    counts: Names = {
        "queries": ("queries", count),
        "repeated_queries": ("queries that repeat another", count),
        "pair_share": ("queries with a pair", rate),
        "pairs": ("pairs", count),
        "longer_wins": ("pairs whose chosen text is longer", rate),
        "candidates": ("candidates", count),
        "not_written": ("not written to their end", count),
        "duplicates": ("near-duplicates left out", count),
    }
    why = [(f"no verdict from {agent}", f"{n:,}") for agent, n in counted(result["unscored_by"])]
    why += [(f"no pair: {picks.NO_PAIR[name]}", f"{n:,}") for name, n in counted(result["no_pair"])]
    of_texts = [(label, share(result[name], result[whole])) for name, (label, whole) in shares.items()]
    return [Table([*rows(result, counts), *of_texts, *why, *_lacking(result), *took(result)])]


def estimate(result: Result) -> list[Table]:
    """What all queries will take, and what the sample took."""
    names: dict[str, tuple[str, Callable[[Any], str]]] = {
        "calls": ("model calls", "{:,}".format),
        "prompt_tokens": ("tokens of prompts", "{:,}".format),
        "completion_tokens": ("tokens of replies", "{:,}".format),
        "cost": (f"cost, {result['currency']}", "{:,.2f}".format),
        "seconds": ("time", duration),
    }
    unpriced = f"unknown: no price of {', '.join(result['unpriced'])}"
    all_of_them = []
    for name, (label, form) in names.items():
        found, bounds = result[f"estimate_{name}"], result[f"estimate_{name}_ci"]
        between = " to ".join(map(form, bounds)) if bounds else "" if found is None else "needs two queries"
        all_of_them.append((label, unpriced if found is None else form(found), between))
    low, high = result["estimate_pair_share_ci"]
    pairs = ("queries with a pair", percent(result["estimate_pair_share"]), f"{percent(low)} to {percent(high)}")
    head = (several(result["queries"], "query", "queries"), "about", "range, 19 times in 20")
    return [Table([*all_of_them, pairs], head), Table([("the sample", took(result)[0][1])])]


# ---- judges --------------------------------------------------------------------------------------------------------

_JUDGED: Names = {
    "auc": ("AUC", value),
    "auc_within_query": ("AUC within a query", value),
    "length_auc": ("AUC of length alone", value),
    "ngram_auc": ("AUC of n-grams", value),
    "examples_auc": ("AUC of its examples' labels", value),
    "auc_minus_examples_auc": ("AUC, more than these have", change),
    "accuracy": ("accuracy", rate),
    "balanced_accuracy": ("balanced accuracy", rate),
    "precision": ("precision of good", rate),
    "recall": ("recall of good", rate),
    "says_good": ("called good", rate),
    "f1": ("F1", value),
    "kappa": ("kappa", value),
    "ece": ("calibration error", value),
    "brier": ("Brier score", value),
}


def judge(result: Result) -> list[Table]:
    parts = {"_length_matched": "of like length", "_no_overlap": "without overlap"}
    parts = {end: f"{result[f'n{end}']:,} {what}" for end, what in parts.items() if result.get(f"n{end}")}
    classes: Names = {name: _JUDGED[name] for name in CLASSIFIER}
    twins = [
        (label, *(cell(result, whose + name) for whose in ("", "length_", "ngram_")))
        for name, (label, cell) in classes.items()
        if result.get(f"length_{name}") is not None
    ]
    names = {name: told for name, told in _JUDGED.items() if not twins or name not in CLASSIFIER[1:]}
    numbers = Table(rows(result, names, *parts), ("", several(result["scored"], "text"), *parts.values()))
    counts = [("without a verdict", share(result["unscored"], result["n"]))]
    if result.get("n_overlap") is not None:
        counts.append(("texts with an overlap", count(result, "n_overlap")))
    if result.get("uncalibrated"):
        counts.append(("accuracy without its calibration", rate(result["uncalibrated"], "accuracy")))
    if "checklists" in result:
        counts += [("checklists", count(result, "checklists")), ("their criteria", count(result, "criteria"))]
        counts.append(("dropped: they separate nothing", str(len(result["dropped_criteria"]))))
    counts += _lacking(result)
    said = [(value(row, "said"), rate(row, "found"), count(row, "n")) for row in result.get("reliability", ())]
    return [
        numbers,
        Table(twins, ("as a classifier", "the judge", "length alone", "n-grams")),
        Table(said, ("P(Good) said", "found good", "texts")),
        *damage(result),
        Table([*counts, *took(result)]),
    ]


def pairwise(result: Result) -> list[Table]:
    names: Names = {
        "accuracy": ("right, a tie half", rate),
        "accuracy_decided": ("right of those decided", rate),
        "accuracy_length_matched": ("right of those of like length", rate),
        "accuracy_better_first": ("right, the better one shown first", rate),
        "accuracy_worse_first": ("right, the better one shown second", rate),
        "longer_wins": ("the longer text is the chosen one", rate),
        "order_flip_rate": ("answers that change with the order", rate),
        "first_place_rate": ("of these, for the text shown first", rate),
        "first_share": ("answers for the text shown first", rate),
        "ties": ("ties", count),
        "unscored": ("without an answer", count),
        "sets": ("groups, each ranked twice", count),
    }
    there = {name: told for name, told in names.items() if name in result}
    return [Table(rows(result, there)), *damage(result), Table(took(result))]


def curve(result: Result) -> list[Table]:
    names: dict[str, Cell] = {"accuracy": rate, "balanced_accuracy": rate, "auc": value}
    sizes = [(str(n), *(cell(result, f"{name}_{n}") for name, cell in names.items())) for n in result["labels"]]
    return [Table(sizes, ("labels", "accuracy", "balanced accuracy", "AUC")), Table(took(result))]


def attack(result: Result) -> list[Table]:
    parts = [(row, "", name + " *" * (row["split"] == "held_out")) for name, row in result["families"].items()]
    parts += [(result, "_development", "all without *"), (result, "_held_out", "all with *"), (result, "", "all")]
    columns = {"flips": "turned to good", "flips_off": "without the defences"}
    there = {name: label for name, label in columns.items() if name in result}
    numbers = [
        (label.replace("_", " "), count(row, f"flips_off{end}_n"), *(rate(row, name + end) for name in there))
        for row, end, label in parts
    ]
    carriers = f"{result['carriers_bad']} of {result['carriers']} that the judge calls bad"
    more = [("*", "the defences were not written on these"), ("bad texts to hide them in", carriers)]
    if result.get("clean_lost") is not None:
        more.append(("good texts that the defences cost", rate(result, "clean_lost", result["clean"])))
    return [Table(numbers, ("injections", "n", *there.values())), Table([*more, *took(result)])]


def probe(result: Result) -> list[Table]:
    cells: dict[str, Cell] = {"flip_rate": rate, "to_good": rate, "shift": change}
    numbers = [
        (name, *(cell(result, f"{name}_{end}") for end, cell in cells.items())) for name in result["probes"][:-1]
    ]
    own = result["self_preference"]
    if result["self_preference_shift"] is not None:
        own = f"{change(result, 'self_preference_shift', result['self_preference_n'])}, {own}"
    more = [("P(Good) more for its own texts", own), ("texts", count(result, "n"))]
    head = ("change", "verdicts that turn", "bad to good", "shift of P(Good)")
    return [Table(numbers, head), Table([*more, *took(result)])]


def refine(result: Result) -> list[Table]:
    before, after = result["before"], result["after"]
    names = {name: _JUDGED[name] for name in ("auc", "auc_within_query", "length_auc", "accuracy", "balanced_accuracy")}
    both = [
        (label, cell(before, name), cell(after, name))
        for name, (label, cell) in names.items()
        if after.get(name) is not None
    ]
    counts: Names = {
        "accepted": ("candidates taken", count),
        "rejected": ("candidates rejected", count),
        "attacks": ("texts that fooled the judge", count),
    }
    head = (several(after["scored"] or 0, "test text"), "before", "after")
    return [Table(both, head), Table([*rows(result, counts), *took(result)])]


# ---- trainings, rewards, policies ----------------------------------------------------------------------------------


_RIGHT: Names = {
    "accuracy": ("the reward is right", rate),
    "longer_wins": ("the longer text wins", rate),
    "ngram_accuracy": ("n-grams are right", rate),
}


def reward_model(result: Result) -> list[Table]:
    beside = result["kind"] != "linear" or "gain_over_ngram" in result
    names = {name: told for name, told in _RIGHT.items() if name != "ngram_accuracy" or beside}
    cut = f"{number(result['threshold'])}, from {result['threshold_n']:,} {result['threshold_from']}"
    more = [("threshold for excellent", cut), ("AUC on these", value(result, "auc"))]
    more += [("correlation with log length", value(result, "length_correlation"))]
    return [_on_pairs(result, names, result["n"]), *damage(result), Table([*more, *took(result)])]


def score(result: Result) -> list[Table]:
    if "longer_wins" in result:
        left = ("without a score", share(result["missing"], result["n"] + result["missing"]))
        return [_on_pairs(result, _RIGHT, result["n"]), *damage(result), Table([left])]
    names: dict[str, tuple[str, Cell]] = {
        "auc": ("AUC", value),
        "length_auc": ("AUC of length alone", value),
        "accuracy": ("accuracy at the threshold", rate),
        "precision": ("precision of excellent", rate),
        "recall": ("recall of good", rate),
        "excellent_rate": ("excellent, at the threshold", rate),
        "mean": ("mean score", plain),
    }
    twins = {"length": "length", "ngram": "n-grams", "checks": "the checks"}
    names |= {f"{twin}_r2": (f"R² of {said} alone", value) for twin, said in twins.items()}
    names |= {"passed_rate": ("pass every check", rate)}
    left = ("without a score", share(result["missing"], result["n"]))
    parts = [
        (row["part"], number(row["weight"]), *(number(row[name]) for name in ("mean", "sd", "correlation")))
        for row in result.get("parts", ())
    ]
    failed = [(name, share(n, result["n"])) for name, n in result.get("failed", {}).items()]
    return [
        Table([*rows(result, names), left]),
        Table(parts, ("part", "weight", "mean", "sd", "correlation with the whole")),
        Table(failed, ("check", "texts that fail it")),
        *damage(result),
    ]


def edits(result: Result) -> list[Table]:
    head = ("edit", "texts whose score rises", "shift, in sd of the score", "n")
    most_first = sorted(result["edits"].items(), key=lambda item: -(item[1]["shift"] or 0.0))
    return [
        Table([(name, rate(row, "raised"), change(row, "shift"), count(row, "n")) for name, row in most_first], head)
    ]


def ablate(result: Result) -> list[Table]:
    return [*(Table(rows, head) for _, head, rows in ablated.tables(result)), Table(took(result))]


def write(result: Result) -> list[Table]:
    return [Table(took(result))]
