"""``inkfire evaluate``, ``inkfire agree`` and ``inkfire report``: compare policies, compare raters, draw the page."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from inkfire.cli import common
from inkfire.errors import InputError

SIGNALS = ("debate", "judge", "rm", "rubric", "length")


def evaluate(
    policy: Annotated[
        list[str], typer.Option("--policy", help="NAME=FOLDER or NAME=MODEL; repeat it for every policy to compare.")
    ],
    prompts: Annotated[Path, typer.Option("--prompts", help="Held-out queries, in any format with queries.")],
    task: common.TaskName,
    out: common.Out,
    signal: Annotated[
        list[str],
        typer.Option("--signal", help="debate, rubric, length, rm=FOLDER or judge=FOLDER; repeat it for several."),
    ],
    model: Annotated[
        str, typer.Option("--model", help="The model behind debate and rubric (and judge, to override its own).")
    ] = "local/qwen2.5-coder-1.5b",
    base_url: common.BaseUrl = None,
    train: Annotated[
        list[Path] | None, typer.Option("--train", help="Training texts, for novelty and copying; repeatable.")
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", help="Use the first N queries.")] = None,
    temperature: Annotated[float, typer.Option("--temperature", help="Sampling temperature of the policies.")] = 0.7,
    budget: common.BudgetMoney = None,
    budget_tokens: common.BudgetTokens = None,
    rpm: common.Rpm = None,
    tpm: common.Tpm = None,
    retry_unscored: common.RetryUnscored = False,
    seed: common.Seed = 0,
    json: common.Json = False,
) -> None:
    """Compare policies on held-out queries: excellent rate by each signal, with intervals and a length baseline.

    Example: inkfire evaluate --task greetings-zh --prompts q.jsonl --policy base=local/qwen2.5-coder-0.5b
    --policy rl=runs/demo/rm-rl --signal rm=runs/demo/reward_model --signal judge=runs/demo/judge --out runs/eval
    """
    from inkfire.judge.judging import Access
    from inkfire.runs.evaluate import evaluate_policies

    result = evaluate_policies(
        policies=_named(policy, "--policy"),
        signals=_signals(signal),
        prompts=prompts,
        task=task,
        out=out,
        model=model,
        train=train or [],
        limit=limit,
        temperature=temperature,
        access=Access(base_url, budget, budget_tokens, retry_unscored, rpm=rpm, tpm=tpm),
        seed=seed,
    )
    common.emit(result, as_json=json, show=show_comparison)


def _named(values: list[str], option: str) -> dict[str, str]:
    named = {}
    for value in values:
        name, sep, target = value.partition("=")
        if not sep or not name or not target:
            raise InputError(f"{option} {value!r}: write NAME=FOLDER, for instance {option} sft=runs/sft")
        if name in named:
            raise InputError(f"{option} names {name!r} twice")
        named[name] = target
    return named


def _signals(values: list[str]) -> dict[str, str | None]:
    signals: dict[str, str | None] = {}
    for value in values:
        kind, _, target = value.partition("=")
        if kind not in SIGNALS:
            raise InputError(f"--signal {value!r}: unknown signal; known: {', '.join(SIGNALS)}")
        if kind in ("rm", "judge") and not target:
            raise InputError(f"--signal {kind} needs its folder: --signal {kind}=FOLDER")
        signals[kind] = target or None
    return signals


def show_comparison(result: Mapping[str, Any]) -> None:
    """A table for the terminal: a row a policy, a column a signal, and the claims the intervals allow."""
    from rich.console import Console
    from rich.table import Table

    from inkfire.evaluation.claims import claims, headline

    console = Console()
    table = Table(title=f"{result['n']} held-out queries, excellent rate (95 % Wilson interval)")
    table.add_column("policy")
    for name in result["signals"]:
        table.add_column(name)
    table.add_column("mean length")
    for name, policy in result["policies"].items():
        cells = []
        for signal in result["signals"]:
            rate = policy["excellent_rate"][signal]
            own = " *" if signal in policy["own_reward"] else ""
            low, high = policy["excellent_rate_ci"][signal] or (0.0, 1.0)
            cells.append("–" if rate is None else f"{rate:.0%} ({low:.0%} to {high:.0%}){own}")
        table.add_row(name, *cells, f"{policy['mean_length']:.0f}")
    console.print(table)
    if any(policy["own_reward"] for policy in result["policies"].values()):
        console.print("* judged by its own reward", highlight=False)
    if "base" in result["policies"]:
        console.print(headline(result), highlight=False)
    for claim in claims(result):
        console.print("- " + claim["text"], highlight=False, markup=False)


def report(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    json: common.Json = False,
) -> None:
    """Draw RUN/report.html, one self-contained page, from what the run's stages left.

    Example: inkfire report runs/demo
    """
    from inkfire.report.page import write_report

    common.emit({"report": str(write_report(run))}, as_json=json, show=lambda r: typer.echo(r["report"]))
