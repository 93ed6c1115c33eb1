"""``inkfire write``: a trained writer at work."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from cyclopts import Parameter

from inkfire.cli.common import Json, Seed, emit, flat, say
from inkfire.runs.context import Access
from inkfire.runs.write import WriteInputs
from inkfire.runs.write import write as write_texts


def write(
    query: Annotated[str, Parameter(help="What to write.", allow_leading_hyphen=True)],
    /,
    *,
    inputs: Annotated[WriteInputs, flat],
    access: Annotated[Access, flat] = Access(),
    seed: Seed = 0,
    json: Json = False,
) -> None:
    r"""Write texts for a query.

    Example: inkfire write "给外婆的八十大寿祝福" --policy runs/demo/rm-rl \
        -n 8 --best-of runs/demo/reward_model
    """
    emit(write_texts(query, inputs, access=access, seed=seed), as_json=json, show=_show)


def _show(result: Mapping[str, Any]) -> None:
    texts = result["responses"]
    scores = result.get("scores", [None] * len(texts))
    for text, score in zip(texts, scores, strict=True):
        say(f"{score:8.3f}  {text}" if score is not None else text)
