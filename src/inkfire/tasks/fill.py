"""A task's data from files of any format: a spreadsheet's export becomes queries.jsonl, labelled.jsonl, pairs.jsonl.

Some of the queries are set apart in held-out.jsonl, which no command takes by itself: policies are compared on queries
that nothing was trained on.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Ge, Lt

from inkfire.errors import TaskError
from inkfire.files.formats import read_labelled, read_pairs, read_queries, split_by_query
from inkfire.files.jsonl import write_jsonl
from inkfire.files.reading import AS_IT_STANDS, Data, Reading
from inkfire.records import Query, to_json
from inkfire.settings import option, settings
from inkfire.tasks.task import BLANK, HELD_OUT, read_task

Rows = list[dict[str, Any]]
_OPTIONS = {HELD_OUT: "queries"}


@settings
class FillInputs:
    """Which files become the data of a task."""

    queries: Data = ()
    """Queries, in any format; repeatable."""
    labelled: Data = ()
    """Texts with a label, good or bad, in any format; repeatable."""
    pairs: Data = ()
    """Preference pairs, in any format; repeatable."""
    held_out_fraction: Annotated[float, Ge(0), Lt(1)] = 0.2
    """The share of --queries that goes into held-out.jsonl, for inkfire evaluate --prompts."""
    reading: Annotated[Reading, option("*")] = AS_IT_STANDS
    """How the data is read."""


def fill_task(folder: Path, inputs: FillInputs, *, overwrite: bool = False, seed: int = 0) -> dict[str, int]:
    """Write the data of a task; all files are read before the first is written.

    Returns:
        The rows of each file that was written, by its name.

    Raises:
        TaskError: no task, one that ships, no files named, or data that is there already and may not be overwritten.
        DataError: a file that cannot be read so; file and line are named.
    """
    task = read_task(folder)
    if task.folder.parent == BLANK.parent:
        raise TaskError(f"{folder} ships with inkfire and stays as it is: inkfire tasks new DIR --from {folder}")
    made = dict(_made(inputs, seed))
    if not made:
        raise TaskError("name what to fill the task with: --queries F, --labelled F or --pairs F")
    there = [name for name in made if (task.folder / name).exists()]
    if there and not overwrite:
        named = " ".join(f"--{_OPTIONS.get(name, Path(name).stem)} {task.folder / name}" for name in there)
        raise TaskError(
            f"{folder} has {', '.join(there)} already; --yes writes over them, and keeps their rows where they are "
            f"named beside the new files: {named}"
        )
    return {name: write_jsonl(task.folder / name, rows) for name, rows in made.items()}


def _made(inputs: FillInputs, seed: int) -> Iterator[tuple[str, Rows]]:
    """(name of the file, its rows) of all that is named."""
    if inputs.queries:
        distinct = list({query.query: query for query in read_queries(inputs.queries, inputs.reading)}.values())
        rest, held_out = split_by_query(distinct, fraction=inputs.held_out_fraction, seed=seed)
        yield "queries.jsonl", [_query(query) for query in rest]
        if held_out:
            yield HELD_OUT, [_query(query) for query in held_out]
    if inputs.labelled:
        yield "labelled.jsonl", [_row(row) for row in read_labelled(inputs.labelled, inputs.reading)]
    if inputs.pairs:
        yield "pairs.jsonl", [_row(row) for row in read_pairs(inputs.pairs, inputs.reading)]


def _query(query: Query) -> dict[str, Any]:
    return {"query": query.query, "tags": list(query.tags)}


def _row(record: Any) -> dict[str, Any]:
    return {name: value for name, value in to_json(record).items() if value not in ("", {})}
