"""``inkfire ledger``: what was asked of which model, and what it cost."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from inkfire.cli import common


def ledger(
    file: Annotated[Path | None, typer.Argument(help="A ledger file.", show_default=False)] = None,
    out: Annotated[Path, typer.Option("--out", help="A run folder: its ledger lies beside it.")] = Path("runs/any"),
    as_json: common.Json = False,
) -> None:
    """Calls, tokens, cost and latency by model, from the ledger of the runs in one folder."""
    from inkfire.llm.totals import summarise

    path = file or out.resolve().parent / ".inkfire" / "ledger.sqlite"
    models = summarise(path)
    priced = all(model["cost"] is not None for model in models)
    result = {
        "ledger": str(path),
        "calls": sum(model["calls"] for model in models),
        "tokens": sum(model["prompt_tokens"] + model["completion_tokens"] for model in models),
        "cost": sum(model["cost"] for model in models) if priced else None,
        "models": models,
    }
    common.emit(result, as_json=as_json, show=_show)


def _show(result: Mapping[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("model", "calls", "unparsed", "tokens in", "out", "cost", "seconds, p95", "failed requests")
    for model in result["models"]:
        table.add_row(
            model["model"],
            str(model["calls"]),
            str(model["unparsed"]),
            f"{model['prompt_tokens']} ({model['cached_tokens']} from cache)",
            str(model["completion_tokens"]),
            "no price" if model["cost"] is None else f"{model['cost']:.4f}",
            f"{model['latency_median']:.2f}, {model['latency_p95']:.2f}",
            ", ".join(f"{kind}: {n}" for kind, n in model["faults"].items()),
        )
    typer.echo(f"{result['ledger']}: {result['calls']} replies, {result['tokens']} tokens")
    Console().print(table)
