"""What the training commands left: where loss and reward went, what a reward model is worth, what was written last."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Any

from inkfire.report import figures
from inkfire.report.folder import USED, Folder, Result
from inkfire.report.scoring import accuracies, beside_length, ends
from inkfire.report.sections import Figure, Page, Sample, Section, Table, shown
from inkfire.report.words import number, percent, rate, value

_CURVES = {
    "loss": "loss",
    "accuracy": "accuracy on training pairs",
    "margin": "margin, chosen over rejected",
    "reward": "mean reward",
    "reward_std": "reward standard deviation",
    "mean_length": "mean length (characters)",
    "kl": "KL from the start",
    "zero_variance": "groups without a signal",
}
_SAMPLES = 3


def curves(rows: Iterable[Result]) -> list[Figure]:
    """A figure of each number that the rows of metrics.jsonl have at two steps or more."""
    metrics = list(rows)
    drawn = []
    for key, label in _CURVES.items():
        points = [(float(row["step"]), float(row[key])) for row in metrics if row.get(key) is not None]
        if len(points) > 1:
            drawn.append(Figure(figures.curve({label: points}, "step", label)))
    return drawn


def course(folder: Folder) -> Section:
    """The training's curves; they are there before it ends."""
    return Section("The course of the training", figures=curves(folder.rows("metrics.jsonl")))


def sft(folder: Folder, result: Result) -> Page:
    said = "A lower loss says that it writes more like its training texts, not that it writes better: inkfire evaluate."
    return Page(
        f"{folder.settings['base']}, fine-tuned on {result['n']} texts in {result['steps']} steps: its loss went from "
        f"{number(result['loss_first'])} to {number(result['loss_last'])}.",
        [said],
        [],
        [course(folder), _all(result)],
    )


def reward_model(folder: Folder, result: Result) -> Page:
    area = value(result, "auc", result["threshold_n"])
    said = f"On {result['threshold_from']}, which set its threshold for excellent, its AUC is {area}."
    held_out = [
        Sample(row["query"], [("chosen", shown(row["chosen"])), ("rejected", shown(row["rejected"]))])
        for row in islice(folder.rows("held_out_pairs.jsonl"), _SAMPLES)
    ]
    return Page(
        f"The {result['kind']} reward model prefers the chosen text in {rate(result, 'accuracy', result['n'])} of the "
        f"pairs ({result['measured_on']}).",
        [*beside_length(result), said],
        result["warnings"],
        [
            accuracies(
                result, **({} if result["kind"] == "linear" else {"ngram_accuracy": "the n-gram twin, all pairs"})
            ),
            course(folder),
            Section("Pairs that were held out", samples=held_out),
        ],
    )


def grpo(folder: Folder, result: Result) -> Page:
    headline = (
        f"In {result['steps']} steps from {folder.settings['policy']} the reward {folder.settings['reward']} went from "
        f"{number(result['reward_first'])} to {number(result['reward_last'])}, and the mean length from "
        f"{number(result['mean_length_first'])} to {number(result['mean_length_last'])} characters."
    )
    said = [
        "A higher reward is what was trained, not yet better writing: inkfire evaluate asks signals that were no part "
        "of it.",
        f"Within groups the reward's correlation with length is {number(result['length_correlation'])}; in "
        f"{percent(result['zero_variance'])} of the groups all rewards were equal and taught nothing.",
    ]
    return Page(
        headline,
        said,
        result["warnings"],
        [course(folder), Section("What it wrote in the last step", samples=_last(folder)), _all(result)],
    )


def _last(folder: Folder) -> list[Sample]:
    """The best and the worst completions of the last step, by the reward."""
    rows: list[Result] = []
    for row in folder.rows("completions.jsonl"):
        if rows and row["step"] != rows[0]["step"]:
            rows.clear()
        rows.append(row)
    return ends(rows, "reward")


def _all(result: Result) -> Section:
    return Section("All numbers", table=scalars(result))


def scalars(result: Result) -> Table:
    """Every number and word of a result, with its interval where it has one, but what it took."""
    rows = []
    for name, found in result.items():
        if not name.endswith("_ci") and name not in USED and isinstance(found, (int, float, str, type(None))):
            bounds: Any = result.get(f"{name}_ci")
            beside = f" ({number(bounds[0])} to {number(bounds[1])})" if bounds else ""
            rows.append((name.replace("_", " "), number(found) + beside))
    return Table(("", "value"), rows)
