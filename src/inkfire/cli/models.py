"""``inkfire models``: the weights inkfire knows by name, where they are, and what an endpoint lacks."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from inkfire.cli.common import Json, Out, Shown, Table, emit, flat, say
from inkfire.evaluation.claims import listed
from inkfire.models import store
from inkfire.report.words import number
from inkfire.runs.context import Access

app = App(
    name="models",
    help="Models: list, download, locate weights; check an endpoint.\n\nExample: inkfire models list",
)

Name = Annotated[str, Parameter(help="A name of `inkfire models list`, a .gguf, or org/repo/file.gguf of the hub.")]


@app.command(name="list")
def list_(*, json: Json = False) -> None:
    """Show the models that are known by name.

    Example: inkfire models list
    """
    emit({"models": store.listing()}, as_json=json, show=_table)


@app.command
def pull(name: Name, /, *, json: Json = False) -> None:
    """Download a model's weights into the cache (resumable), accepted by SHA-256 only.

    Example: inkfire models pull qwen2.5-coder-1.5b
    """
    emit(store.describe(name, store.pull(name)), as_json=json, show=_pulled)


@app.command
def path(name: Name, /, *, json: Json = False) -> None:
    """Print where a model's weights are; nothing is downloaded.

    Example: inkfire models path qwen2.5-coder-1.5b
    """
    emit(store.describe(name, store.path(name)), as_json=json, show=lambda row: row["path"])


@app.command
def check(
    name: Annotated[str, Parameter(help="A model of --base-url, or local/NAME.")],
    /,
    *,
    access: Annotated[Access, flat] = Access(),
    out: Out = Path("runs/any"),
    json: Json = False,
) -> None:
    """Ask a model three short questions and say what it lacks, before anything is paid.

    Prices are those beside the folder of --out.

    Example: inkfire models check gpt-5-mini --base-url https://api.openai.com/v1
    """
    import dataclasses
    import tempfile

    from inkfire.llm import loop
    from inkfire.llm.prices import read_prices
    from inkfire.models.check import check as ask
    from inkfire.models.open import open_model

    prices = out.resolve().parent / ".inkfire" / "prices.toml"
    unlimited = dataclasses.replace(access, budget=None)
    with tempfile.TemporaryDirectory() as folder, unlimited.ledger(Path(folder) / "ledger.sqlite", "check") as ledger:
        llm = open_model(name, ledger=ledger, base_url=access.base_url)
        if prices.is_file():
            llm.price = read_prices(prices).of(llm.model) or llm.price
        try:
            found = loop.run(ask(llm))
        finally:
            loop.run(llm.close())
    emit(found, as_json=json, show=partial(_found, name))


_FEATURES = {
    "log_probabilities": "alternatives that it shows to a token",
    "schema": "replies by a schema",
    "verdict": "a verdict that can be read",
    "text": "a text",
    "system_role": "system turns",
    "temperature": "a temperature",
}


def _found(name: str, found: Mapping[str, Any]) -> Shown:
    wanting = [what for key, what in _FEATURES.items() if not found[key]]
    lacks = f"{name} lacks {listed(wanting)}." if wanting else f"{name} lacks nothing that inkfire asks of a model."
    rows = [(what, "yes" if found[key] is True else number(found[key] or "no")) for key, what in _FEATURES.items()]
    price = found["price"] and f"{found['price'][0]:g} in, {found['price'][1]:g} out, per million tokens"
    rows += [("thinks before it answers", "yes" if found["thinks"] else "no"), ("price", price or "not known")]
    return Shown([lacks], found["failed"], [Table(rows)], [f"- {line}" for line in found["advice"]])


def _pulled(row: Mapping[str, Any]) -> str:
    return f"{row['name']}: {row['bytes'] / 1e6:,.0f} MB, SHA-256 {row['sha256'][:12]}…\n{row['path']}"


def _table(result: Mapping[str, Any]) -> None:
    for row in result["models"]:
        place = row["path"] or "not here yet: inkfire models pull " + row["name"]
        say(f"{row['name']:20} {row['bytes'] / 1e6:6.0f} MB  {row['licence']:10}  {place}")
