"""``inkfire ledger``: what was asked of which model, and what it cost."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from inkfire.cli import common


def ledger(
    file: Annotated[Path | None, Parameter(help="A ledger file.")] = None,
    /,
    *,
    out: Annotated[Path, Parameter(help="A run folder: its ledger lies beside it.")] = Path("runs/any"),
    json: common.Json = False,
) -> None:
    """Calls, tokens, cost and latency by model.

    They are those of all runs in one folder, whose ledger they share.

    Example: inkfire ledger --out runs/pairs
    """
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
    common.emit(result, as_json=json, show=_show)


def _show(result: Mapping[str, Any]) -> None:
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
    common.say(f"{result['ledger']}: {result['calls']} replies, {result['tokens']} tokens")
    common.console().print(table)
