"""``inkfire probe``: which edits a reward pays for."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from inkfire.cli import shown
from inkfire.cli.common import Json, Seed, Yes, emit, flat
from inkfire.runs.context import Access, Place
from inkfire.runs.probe import ProbeInputs
from inkfire.runs.probe import probe as look


def probe(
    *,
    inputs: Annotated[ProbeInputs, flat],
    access: Annotated[Access, flat] = Access(),
    out: Annotated[Path | None, Parameter(help="A run folder for edits.jsonl; none, only the result is kept.")] = None,
    seed: Seed = 0,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Find the edits of a text that a reward pays for, and no reader would.

    Texts are padded, decorated, praised, mixed with foreign words, damaged in
    each way, and replaced by the one that the reward likes best.

    Example: inkfire probe --reward runs/rm --task greetings-zh
    """
    place = None if out is None else Place(out, seed, access, yes)
    result = look(inputs, place, access=access, seed=seed)
    emit(result, as_json=json, show=partial(shown.probed, out))
