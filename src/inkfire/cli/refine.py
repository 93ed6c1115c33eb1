"""``inkfire refine``: improve the judge's principles adversarially, keeping only what proves better."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from inkfire.cli import common


def refine(
    task: common.TaskName,
    model: common.Model,
    prompts: Annotated[Path, typer.Option("--prompts", help="Queries for the Generator, in any format.")],
    labelled: Annotated[Path, typer.Option("--labelled", help="Labelled texts; split here by query into three.")],
    out: common.Out,
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="Rounds of attack, reflection and test.")] = 1,
    attacks: Annotated[int, typer.Option("--attacks", min=1, help="Flawed texts a round.")] = 4,
    errors: Annotated[int, typer.Option("--errors", min=1, help="The judge's errors reflected on a round.")] = 6,
    validation: Annotated[
        int | None, typer.Option("--validation", min=4, help="At most so many texts test a candidate.")
    ] = None,
    alpha: Annotated[
        float, typer.Option("--alpha", min=0.001, max=0.5, help="Chance, over the run, of accepting what is no better.")
    ] = 0.05,
    principles: Annotated[
        Path | None, typer.Option("--principles", help="Start from this principles.toml, not from the task's own.")
    ] = None,
    base_url: common.BaseUrl = None,
    concurrency: common.Concurrency = None,
    budget: common.BudgetMoney = None,
    budget_tokens: common.BudgetTokens = None,
    retry_unscored: common.RetryUnscored = False,
    seed: common.Seed = 0,
    json: common.Json = False,
) -> None:
    """Evolve principles and flaw strategies against each other: OUT/principles.toml, history.jsonl, attacks.jsonl.

    Example: inkfire refine --task greetings-zh --model local/qwen2.5-coder-1.5b --prompts queries.jsonl
    --labelled labelled.jsonl --rounds 2 --out runs/refine
    """
    from inkfire.judge.judging import Access
    from inkfire.judge.refine import RefineSettings
    from inkfire.judge.refining import refine_data

    result = refine_data(
        task=task,
        model=model,
        prompts=prompts,
        labelled=labelled,
        out=out,
        principles=principles,
        validation=validation,
        settings=RefineSettings(rounds=rounds, attacks=attacks, errors=errors, alpha=alpha, seed=seed),
        access=Access(base_url, budget, budget_tokens, retry_unscored, concurrency),
        note=common.note,
    )
    common.emit(result, as_json=json, show=_show)


def _show(result: Mapping[str, Any]) -> None:
    typer.echo(f"{result['accepted']} candidates accepted, {result['rejected']} rejected, {result['calls']} calls")
    for when in ("before", "after"):
        measured = result[when]
        low, high = measured["auc_ci"]
        typer.echo(
            f"{when:7} AUC {measured['auc']:.3f} [{low:.3f}, {high:.3f}], accuracy {measured['accuracy']:.3f} "
            f"on {measured['n']} test texts"
        )
    if not result["accepted"]:
        typer.echo("no proposal proved better on the validation texts: the principles are unchanged")
