"""``inkfire judge``: judge texts, and measure the judge where they are labelled; ``inkfire judge curve``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from inkfire.cli import common
from inkfire.errors import InputError

judge_app = typer.Typer()


@judge_app.callback(invoke_without_command=True)
def judge(
    context: typer.Context,
    task: common.GroupTask = None,
    model: common.GroupModel = None,
    data: Annotated[
        Path | None, typer.Option("--data", help="Texts in any format, labels are used; for pairwise: pairs.")
    ] = None,
    out: common.GroupOut = None,
    mode: Annotated[
        Literal["verdict", "logprob", "rubric", "debate", "pairwise"],
        typer.Option(
            "--mode",
            help="logprob: one token; verdict: a reason, then 0/1; rubric: five ratings; debate: strategy A's agents; "
            "pairwise: which text of a pair, both orders asked.",
        ),
    ] = "logprob",
    principles: common.PrinciplesFile = None,
    calibration: Annotated[
        Path | None,
        typer.Option("--calibration", help="Labelled texts of other queries to fit on, or a saved judge's folder."),
    ] = None,
    calibration_method: common.CalibrationMethod = "platt",
    cost_false_good: common.CostFalseGood = None,
    examples: common.ExamplesShown = 0,
    examples_from: common.ExamplesFrom = None,
    examples_choice: common.ExamplesChoice = "nearest",
    votes: common.Votes = 1,
    base_url: common.BaseUrl = None,
    concurrency: common.Concurrency = None,
    budget: common.BudgetMoney = None,
    budget_tokens: common.BudgetTokens = None,
    rpm: common.Rpm = None,
    tpm: common.Tpm = None,
    retry_unscored: common.RetryUnscored = False,
    seed: common.Seed = 0,
    json: common.Json = False,
) -> None:
    """Judge texts: OUT/verdicts.jsonl in their order, and OUT/judge.json, which serves as a reward.

    Example: inkfire judge --task greetings-zh --model local/qwen2.5-coder-1.5b --data texts.jsonl
    --calibration labelled.jsonl --examples 32 --examples-choice fixed --out runs/judge

    Pairs: inkfire judge --mode pairwise --task greetings-zh --model local/qwen2.5-coder-1.5b --data pairs.jsonl
    --out runs/pairs
    """
    if context.invoked_subcommand is not None:
        return
    if task is None or model is None or data is None or out is None:
        raise InputError("inkfire judge needs --task, --model, --data and --out")
    from inkfire.judge.judging import Access
    from inkfire.runs.compare import compare_data
    from inkfire.runs.judge import JudgeSettings, judge_data

    access = Access(base_url, budget, budget_tokens, retry_unscored, concurrency, rpm, tpm)
    if mode == "pairwise":
        if calibration is not None or cost_false_good is not None or votes > 1:
            raise InputError("--mode pairwise has nothing to calibrate and no votes: leave these options out")
        compared = compare_data(
            task=task,
            model=model,
            data=data,
            out=out,
            settings=JudgeSettings(examples=examples, examples_choice=examples_choice),
            principles=principles,
            examples_from=examples_from,
            access=access,
            seed=seed,
            note=common.note,
        )
        common.emit(compared, as_json=json, show=_show_pairs)
        return
    result = judge_data(
        task=task,
        model=model,
        data=data,
        out=out,
        settings=JudgeSettings(mode, examples, examples_choice, calibration_method, cost_false_good, votes),
        principles=principles,
        calibration=calibration,
        examples_from=examples_from,
        access=access,
        seed=seed,
        note=common.note,
    )
    common.emit(result, as_json=json, show=_show)


@judge_app.command("curve")
def curve(
    task: common.TaskName,
    model: common.Model,
    data: Annotated[Path, typer.Option("--data", help="Labelled texts; half of their queries are the test.")],
    out: common.Out,
    sizes: Annotated[str, typer.Option("--sizes", help="Numbers of labels.")] = "10,20,50,100,200",
    draws: Annotated[int, typer.Option("--draws", min=1, help="Draws of labels a size.")] = 20,
    mode: common.JudgeMode = "logprob",
    principles: common.PrinciplesFile = None,
    calibration_method: common.CalibrationMethod = "platt",
    cost_false_good: common.CostFalseGood = None,
    examples: common.ExamplesShown = 0,
    examples_from: Annotated[
        Path | None, typer.Option("--examples-from", help="Labelled texts of other queries, for --examples.")
    ] = None,
    examples_choice: common.ExamplesChoice = "nearest",
    votes: common.Votes = 1,
    base_url: common.BaseUrl = None,
    concurrency: common.Concurrency = None,
    budget: common.BudgetMoney = None,
    budget_tokens: common.BudgetTokens = None,
    rpm: common.Rpm = None,
    tpm: common.Tpm = None,
    retry_unscored: common.RetryUnscored = False,
    seed: common.Seed = 0,
    json: common.Json = False,
) -> None:
    """How accuracy and AUC grow with the labels that fit a calibration. Texts are judged once: OUT/curve.jsonl.

    Example: inkfire judge curve --task greetings-zh --model local/qwen2.5-coder-1.5b --data labelled.jsonl
    --out runs/curve
    """
    from inkfire.judge.judging import Access
    from inkfire.runs.curve import curve_data
    from inkfire.runs.judge import JudgeSettings

    result = curve_data(
        task=task,
        model=model,
        data=data,
        out=out,
        settings=JudgeSettings(mode, examples, examples_choice, calibration_method, cost_false_good, votes),
        sizes=parse_sizes(sizes),
        draws=draws,
        principles=principles,
        examples_from=examples_from,
        access=Access(base_url, budget, budget_tokens, retry_unscored, concurrency, rpm, tpm),
        seed=seed,
        note=common.note,
    )
    common.emit(result, as_json=json, show=_show_curve)


def parse_sizes(text: str) -> list[int]:
    """``10,20,50`` → its numbers, rising."""
    from inkfire.judge.calibration import MIN_LABELS

    try:
        sizes = sorted({int(part) for part in text.split(",")})
    except ValueError:
        raise InputError(f"--sizes {text!r}: write numbers of labels, as in 10,20,50") from None
    if sizes[0] < MIN_LABELS:
        raise InputError(f"--sizes {text!r}: a calibration needs at least {MIN_LABELS} labels")
    return sizes


def _show_curve(result: Mapping[str, Any]) -> None:
    typer.echo(f"{result['n']} test texts, {result['unscored']} of all unscored, {result['calls']} calls")
    typer.echo("labels  accuracy                balanced accuracy       auc")
    for size in result["labels"]:
        cells = []
        for name in ("accuracy", "balanced_accuracy", "auc"):
            low, high = result[f"{name}_{size}_ci"]
            cells.append(f"{result[f'{name}_{size}']:.3f} [{low:.3f}, {high:.3f}]")
        typer.echo(f"{size:<7} " + "    ".join(cells))


_TWINS = {
    "length_auc": "auc of length alone",
    "ngram_auc": "auc of n-grams",
    "examples_auc": "auc of examples' labels",
    "auc_minus_examples_auc": "auc, minus that",
    "auc_length_matched": "auc, length-matched",
    "ngram_auc_length_matched": "auc of n-grams, matched",
    "examples_auc_length_matched": "of examples' labels, matched",
    "accuracy_length_matched": "accuracy, length-matched",
}


def _show_pairs(result: Mapping[str, Any]) -> None:
    typer.echo(f"{result['n']} pairs, {result['unscored']} unscored, {result['ties']} ties, {result['calls']} calls")
    for name in (
        *("accuracy", "accuracy_decided", "order_flip_rate", "first_place_rate"),
        *("accuracy_length_matched", "longer_wins"),
    ):
        if result[name] is not None:
            low, high = result[f"{name}_ci"]
            typer.echo(f"{name:24} {result[name]:.3f}  [{low:.3f}, {high:.3f}]")


def _show(result: Mapping[str, Any]) -> None:
    typer.echo(
        f"{result['n']} texts, {result['unscored']} unscored, {result['calls']} calls, {result['seconds']:.0f} s"
    )
    if result["injections"]:
        typer.echo(f"{result['injections']} texts are suspected of telling the judge what to answer (verdicts.jsonl)")
    if not result["calibrated"]:
        typer.echo("uncalibrated: the labels carry the model's own bias (--calibration F fits a threshold)")
    if "auc" not in result:
        return
    for name in ("accuracy", "balanced_accuracy", "precision", "recall", "f1", "kappa", "auc", "auc_within_query"):
        value, interval = result[name], result[f"{name}_ci"]
        if value is not None:
            typer.echo(f"{name:18} {value:.3f}  [{interval[0]:.3f}, {interval[1]:.3f}]")
    typer.echo(f"{'ece':18} {result['ece']:.3f}")
    typer.echo(f"{'brier':18} {result['brier']:.3f}")
    typer.echo("what the twins say of the same labels, and the judge where length says nothing:")
    for name, what in _TWINS.items():
        if result.get(name) is not None:
            low, high = result[f"{name}_ci"]
            typer.echo(f"{what:28} {result[name]:.3f}  [{low:.3f}, {high:.3f}]")
    typer.echo(f"{'length-matched texts':28} {result['n_length_matched']}")
    if result.get("doubt"):
        typer.echo(result["doubt"])
    if "uncalibrated" in result:
        typer.echo(f"uncalibrated accuracy {result['uncalibrated']['accuracy']:.3f}")
    typer.echo("said P(Good) → found good")
    for row in result["reliability"]:
        low, high = row["found_ci"]
        typer.echo(f"  {row['said']:.2f} → {row['found']:.2f}  [{low:.2f}, {high:.2f}]  n {row['n']}")
