"""``inkfire judge probe``: what moves a judge besides the writing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from inkfire.cli import common
from inkfire.cli.attack import Calibration, JudgeFolder


def probe(
    data: Annotated[Path, typer.Option("--data", help="Texts to change; with source fields, also self-preference.")],
    out: common.Out,
    judge: JudgeFolder = None,
    task: common.GroupTask = None,
    model: common.GroupModel = None,
    mode: common.JudgeMode = "logprob",
    principles: common.PrinciplesFile = None,
    calibration: Calibration = None,
    limit: Annotated[int | None, typer.Option("--limit", min=2, help="Use the first N texts.")] = None,
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
    """Change texts in ways that make them no better and count the verdicts that turn: OUT/probes.jsonl.

    Example: inkfire judge probe --judge runs/judge --data labelled.jsonl --limit 60 --out runs/probe
    """
    from inkfire.judge.judging import Access
    from inkfire.judge.subject import Subject
    from inkfire.runs.probe import probe_data

    subject = Subject.of(
        judge=judge,
        task=task,
        model=model,
        mode=mode,
        principles=principles,
        calibration=calibration,
        note=common.note,
    )
    files = {"judge": judge, "principles": principles, "calibration": calibration}
    result = probe_data(
        subject,
        data=data,
        out=out,
        limit=limit,
        access=Access(base_url, budget, budget_tokens, retry_unscored, concurrency, rpm, tpm),
        inputs={name: path for name, path in files.items() if path is not None},
        seed=seed,
    )
    common.emit(result, as_json=json, show=_show)


def _show(result: Mapping[str, Any]) -> None:
    typer.echo(f"{result['n']} texts, {result['calls']} calls, {result['seconds']:.0f} s")
    typer.echo(f"{'probe':12} {'verdicts that turn':>24} {'bad to good':>24} {'shift of P(Good)':>24}")
    for name in result["probes"][:-1]:
        turned, better = _rate(result, f"{name}_flip_rate"), _rate(result, f"{name}_to_good")
        typer.echo(f"{name:12} {turned:>24} {better:>24} {_shift(result, name):>24}")
    typer.echo(f"{'self':12} {_shift(result, 'self_preference')} ({result['self_preference']})")


def _rate(result: Mapping[str, Any], name: str) -> str:
    if result.get(name) is None:
        return "-"
    low, high = result[f"{name}_ci"]
    return f"{result[name]:.1%} [{low:.1%}, {high:.1%}]"


def _shift(result: Mapping[str, Any], name: str) -> str:
    if result.get(f"{name}_shift") is None:
        return "-"
    low, high = result[f"{name}_shift_ci"]
    return f"{result[f'{name}_shift']:+.3f} [{low:+.3f}, {high:+.3f}]"
