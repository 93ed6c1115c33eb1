"""The numbers of a training of a policy as tables: SFT, GRPO, best-of-n and DPO."""

from __future__ import annotations

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
    names: Names = {
        "kl_text": ("KL from the start, nats a text", plain),
        "kl_budget": ("budget for it", plain),
        "length_correlation": ("correlation with length in a group", plain),
        "zero_variance": ("groups with equal rewards only", rate),
        "missing_groups": ("groups with less than two rewards", rate),
        "missing": ("texts without a reward", count),
        "steps": ("steps", count),
        "steps_kept": ("steps of the policy that was kept", count),
    }
    labels = {
        "score": "mean score, first and last steps",
        "reward": "mean reward, first and last steps",
        "failed": "texts that fail a check",
        "fluency": "log-probability a token under the frozen base",
        "relevance": "more of it after its own query",
        "mean_length": "mean length, characters",
    }
    went = [(label, arrow(result, name)) for name, label in labels.items() if f"{name}_first" in result]
    phases = result.get("profile", {})
    whole = sum(phases.values())
    seconds = [(name, f"{spent:.3g} s", percent(spent / whole)) for name, spent in phases.items()]
    profile = [Table(seconds, ("phase", "a step", "share"))] if seconds else []
    return [Table([*went, *rows(result, names), *took(result)]), *profile]


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
