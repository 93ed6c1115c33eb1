"""``inkfire write``: a writer at work."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from inkfire.cli import shown
from inkfire.cli.common import Json, Seed, Yes, emit, flat, say
from inkfire.errors import InputError
from inkfire.runs.context import Access, Place
from inkfire.runs.write import WriteInputs, write_all
from inkfire.runs.write import write as write_texts


def write(
    query: Annotated[str | None, Parameter(help="What to write; or --prompts.", allow_leading_hyphen=True)] = None,
    /,
    *,
    inputs: Annotated[WriteInputs, flat],
    access: Annotated[Access, flat] = Access(),
    out: Annotated[Path | None, Parameter(help="The run folder of --prompts: texts.jsonl.")] = None,
    seed: Seed = 0,
    yes: Yes = False,
    json: Json = False,
) -> None:
    r"""Write texts for a query, or for a file of queries.

    Example: inkfire write "给外婆的八十大寿祝福" --policy runs/demo/rm-rl \
        -n 8 --best-of runs/demo/reward_model
    Example: inkfire write --prompts q.jsonl --policy gpt-5-mini \
        --task greetings-en --out runs/texts
    """
    if (query is None) != bool(inputs.prompts):
        raise InputError("inkfire write needs a query or --prompts F, and not both")
    if query is None:
        if out is None:
            raise InputError("--prompts writes into a folder: add --out DIR")
        emit(write_all(inputs, Place(out, seed, access, yes)), as_json=json, show=partial(shown.run, out))
    else:
        if out is not None:
            raise InputError("--out is the folder of --prompts F; the texts of one query are printed")
        emit(write_texts(query, inputs, access=access, seed=seed), as_json=json, show=_show)


def _show(result: Mapping[str, Any]) -> None:
    texts = result["responses"]
    scores = result.get("scores", [None] * len(texts))
    for text, score in zip(texts, scores, strict=True):
        say(f"{score:8.3f}  {text}" if score is not None else text)
