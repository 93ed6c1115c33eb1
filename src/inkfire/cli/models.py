"""``inkfire models``: the weights inkfire knows by name, and where they are on this machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from cyclopts import App, Parameter

from inkfire.cli.common import Json, emit, say
from inkfire.models import store

app = App(name="models", help="Weights of the embedded models: list, download, locate.")

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
    emit(store.describe(name, store.pull(name)), as_json=json)


@app.command
def path(name: Name, /, *, json: Json = False) -> None:
    """Print where a model's weights are; nothing is downloaded.

    Example: inkfire models path qwen2.5-coder-1.5b
    """
    emit(store.describe(name, store.path(name)), as_json=json, show=lambda row: say(row["path"]))


def _table(result: Mapping[str, Any]) -> None:
    for row in result["models"]:
        place = row["path"] or "not here yet: inkfire models pull " + row["name"]
        say(f"{row['name']:20} {row['bytes'] / 1e6:6.0f} MB  {row['licence']:10}  {place}")
