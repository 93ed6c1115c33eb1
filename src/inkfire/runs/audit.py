"""``inkfire audit``: shortcuts, leaks and duplicates in files of data."""

from __future__ import annotations

from typing import Annotated, Any

from inkfire.files import formats
from inkfire.files.reading import AS_IT_STANDS, Data, Reading
from inkfire.settings import option, settings
from inkfire.stats.audit import audit as look
from inkfire.tasks.slices import coverage, say_coverage, slice_of
from inkfire.tasks.task import load_task


@settings
class AuditInputs:
    """What is looked at."""

    pairs: Data = ()
    """Preference pairs, in any supported format; repeatable."""
    labelled: Data = ()
    """Texts with a label, good or bad; repeatable."""
    against: Data = ()
    """Another file to look for the same rows in; repeatable."""
    task: str | None = None
    """A task, to say which of its slices and occasions the data covers."""
    reading: Annotated[Reading, option("*")] = AS_IT_STANDS
    """How the data is read."""


def audit(inputs: AuditInputs, *, seed: int = 0) -> dict[str, Any]:
    """The numbers and ``findings`` of :func:`inkfire.stats.audit.audit` for files; with a task ``occasions``, and its
    slices where a query has no tag of one."""
    files, how = (*inputs.pairs, *inputs.labelled), inputs.reading
    pairs, labelled = formats.read_pairs(inputs.pairs, how), formats.read_labelled(inputs.labelled, how)
    slices = load_task(inputs.task).slices if inputs.task else {}
    queries = {query.query: query for query in formats.iter_queries(files, how)}
    tags = {text: query.tags for text, query in queries.items()}
    for text, query in queries.items() if slices else ():
        tags[text] = tuple(dict.fromkeys((slice_of(query, slices), *query.tags)))
    found = look(
        pairs=pairs,
        labelled=labelled,
        against=[formats.read_any(path, how) for path in inputs.against],
        files=[formats.read_any(path, how) for path in files] if len(files) > 1 else [],
        tags=tags,
        writers=formats.read_writers(inputs.labelled, how),
        seed=seed,
    )
    if slices:
        found["occasions"] = coverage(queries.values(), slices)
        found["findings"].append(say_coverage(found["occasions"]))
    return found
