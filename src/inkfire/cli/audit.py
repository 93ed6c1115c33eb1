"""``inkfire audit``: shortcuts, leaks and duplicates in data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from inkfire.cli import common
from inkfire.cli.common import Json, Seed, flat, measured, say
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
    common.emit(look(inputs, seed=seed), as_json=json, show=_show)


_TABLES = ("findings", "slices", "writers", "occasions")


def _show(found: Mapping[str, Any]) -> None:
    common.emit(
        {key: value for key, value in found.items() if value is not None and key not in _TABLES},
        as_json=False,
    )
    for name, row in found["writers"].items():
        say(f"writer {name}: n {row['n']}, good_share {measured(row, 'good_share')}")
    for tag, row in found["slices"].items():
        say(f"slice {tag}: " + ", ".join(f"{key} {_short(value)}" for key, value in row.items() if _short(value)))
    say()
    for sentence in found["findings"]:
        say(f"- {sentence}")


def _short(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value) if isinstance(value, int) else ""
