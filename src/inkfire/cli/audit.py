"""``inkfire audit``: shortcuts, leaks and duplicates in data."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from inkfire.cli import shown
from inkfire.cli.common import Json, Seed, emit, flat
from inkfire.runs.audit import AuditInputs
from inkfire.runs.audit import audit as look


def audit(*, inputs: Annotated[AuditInputs, flat] = AuditInputs(), seed: Seed = 0, json: Json = False) -> None:
    """Find shortcuts, leaks and repeats in data.

    Shortcuts are length and wording; leaks are rows that other files hold
    too. It also finds mixed languages, refusals and unbalanced slices (by
    the rows' tags, or a task's words), and says who wrote what (by the rows'
    source) and whether the name alone gives the label away.

    Example: inkfire audit --labelled test.jsonl --against train.jsonl
    """
    emit(look(inputs, seed=seed), as_json=json, show=partial(shown.audited, inputs))
