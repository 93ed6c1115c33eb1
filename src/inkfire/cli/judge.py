"""``inkfire judge``: judge texts, and measure the judge where they are labelled; its other commands try it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from inkfire.cli import common
from inkfire.errors import InputError

judge_app = typer.Typer()

Concurrency = Annotated[
    int | None, typer.Option("--concurrency", min=1, help="Texts at once; by default 4 embedded, 64 at an endpoint.")
]


@judge_app.callback(invoke_without_command=True)
def judge(
    context: typer.Context,
    task: Annotated[str | None, typer.Option("--task", help="A task's name or its folder.")] = None,
    model: Annotated[
        str | None, typer.Option("--model", help="local/NAME or a .gguf: embedded; anything else goes to --base-url.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option("--data", help="The texts, in any format with responses; labels are used.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="The run folder; the same command resumes.")] = None,
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
    base_url: common.BaseUrl = None,
    concurrency: Concurrency = None,
    budget: common.BudgetMoney = None,
    budget_tokens: common.BudgetTokens = None,
    retry_unscored: common.RetryUnscored = False,
    seed: common.Seed = 0,
    json: common.Json = False,
) -> None:
    """Judge texts: OUT/verdicts.jsonl in their order, and OUT/judge.json, which serves as a reward.

    Example: inkfire judge --task greetings-zh --model local/qwen2.5-coder-1.5b --data texts.jsonl
    --calibration labelled.jsonl --out runs/judge
    """
    if context.invoked_subcommand is not None:
        return
    if task is None or model is None or data is None or out is None:
        raise InputError("inkfire judge needs --task, --model, --data and --out")
    from inkfire.judge.judging import Access, judge_data

    result = judge_data(
        task=task,
        model=model,
        mode=mode,
        data=data,
        out=out,
        principles=principles,
        calibration=calibration,
        access=Access(base_url, budget, budget_tokens, retry_unscored, concurrency),
        seed=seed,
        note=common.note,
    )
    common.emit(result, as_json=json, show=_show)


def _show(result: Mapping[str, Any]) -> None:
    typer.echo(
        f"{result['n']} texts, {result['unscored']} unscored, {result['calls']} calls, {result['seconds']:.0f} s"
    )
    if result["injections"]:
        typer.echo(f"{result['injections']} texts are suspected of telling the judge what to answer (verdicts.jsonl)")
    if "auc" not in result:
        return
    if not result["calibrated"]:
        typer.echo("uncalibrated: the labels carry the model's own bias (--calibration F fits a threshold)")
    for name in ("accuracy", "balanced_accuracy", "precision", "recall", "f1", "kappa", "auc", "auc_within_query"):
        value, interval = result[name], result[f"{name}_ci"]
        if value is not None:
            typer.echo(f"{name:18} {value:.3f}  [{interval[0]:.3f}, {interval[1]:.3f}]")
    if result["length_auc"] is not None:
        typer.echo(f"{'length alone, auc':18} {result['length_auc']:.3f}")
    if "uncalibrated" in result:
        typer.echo(f"uncalibrated accuracy {result['uncalibrated']['accuracy']:.3f}")
