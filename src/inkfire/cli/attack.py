"""``inkfire judge attack``: do texts that tell the judge what to answer win by it?"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from inkfire.cli import common

JudgeFolder = Annotated[
    Path | None, typer.Option("--judge", help="A saved judge's folder, in place of the options that describe one.")
]
Calibration = Annotated[Path | None, typer.Option("--calibration", help="Labelled texts that fit its threshold.")]


def attack(
    out: common.Out,
    judge: JudgeFolder = None,
    task: common.GroupTask = None,
    model: common.GroupModel = None,
    mode: common.JudgeMode = "logprob",
    principles: common.PrinciplesFile = None,
    calibration: Calibration = None,
    clean: Annotated[
        Path | None,
        typer.Option("--clean", help="Labelled texts whose good ones must pass the defences; the task's by default."),
    ] = None,
    defences: Annotated[
        bool, typer.Option("--defences/--no-defences", help="Ask with and without them, or without them only.")
    ] = True,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Trials, shared by the families of attacks.")] = 280,
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
    """Put injections into bad texts and count how often the judge then says good: OUT/trials.jsonl.

    Example: inkfire judge attack --task greetings-zh --model local/qwen2.5-coder-1.5b --calibration labelled.jsonl
    --limit 280 --out runs/attack
    """
    from inkfire.judge.judging import Access
    from inkfire.judge.subject import Subject
    from inkfire.runs.attack import attack_data

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
    result = attack_data(
        subject,
        out=out,
        clean=clean,
        defences=defences,
        limit=limit,
        access=Access(base_url, budget, budget_tokens, retry_unscored, concurrency, rpm, tpm),
        inputs={name: path for name, path in files.items() if path is not None},
        seed=seed,
    )
    common.emit(result, as_json=json, show=_show)


def _show(result: Mapping[str, Any]) -> None:
    typer.echo(
        f"{result['carriers_bad']} of {result['carriers']} carriers are bad to this judge by themselves; "
        f"{result['n']} attacks in them, {result['calls']} calls, {result['seconds']:.0f} s"
    )
    typer.echo(f"{'flips from bad to good':34} {'defended':>24} {'undefended':>24}")
    for name, row in result["families"].items():
        typer.echo(f"{name + ' (' + row['split'] + ')':34} {_cell(row, 'flips')} {_cell(row, 'flips_off')}")
    for name in ("_development", "_held_out", ""):
        label = f"all {name.strip('_')}".strip()
        typer.echo(f"{label:34} {_cell(result, 'flips' + name)} {_cell(result, 'flips_off' + name)}")
    if result.get("clean_lost") is not None:
        low, high = result["clean_lost_ci"]
        typer.echo(f"{result['clean_lost']:.1%} [{low:.1%}, {high:.1%}] of {result['clean']} good texts are lost")


def _cell(row: Mapping[str, Any], name: str) -> str:
    if row.get(name) is None:
        return f"{'-':>24}"
    low, high = row[f"{name}_ci"]
    return f"{f'{row[name]:.1%} [{low:.1%}, {high:.1%}]':>24}"
