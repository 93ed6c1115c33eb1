"""``inkfire score``: apply any reward to pairs or texts."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from inkfire.cli import shown
from inkfire.cli.common import Json, Seed, Yes, emit, flat
from inkfire.runs.context import Access, Place
from inkfire.runs.score import ScoreInputs
from inkfire.runs.score import score as apply


def score(
    *,
    inputs: Annotated[ScoreInputs, flat],
    access: Annotated[Access, flat] = Access(),
    out: Annotated[Path | None, Parameter(help="A run folder for scores.jsonl; none, none is kept.")] = None,
    seed: Seed = 0,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Apply a reward, beside what length explains.

    Example: inkfire score --reward runs/rm --pairs pairs.jsonl
    """
    place = None if out is None else Place(out, seed, access, yes)
    result = apply(inputs, place, access=access, seed=seed)
    emit(result, as_json=json, show=partial(shown.scored, out))
