"""``inkfire curate``: strategy A's preference data; its shards put together; one debate, readable."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from inkfire.cli import shown
from inkfire.cli.common import Json, Out, Seed, Yes, emit, flat
from inkfire.runs import shards
from inkfire.runs.context import Access, Place
from inkfire.runs.curate import CurateHow, CurateInputs, CurateSettings, find_transcript
from inkfire.runs.curate import curate as curate_pairs

app = App(name="curate")


@app.default
def curate(
    *,
    inputs: Annotated[CurateInputs, flat],
    settings: Annotated[CurateSettings, flat] = CurateSettings(),
    how: Annotated[CurateHow, flat] = CurateHow(),
    access: Annotated[Access, flat] = Access(),
    out: Out,
    seed: Seed = 0,
    yes: Yes = False,
    json: Json = False,
) -> None:
    r"""Write candidates for queries, debate each, and make preference pairs.

    They and the debates: OUT/pairs.jsonl and OUT/transcripts.jsonl.

    What will it take? The same with --estimate.
    At a batch service's price, over days: with --batch-dir runs/batch.
    In parts: with --shard 1/4 --out runs/1-of-4, …; then
        inkfire curate merge runs/*-of-4 --out runs/pairs
    On Ray: with --engine ray --shards 4

    Example: inkfire curate --task greetings-zh --prompts queries.txt \
        --model local/qwen2.5-coder-1.5b --out runs/pairs
    """
    work = shards.curate_on_ray if how.engine == "ray" else curate_pairs
    result = work(inputs, settings, Place(out, seed, access, yes), how)
    emit(result, as_json=json, show=partial(shown.curated, how.estimate, out))


@app.command
def merge(
    *folders: Annotated[Path, Parameter(help="The finished run folders of all shards, in any order.")],
    out: Out,
    json: Json = False,
) -> None:
    """Put the shards of one curation together.

    What comes out is the folder of the run that was not divided, byte for
    byte.

    Example: inkfire curate merge runs/1-of-2 runs/2-of-2 --out runs/pairs
    """
    emit(shards.merge(folders, out), as_json=json, show=partial(shown.run, out))


@app.command
def show(
    id: Annotated[str, Parameter(help="A transcript's id, or the beginning of one.")],
    /,
    *,
    out: Annotated[Path, Parameter(help="The run folder of inkfire curate.")],
    json: Json = False,
) -> None:
    """Print one debate as a conversation.

    Example: inkfire curate show 3f9c --out runs/pairs
    """
    emit(find_transcript(out, id), as_json=json, show=conversation)


_VERDICTS = {1: "good", 0: "bad", None: "unscored"}


def conversation(row: Mapping[str, Any]) -> str:
    """A transcript as people read it: who said what, in order."""
    lines = [f"{row['id']}  {_VERDICTS[row['label']]}", "", f"Query     {row['query']}", f"Text      {row['response']}"]
    lines += [f"          written by {row['source']}"] if row["source"] else []
    lines += [f"Example   {example['query']}: {example['response']}" for example in row["examples"]]
    for agent, sign in (("positive", "+"), ("negative", "-")):
        if row[agent] is not None:
            lines += ["", f"{agent.capitalize():<10}({row['models'][agent]})"]
            lines += [f"  {sign} {point}: {reason}" for point, reason in row[agent].items()]
    for agent in ("judge", "reflect"):
        if row[agent] is not None:
            flip = ", overturning the judge" if agent == "reflect" and row["flipped"] else ""
            lines += ["", f"{agent.capitalize():<10}({row['models'][agent]})"]
            lines += [f"  {_VERDICTS[row[agent]['judge']]}{flip}: {row[agent]['reason']}"]
    if row["unscored"] is not None:
        lines += ["", f"Unscored  {row['unscored']}"]
    return "\n".join(lines)
