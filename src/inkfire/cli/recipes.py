"""``inkfire recipes``: the experiments that come with inkfire, and how to begin one's own."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from inkfire.cli.common import Json, emit
from inkfire.runs.recipe import load_recipe, new_recipe, recipe_lines, recipe_names, recipe_path

app = App(
    name="recipes",
    help="Whole experiments as data: list, look at, begin your own.\n\nExample: inkfire recipes new mine.toml",
)


@app.command(name="list")
def list_(*, json: Json = False) -> None:
    """List the recipes that come with inkfire.

    Example: inkfire recipes list
    """
    emit({"recipes": recipe_names()}, as_json=json, show=lambda _: "\n".join(recipe_lines()))


@app.command
def show(name: Annotated[str, Parameter(help="A recipe's name or its file.")], /, *, json: Json = False) -> None:
    """Check a recipe and print it.

    Example: inkfire recipes show demo-zh
    """
    load_recipe(name)
    path = recipe_path(name)
    emit(
        {"name": name, "path": str(path), "toml": path.read_text("utf-8")},
        as_json=json,
        show=lambda row: row["toml"],
    )


@app.command
def new(
    file: Annotated[Path, Parameter(help="The .toml file to make.")],
    /,
    *,
    like: Annotated[str, Parameter(name="--from", help="The recipe to begin from.")] = "demo-zh",
    json: Json = False,
) -> None:
    """Begin a recipe of your own: a copy of another one, to be changed.

    Example: inkfire recipes new mine.toml --from demo-zh
    """
    new_recipe(file, like=like)
    following = "Next: " + shlex.join(["inkfire", "run", str(file), "--out", f"runs/{file.stem}", "--dry-run"])
    emit(
        {"recipe": str(file), "like": like},
        as_json=json,
        show=lambda row: f"{row['recipe']}: change it, then look at what it does:\n{following}",
    )
