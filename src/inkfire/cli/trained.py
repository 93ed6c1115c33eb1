"""The numbers of a training of a policy as tables: SFT, best-of-n and DPO."""

from __future__ import annotations

from inkfire.cli import tables
from inkfire.cli.common import Table
from inkfire.cli.tables import Names, arrow, count, plain, rows, took
from inkfire.report.findings import Result
from inkfire.report.words import percent, rate


def sft(result: Result) -> list[Table]:
    names: Names = {
        "eval_loss": ("loss of the held-out texts", plain),
        "learning_rate": ("learning rate", plain),
        "steps": ("steps", count),
        "n": ("texts", count),
    }
    return [Table([("loss, first and last steps", arrow(result, "loss")), *rows(result, names), *took(result)])]


def grpo(result: Result) -> list[Table]:
    phases = result.get("profile", {})
    whole = sum(phases.values())
    table = [(name, f"{seconds:.3g} s", percent(seconds / whole)) for name, seconds in phases.items()]
    return [*tables.grpo(result), *([Table(table, ("phase", "a step", "share"))] if table else [])]


def rounds(result: Result) -> list[Table]:
    """Of best-of-n and of DPO by a reward: a row a round."""
    names: Names = {
        "completions": ("texts", count),
        "truncated": ("cut at the length limit", count),
        "reward_calls": ("asked of the reward", count),
        "failed": ("failed a check", rate),
        "missing": ("without a score", count),
        "winners": ("best ones", count),
        "pairs": ("pairs", count),
        "left_out": ("queries left out", count),
        "reward": ("mean reward of all", plain),
        "reward_winners": ("of the best", plain),
        "mean_length": ("mean length, characters", plain),
    }
    head = ("", *(f"round {row['round']}" for row in result["rounds"]))
    first = result["rounds"][0]
    some = {name: about for name, about in names.items() if first.get(name) is not None}
    table = [(label, *(cell(row, name) for row in result["rounds"])) for name, (label, cell) in some.items()]
    return [Table(table, head), Table([*rows(result, {"steps": ("steps", count)}), *took(result)])]


def dpo(result: Result) -> list[Table]:
    if "rounds" in result:
        return rounds(result)
    names: Names = {
        "accuracy_last": ("pairs whose chosen text gained more", rate),
        "steps": ("steps", count),
        "n": ("pairs", count),
    }
    return [Table([("loss, first and last steps", arrow(result, "loss")), *rows(result, names), *took(result)])]
