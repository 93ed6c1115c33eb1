"""``inkfire run`` and ``inkfire demo``: a whole experiment, resumed when the same command is typed again."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from inkfire.cli import shown
from inkfire.cli.common import Json, Out, Seed, Yes, emit, flat
from inkfire.errors import InputError
from inkfire.runs import like as like_run
from inkfire.runs.context import Access, Place
from inkfire.runs.experiment import run_recipe
from inkfire.runs.plan import plan
from inkfire.runs.recipe import for_task, load_recipe, recipe_lines
from inkfire.tasks.task import load_task

app = App(name="run", help_epilogue="Recipes that come with inkfire:\n\n" + "\n".join(recipe_lines()))


@app.default
def run(
    recipe: Annotated[str | None, Parameter(help="A recipe's name, or the path of a .toml file.")] = None,
    /,
    *,
    access: Annotated[Access, flat] = Access(),
    out: Out,
    like: Annotated[Path | None, Parameter(help="In place of a recipe, a run folder: the same run again.")] = None,
    dry_run: Annotated[bool, Parameter(help="Only list the stages, with calls, tokens, money and memory.")] = False,
    seed: Seed = 0,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Run all stages of a recipe: data, SFT, strategies A and B, GRPO, comparison.

    Finished stages are not repeated, a training goes on from its last
    checkpoint, and replies of models are never asked for twice.

    Example: inkfire run my-recipe.toml --out runs/mine --budget 5.00
    """
    place = Place(out, seed, access, yes)
    if (recipe is None) == (like is None):
        raise InputError("name a recipe (inkfire recipes list), or a run folder with --like RUN in its place")
    if recipe is None:
        if dry_run:
            raise InputError("--dry-run lists the stages of a recipe: leave it or --like out")
        assert like is not None
        result = like_run.repeat(like, place)
        emit(result, as_json=json, show=partial(shown.run, out))
    elif dry_run:
        result = {"plan": plan(load_recipe(recipe), place)}
        emit(result, as_json=json, show=shown.planned)
    else:
        emit(run_recipe(load_recipe(recipe), place), as_json=json, show=partial(shown.run, out))


def demo(
    *,
    lang: Annotated[
        Literal["zh", "en"] | None,
        Parameter(help="Chinese (0.5B writer) or English (135M); that of --task, or else Chinese."),
    ] = None,
    task: Annotated[str | None, Parameter(help="What to write instead of greetings: a task's name or folder.")] = None,
    out: Out = Path("runs/demo"),
    seed: Seed = 0,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Run the whole pipeline, small, on models embedded in the process.

    No GPU, no key, no endpoint. It downloads the weights once (1.6 GB for
    zh, 1.2 GB for en), then takes 20 to 30 minutes on two cores.
    The last line printed is the path of the report.

    Example: inkfire demo --lang en --out runs/demo-en
    Example: inkfire demo --task taglines-en --out runs/taglines
    """
    spoken = lang or ("zh" if task is None else load_task(task).language)
    if spoken not in ("zh", "en"):
        raise InputError(f"{task} is in {spoken}, and the demo's small writers write zh and en: inkfire recipes new")
    recipe = load_recipe(f"demo-{spoken}")
    if task is not None:
        recipe = for_task(recipe, task)
    emit(run_recipe(recipe, Place(out, seed, yes=yes)), as_json=json, show=partial(shown.run, out))
