"""``inkfire models``: the weights inkfire knows by name, and where they are on this machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from inkfire.cli.common import Json, emit

group = typer.Typer(name="models", help="Weights of the embedded models: list, download, locate.", no_args_is_help=True)

Name = Annotated[
    str, typer.Argument(help="A name of `inkfire models list`, a .gguf, or org/repo/file.gguf of the hub.")
]


@group.command("list")
def list_(json: Json = False) -> None:
    """Show the models that are known by name."""
    from inkfire.models import store

    emit({"models": store.listing()}, as_json=json, show=_table)


@group.command()
def pull(name: Name, json: Json = False) -> None:
    """Download a model's weights into the cache (resumable), accepted by SHA-256 only."""
    from inkfire.models import store

    emit(store.describe(name, store.pull(name)), as_json=json)


@group.command()
def path(name: Name, json: Json = False) -> None:
    """Print where a model's weights are; nothing is downloaded."""
    from inkfire.models import store

    emit(store.describe(name, store.path(name)), as_json=json, show=lambda row: typer.echo(row["path"]))


def _table(result: Mapping[str, Any]) -> None:
    for row in result["models"]:
        place = row["path"] or "not here yet: inkfire models pull " + row["name"]
        typer.echo(f"{row['name']:20} {row['bytes'] / 1e6:6.0f} MB  {row['licence']:10}  {place}")
