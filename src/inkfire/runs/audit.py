"""``inkfire audit``: shortcuts, leaks and duplicates in files of data."""

from __future__ import annotations

from typing import Annotated, Any

from inkfire.files import formats
from inkfire.files.reading import AS_IT_STANDS, Data, Reading
from inkfire.settings import option, settings
from inkfire.stats.audit import audit as look


@settings
class AuditInputs:
    """What is looked at."""

    pairs: Data = ()
    """Preference pairs, in any supported format; repeatable."""
    labelled: Data = ()
    """Texts with a label, good or bad; repeatable."""
    against: Data = ()
    """Another file to look for the same rows in; repeatable."""
    reading: Annotated[Reading, option("*")] = AS_IT_STANDS
    """How the data is read."""


def audit(inputs: AuditInputs, *, seed: int = 0) -> dict[str, Any]:
    """The numbers and ``findings`` of :func:`inkfire.stats.audit.audit` for files."""
    files, how = (*inputs.pairs, *inputs.labelled), inputs.reading
    return look(
        pairs=formats.read_pairs(inputs.pairs, how),
        labelled=formats.read_labelled(inputs.labelled, how),
        against=[formats.read_any(path, how) for path in inputs.against],
        files=[formats.read_any(path, how) for path in files] if len(files) > 1 else [],
        tags={query.query: query.tags for query in formats.iter_queries(files, how) if query.tags},
        seed=seed,
    )
