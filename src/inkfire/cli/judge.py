"""``inkfire judge``: judge texts, and measure the judge where they are labelled."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from inkfire.cli import common


def judge(
    task: common.TaskName,
    model: common.Model,
    data: Annotated[Path, typer.Option("--data", help="The texts, in any format with responses; labels are used.")],
    out: common.Out,
    mode: Annotated[
        Literal["verdict", "logprob", "rubric", "debate"],
        typer.Option("--mode", help="verdict: a reason, then 0/1; logprob: one token; rubric: five ratings; debate."),
    ] = "logprob",
    principles: Annotated[
        Path | None, typer.Option("--principles", help="A principles.toml; the task's own by default.")
    ] = None,
    calibration: Annotated[
        Path | None,
        typer.Option("--calibration", help="Labelled texts of other queries to fit on, or a saved judge's folder."),
    ] = None,
    calibration_method: Annotated[
        Literal["platt", "isotonic"],
        typer.Option("--calibration-method", help="platt: for dozens of labels; isotonic: any shape, for hundreds."),
    ] = "platt",
    cost_false_good: Annotated[
        float | None,
        typer.Option(
            "--cost-false-good",
            help="Cost of a bad text called good, the opposite costing 1; by default the threshold balances accuracy.",
        ),
    ] = None,
    examples: common.ExamplesShown = 0,
    examples_from: Annotated[
        Path | None,
        typer.Option("--examples-from", help="Labelled texts to choose examples from; by default --calibration's."),
    ] = None,
    examples_choice: common.ExamplesChoice = "nearest",
    base_url: common.BaseUrl = None,
    concurrency: common.Concurrency = None,
    budget: common.BudgetMoney = None,
    budget_tokens: common.BudgetTokens = None,
    retry_unscored: common.RetryUnscored = False,
    seed: common.Seed = 0,
    json: common.Json = False,
) -> None:
    """Judge texts: OUT/verdicts.jsonl in their order, and OUT/judge.json, which serves as a reward.

    Example: inkfire judge --task greetings-zh --model local/qwen2.5-coder-1.5b --data texts.jsonl
    --calibration labelled.jsonl --examples 8 --out runs/judge
    """
    from inkfire.judge.commands import JudgeSettings, judge_data
    from inkfire.judge.judging import Access

    result = judge_data(
        task=task,
        model=model,
        data=data,
        out=out,
        settings=JudgeSettings(mode, examples, examples_choice, calibration_method, cost_false_good),
        principles=principles,
        calibration=calibration,
        examples_from=examples_from,
        access=Access(base_url, budget, budget_tokens, retry_unscored, concurrency),
        seed=seed,
        note=common.note,
    )
    common.emit(result, as_json=json, show=_show)


def _show(result: Mapping[str, Any]) -> None:
    typer.echo(
        f"{result['n']} texts, {result['unscored']} unscored, {result['calls']} calls, {result['seconds']:.0f} s"
    )
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
    if result["length_auc"] is not None:
        typer.echo(f"{'length alone, auc':18} {result['length_auc']:.3f}")
    if "uncalibrated" in result:
        typer.echo(f"uncalibrated accuracy {result['uncalibrated']['accuracy']:.3f}")
    typer.echo("said P(Good) → found good")
    for row in result["reliability"]:
        low, high = row["found_ci"]
        typer.echo(f"  {row['said']:.2f} → {row['found']:.2f}  [{low:.2f}, {high:.2f}]  n {row['n']}")
