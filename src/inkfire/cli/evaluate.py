"""``inkfire evaluate`` and ``inkfire report``: compare policies, draw the page."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from inkfire.cli.common import Json, Out, Seed, Yes, console, emit, flat, measured, say
from inkfire.evaluation.claims import caveats, claims, headline
from inkfire.runs.context import Access, Place
from inkfire.runs.evaluate import EvaluateInputs, EvaluateSettings
from inkfire.runs.evaluate import evaluate as compare


def evaluate(
    *,
    inputs: Annotated[EvaluateInputs, flat],
    settings: Annotated[EvaluateSettings, flat] = EvaluateSettings(),
    access: Annotated[Access, flat] = Access(),
    out: Out,
    seed: Seed = 0,
    yes: Yes = False,
    json: Json = False,
) -> None:
    r"""Compare policies on held-out queries.

    That is the excellent rate by each signal, with intervals and a length
    baseline.

    Example: inkfire evaluate --task greetings-zh --prompts q.jsonl \
        --policy base=local/qwen2.5-coder-0.5b --policy rl=runs/demo/rm-rl \
        --policy gpt=gpt-5-mini \
        --signal rm=runs/demo/reward_model --signal judge=runs/demo/judge \
        --out runs/eval
    """
    emit(compare(inputs, settings, Place(out, seed, access, yes)), as_json=json, show=show_comparison)


def report(run: Annotated[Path, Parameter(help="A run folder.")], /, *, json: Json = False) -> None:
    """Draw RUN/report.html from what the run's stages left.

    It is one self-contained page.

    Example: inkfire report runs/demo
    """
    from inkfire.report.page import write_report

    emit({"report": str(write_report(run))}, as_json=json, show=lambda row: say(row["report"]))


def show_comparison(result: Mapping[str, Any]) -> None:
    """A table for the terminal: a row a policy, a column a signal, and the claims the intervals allow."""
    from rich.table import Table

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
    console().print(table)
    if any(policy["own_reward"] for policy in result["policies"].values()):
        say("* judged by its own reward")
    for caveat in caveats(result):
        say(caveat)
    for name, row in result.get("people", {}).items():
        points = ", ".join(f"{dimension} {mean:.2f}" for dimension, mean in row["dimensions"].items())
        raters = ", ".join(f"{n} texts by {raters}" for raters, n in row["raters"].items())
        say(f"people on {name}: {points or 'nothing rated'} ({raters or 'no raters'}; {row['ties']} ties)")
    for signal, row in result.get("agreement", {}).items():
        say(
            f"{signal} agrees with people: {measured(row, 'agreement')}, kappa {measured(row, 'kappa')}, n = {row['n']}"
        )
    if "base" in result["policies"]:
        say(headline(result))
    for claim in claims(result):
        say("- " + claim["text"])
