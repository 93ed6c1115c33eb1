"""What ``inkfire score`` found: a reward on pairs or on texts, beside what length explains."""

from __future__ import annotations

from collections.abc import Iterable

from inkfire.report.folder import Folder, Result
from inkfire.report.sections import Page, Sample, Section, Table, dots, shown
from inkfire.report.words import lines, longer, number, rate, value

_SAMPLES = 3


def score(folder: Folder, result: Result) -> Page:
    rows = list(folder.rows("scores.jsonl"))
    warnings = []
    if result["missing"]:
        warnings.append(f"{result['missing']} have no score and are left out.")
    return _pairs(result, rows, warnings) if "longer_wins" in result else _texts(result, rows, warnings)


def accuracies(result: Result, **more: str) -> Section:
    """A reward's accuracy on pairs, where length cannot help too; ``more`` names (name → label) stand beneath."""
    names = {
        "accuracy": f"all {result['n']} pairs",
        "accuracy_length_matched": f"the {result['n_length_matched']} pairs of like length",
        "accuracy_chosen_shorter": f"the {result['n_chosen_shorter']} pairs whose chosen text is shorter",
        "longer_wins": "the length twin: the longer text wins",
        **more,
    }
    table = Table(("on", "accuracy"), lines(result, names, rate))
    return Section("How often it is right", table=table, figures=dots(result, names, "accuracy"))


def beside_length(result: Result) -> list[str]:
    """What length explains of these pairs, and how often the reward is right where it explains nothing."""
    said = [longer(result, result["n"], "the chosen text")]
    if matched := result["n_length_matched"]:
        said.append(f"On pairs of like length it is right in {rate(result, 'accuracy_length_matched', matched)}.")
    return [line for line in said if line]


def _pairs(result: Result, rows: list[Result], warnings: list[str]) -> Page:
    scored = [row for row in rows if row["chosen"] is not None and row["rejected"] is not None]
    wrong = sorted((r for r in scored if r["chosen"] <= r["rejected"]), key=lambda r: r["chosen"] - r["rejected"])
    worst = [(row["query"], number(float(row["chosen"])), number(float(row["rejected"]))) for row in wrong[:10]]
    return Page(
        f"{result['reward']} scores the chosen text higher in {rate(result, 'accuracy', result['n'])} of the pairs.",
        beside_length(result),
        warnings,
        [
            accuracies(result),
            Section("Pairs it has most wrong", table=Table(("query", "score of chosen", "of rejected"), worst)),
        ],
    )


def _texts(result: Result, rows: list[Result], warnings: list[str]) -> Page:
    scored, threshold = result["scored"], result["threshold"]
    said = []
    headline = f"{result['reward']} scores {scored} of {result['n']} texts, {number(result['mean'])} on average."
    if result.get("auc") is not None:
        headline = f"{result['reward']} ranks the good of {scored} labelled texts above the bad with an AUC of "
        headline += f"{value(result, 'auc')}; length alone has {value(result, 'length_auc')}."
    if threshold is not None:
        good = rate(result, "excellent_rate", scored)
        said.append(f"At its threshold of {number(float(threshold))} it calls {good} excellent.")
    if result.get("injections"):
        warnings = [*warnings, f"Texts that seem to tell the judge what to answer: {result['injections']}."]
    names = {"accuracy": "accuracy at its threshold", "precision": "precision", "recall": "recall"}
    numbers = lines(result, names, rate) + lines(result, {"auc": "AUC", "length_auc": "AUC of length alone"})
    return Page(
        headline,
        said,
        warnings,
        [
            Section(
                "Against the labels",
                table=Table(("", "value"), numbers),
                figures=dots(result, {"auc": "the reward", "length_auc": "length"}, "AUC"),
            ),
            Section("The highest and the lowest scores", samples=ends(rows, "score")),
        ],
    )


def ends(rows: Iterable[Result], name: str) -> list[Sample]:
    """The texts of highest and of lowest ``name`` (reward, score)."""
    ranked = sorted((row for row in rows if row[name] is not None), key=lambda row: -row[name])
    kept = ranked[:_SAMPLES] + ranked[max(_SAMPLES, len(ranked) - _SAMPLES) :]
    return [Sample(row["query"], [(f"{name} {number(float(row[name]))}", shown(row["response"]))]) for row in kept]
