"""``inkfire data``: public data sets that belong to a task."""

from __future__ import annotations

from typing import Annotated

import typer

from inkfire.cli.common import Json, emit

group = typer.Typer(name="data", help="Public data sets that belong to a task.", no_args_is_help=True)


@group.callback()
def _data() -> None:
    """Public data sets that belong to a task."""


@group.command()
def pull(
    name: Annotated[str, typer.Argument(help="The release to fetch: greetings-zh.")],
    json: Json = False,
) -> None:
    """Download a release into the cache: a pinned commit, every file checked by its SHA-256."""
    from inkfire.models.release import pull as pull_release
    from inkfire.models.store import cache_dir

    result = pull_release(name, cache_dir() / "data" / name)
    emit(result, as_json=json, show=lambda row: typer.echo(f"{row['about']}\n{row['path']}"))
