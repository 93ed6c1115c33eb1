"""``inkfire ledger``: what was asked of which model in which run, what it cost, and the prices."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from inkfire.cli import common

app = App(name="ledger")

File = Annotated[Path | None, Parameter(help="A ledger file.")]
Beside = Annotated[Path, Parameter(help="A run folder: its ledger lies beside it.")]
Runs = Annotated[tuple[str, ...] | None, Parameter(consume_multiple=True, help="By run as well; NAME: those alone.")]


@app.default
def ledger(
    file: File = None,
    /,
    *,
    out: Beside = Path("runs/any"),
    run: Runs = None,
    json: common.Json = False,
) -> None:
    """Calls, tokens, cost and latency by model and run; the prices.

    They are those of all runs in one folder, whose ledger they share. Costs are looked up in prices.toml beside it
    (inkfire ledger prices) each time: a model that has no price costs "unknown", and one that is given later counts.

    Example: inkfire ledger --out runs/pairs --run pairs
    """
    from inkfire.llm.bill import Bill
    from inkfire.llm.prices import prices_beside
    from inkfire.llm.totals import summarise, summarise_runs

    path = _ledger(file, out)
    prices = prices_beside(path)
    models = summarise(path, prices=prices, runs=run or ())
    total = Bill()
    for row in models:
        total += Bill.read(row | {"tokens": row["prompt_tokens"] + row["completion_tokens"]})
    result = {
        "ledger": str(path),
        "currency": prices.currency,
        "calls": sum(model["calls"] for model in models),
        "tokens": total.tokens,
        **total.fields(),
        "models": models,
    }
    if run is not None:
        result["runs"] = summarise_runs(path, prices=prices, runs=run)
    common.emit(result, as_json=json, show=_show)


@app.command
def prices(file: File = None, /, *, out: Beside = Path("runs/any"), json: common.Json = False) -> None:
    """Show the prices in use and where each is from, and make prices.toml where there is none.

    The file lies beside the ledger. It is made with the models that were asked and room for their prices, per million
    tokens; one that is there stays as it is.

    Example: inkfire ledger prices --out runs/pairs
    """
    from inkfire.llm.pricelist import make_prices, price_list
    from inkfire.llm.prices import prices_beside, prices_path

    path = _ledger(file, out)
    known = prices_beside(path)
    models = price_list(path, known)
    wanting = [row["model"] for row in models if row["source"] in ("none", "replies")]
    made = make_prices(path, wanting)
    result = {
        "ledger": str(path),
        "prices": str(prices_path(path)),
        "made": made,
        "currency": known.currency,
        "models": models,
        "without": wanting,
    }
    common.emit(result, as_json=json, show=_show_prices)


def _ledger(file: Path | None, out: Path) -> Path:
    return file or out.resolve().parent / ".inkfire" / "ledger.sqlite"


def _show(result: Mapping[str, Any]) -> None:
    from inkfire.llm.bill import in_words
    from inkfire.report.words import several

    replies = several(result["calls"], "reply", "replies")
    common.say(f"{replies}, {several(result['tokens'], 'token')}, cost {in_words(result)}")
    for run in result.get("runs", ()):
        replies = several(run["calls"], "reply", "replies")
        common.say(f"\nrun {run['run'] or '(no name)'}: {replies}, cost {in_words(result | run)}")
        _table(run["models"], result["currency"])
    if "runs" in result:
        common.say("\nall together" if len(result["runs"]) > 1 else "")
    if len(result.get("runs", ())) != 1:
        _table(result["models"], result["currency"])
    common.say(f"\nIn {result['ledger']}")
    if result["unpriced_calls"]:
        common.say(f"Give the missing prices: {shlex.join(['inkfire', 'ledger', 'prices', result['ledger']])}")


def _table(models: Sequence[Mapping[str, Any]], currency: str) -> None:
    rows = [
        (
            model["model"],
            f"{model['calls']:,}",
            f"{model['unparsed']:,}",
            f"{model['prompt_tokens']:,}",
            f"{model['cached_tokens']:,}",
            f"{model['completion_tokens']:,}",
            _cost(model),
            f"{model['latency_median']:.2f}, {model['latency_p95']:.2f}",
            ", ".join(f"{kind}: {n}" for kind, n in model["faults"].items()),
        )
        for model in models
    ]
    head = ("model", "replies", "unread", "tokens in", "cached", "out", f"cost, {currency}", "s, p95", "failed")
    common.grid(common.Table(rows, head))


def _cost(model: Mapping[str, Any]) -> str:
    if model["cost"] is not None:
        return f"{model['cost']:.4f}"
    return f"unknown, {model['cost_known']:.4f} known" if model["cost_known"] else "unknown"


_SOURCES = {
    "embedded": "free: it runs on this machine",
    "file": "prices.toml",
    "replies": "none now; its replies hold what they cost when they came",
    "none": "none: its cost is unknown",
}


def _show_prices(result: Mapping[str, Any]) -> None:
    from inkfire.llm.pricelist import blank
    from inkfire.report.words import several

    without = len(result["without"])
    have = f"of {several(len(result['models']), 'model')} without a price: {without}"
    common.say(f"Prices are in {result['currency']} per million tokens; {have}.\n")
    prices = ("prompt", "cached_prompt", "completion")
    rows = [
        (
            row["model"],
            f"{row['calls']:,}",
            *("–" if row[n] is None else f"{row[n]:g}" for n in prices),
            _SOURCES[row["source"]],
        )
        for row in result["models"]
    ]
    common.grid(common.Table(rows, ("model", "replies", "prompt", "cached", "completion", "from")))
    if result["made"]:
        common.say(f"\n{result['prices']} is new: fill in the prices and take the # away.")
    elif result["without"]:
        common.say(f"\n{result['prices']} stays as it is. To be added, filled in and without the #:\n")
        for model in result["without"]:
            common.say(blank(model))
