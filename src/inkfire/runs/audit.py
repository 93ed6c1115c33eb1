"""``inkfire audit``: shortcuts, leaks and duplicates in files of data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from inkfire.files import formats
from inkfire.settings import settings
from inkfire.stats.audit import audit as look


@settings
class AuditInputs:
    """What is looked at."""

    pairs: Path | None = None
    """Preference pairs, in any supported format."""
    labelled: Path | None = None
    """Texts with a label, 1 good or 0 bad."""
    against: tuple[Path, ...] = ()
    """Another file to look for the same rows in; repeatable."""


def audit(inputs: AuditInputs, *, seed: int = 0) -> dict[str, Any]:
    """The numbers and ``findings`` of :func:`inkfire.stats.audit.audit` for files."""
    files = [path for path in (inputs.pairs, inputs.labelled) if path]
    return look(
        pairs=formats.read_pairs(inputs.pairs) if inputs.pairs else None,
        labelled=formats.read_labelled(inputs.labelled) if inputs.labelled else None,
        against=[formats.read_any(path) for path in inputs.against],
        tags={query.query: query.tags for path in files for query in formats.iter_queries(path) if query.tags},
        seed=seed,
    )
