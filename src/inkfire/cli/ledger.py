"""``inkfire ledger``: what was asked of which model in which run, what it cost, and the prices."""

from __future__ import annotations

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

    cost = in_words(result)
    common.say(f"{result['ledger']}: {result['calls']} replies, {result['tokens']} tokens, cost {cost}")
    for run in result.get("runs", ()):
        common.say(f"\nrun {run['run'] or '(no name)'}: {run['calls']} replies, cost {in_words(result | run)}")
        _table(run["models"], result["currency"])
    if "runs" in result:
        common.say("\nall together" if len(result["runs"]) > 1 else "")
    if len(result.get("runs", ())) != 1:
        _table(result["models"], result["currency"])
    if result["unpriced_calls"]:
        common.say(f"Give the missing prices: inkfire ledger prices {result['ledger']}")


def _table(models: Sequence[Mapping[str, Any]], currency: str) -> None:
    from rich.table import Table

    columns = ("model", "calls", "unparsed", "tokens in", "out", f"cost, {currency}", "seconds, p95", "failed requests")
    table = Table(*columns)
    for model in models:
        known = f", {model['cost_known']:.4f} known" if model["cost_known"] else ""
        table.add_row(
            model["model"],
            str(model["calls"]),
            str(model["unparsed"]),
            f"{model['prompt_tokens']} ({model['cached_tokens']} from cache)",
            str(model["completion_tokens"]),
            f"unknown{known}" if model["cost"] is None else f"{model['cost']:.4f}",
            f"{model['latency_median']:.2f}, {model['latency_p95']:.2f}",
            ", ".join(f"{kind}: {n}" for kind, n in model["faults"].items()),
        )
    common.console().print(table)


_SOURCES = {
    "embedded": "free: it runs on this machine",
    "file": "prices.toml",
    "replies": "none now; its replies hold what they cost when they came",
    "none": "none: its cost is unknown",
}


def _show_prices(result: Mapping[str, Any]) -> None:
    from rich.table import Table

    from inkfire.llm.pricelist import blank

    table = Table("model", "calls", "prompt", "cached prompt", "completion", "from")
    for row in result["models"]:
        numbers = ("-" if row[name] is None else f"{row[name]:g}" for name in ("prompt", "cached_prompt", "completion"))
        table.add_row(row["model"], str(row["calls"]), *numbers, _SOURCES[row["source"]])
    common.say(f"{result['prices']}: {result['currency']} per million tokens")
    common.console().print(table)
    if result["made"]:
        common.say("The file is new: fill in the prices and take the # away.")
    elif result["without"]:
        common.say("The file stays as it is. To be added, filled in and without the #:\n")
        for model in result["without"]:
            common.say(blank(model))
