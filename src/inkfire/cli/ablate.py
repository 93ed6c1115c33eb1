"""``inkfire ablate``: what each part of the two strategies is worth, on a recipe's own task and texts."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from cyclopts import Parameter

from inkfire.cli import shown
from inkfire.cli.common import Json, Out, Seed, Yes, emit, flat
from inkfire.runs.ablate import AblateSettings
from inkfire.runs.ablate import ablate as run_arms
from inkfire.runs.context import Access, Place
from inkfire.runs.recipe import load_recipe


def ablate(
    recipe: Annotated[str, Parameter(help="A recipe's name, or the path of a .toml file.")],
    /,
    *,
    settings: Annotated[AblateSettings, flat] = AblateSettings(),
    access: Annotated[Access, flat] = Access(),
    out: Out,
    seed: Seed = 0,
    yes: Yes = False,
    json: Json = False,
) -> None:
    r"""Leave one part after the other out of a recipe's strategies, on the same texts.

    Groups of arms: agents, pairs, candidates, labels (together A), B, rewards.
    Arms share a ledger: what two of them ask alike is asked once. OUT/A/ARM and
    OUT/B/ARM hold run folders of curate and refine.

    Example: inkfire ablate demo-zh --what agents B --data labelled.jsonl \
        --limit 100 --out runs/ablate
    """
    result = run_arms(load_recipe(recipe), settings, Place(out, seed, access, yes))
    emit(result, as_json=json, show=partial(shown.run, out))
