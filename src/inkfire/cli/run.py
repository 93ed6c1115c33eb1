"""``inkfire run`` and ``inkfire demo``: a whole experiment, resumed when the same command is typed again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from inkfire.cli import common

OutDir = Annotated[Path, typer.Option("--out", help="The run folder; the same command on the same folder resumes.")]


def run(
    recipe: Annotated[str, typer.Argument(help="A recipe's name, or the path of a .toml file.")],
    out: OutDir,
    base_url: common.BaseUrl = None,
    budget: common.BudgetMoney = None,
    budget_tokens: common.BudgetTokens = None,
    rpm: common.Rpm = None,
    tpm: common.Tpm = None,
    retry_unscored: common.RetryUnscored = False,
    seed: common.Seed = 0,
    json: common.Json = False,
) -> None:
    """Run all stages of a recipe: data, SFT, strategy A, strategy B, GRPO, comparison, report.

    Finished stages are not repeated, a training goes on from its last checkpoint, and replies of models are never
    asked for twice.

    Example: inkfire run my-recipe.toml --out runs/mine --budget 5.00
    """
    from inkfire.judge.judging import Access
    from inkfire.runs.experiment import run_recipe
    from inkfire.runs.recipe import load_recipe

    result = run_recipe(
        load_recipe(recipe),
        out,
        seed=seed,
        access=Access(base_url, budget, budget_tokens, retry_unscored, rpm=rpm, tpm=tpm),
    )
    common.emit(result, as_json=json, show=_show)


def demo(
    lang: Annotated[
        Literal["zh", "en"], typer.Option("--lang", help="Chinese (0.5B writer) or English (135M).")
    ] = "zh",
    task: Annotated[str | None, typer.Option("--task", help="Another task of that language: a name or folder.")] = None,
    out: OutDir = Path("runs/demo"),
    seed: common.Seed = 0,
    json: common.Json = False,
) -> None:
    """The whole pipeline, small, on models embedded in the process: no GPU, no key, no endpoint.

    Downloads the weights once (1.6 GB for zh, 1.2 GB for en), then takes about a quarter of an hour on two cores.
    The last line printed is the path of the report.

    Example: inkfire demo --lang en --out runs/demo-en
    """
    from inkfire.runs.experiment import run_recipe
    from inkfire.runs.recipe import load_recipe

    recipe = load_recipe(f"demo-{lang}")
    if task is not None:
        recipe = recipe.model_copy(update={"task": task})
    common.emit(run_recipe(recipe, out, seed=seed), as_json=json, show=_show)


def _show(result: Mapping[str, Any]) -> None:
    from inkfire.cli.evaluate import show_comparison

    show_comparison(result["comparison"])
    seconds = sum(result["stages"].values())
    typer.echo(f"{seconds / 60:.0f} minutes of work, {result['calls']} model calls ({result['cached']} not asked anew)")
    typer.echo(result["report"])
