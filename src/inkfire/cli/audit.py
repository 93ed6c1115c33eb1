"""``inkfire audit``: shortcuts, leaks and duplicates in data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from inkfire.cli.common import Json, Seed, emit


def audit(
    pairs: Annotated[Path | None, typer.Option("--pairs", help="Preference pairs, in any supported format.")] = None,
    labelled: Annotated[Path | None, typer.Option("--labelled", help="Texts with a label, 1 good or 0 bad.")] = None,
    against: Annotated[
        list[Path] | None, typer.Option("--against", help="Another file to look for the same rows in; repeatable.")
    ] = None,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Find shortcuts (length, wording), leaks (rows that other files hold too), repeats, mixed languages, refusals and
    unbalanced slices (by the rows' tags) in data.

    Example: inkfire audit --labelled test.jsonl --against train.jsonl
    """
    from inkfire.files import formats
    from inkfire.stats.audit import audit as run_audit

    files = [path for path in (pairs, labelled) if path]
    result = run_audit(
        pairs=formats.read_pairs(pairs) if pairs else None,
        labelled=formats.read_labelled(labelled) if labelled else None,
        against=[formats.read_any(path) for path in against or []],
        tags={query.query: query.tags for path in files for query in formats.iter_queries(path) if query.tags},
        seed=seed,
    )
    emit(result, as_json=json, show=_show)


def _show(found: Mapping[str, Any]) -> None:
    emit(
        {key: value for key, value in found.items() if value is not None and key not in ("findings", "slices")},
        as_json=False,
    )
    for tag, row in found["slices"].items():
        typer.echo(
            f"slice {tag}: " + ", ".join(f"{key} {_short(value)}" for key, value in row.items() if _short(value))
        )
    typer.echo("")
    for sentence in found["findings"]:
        typer.echo(f"- {sentence}")


def _short(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value) if isinstance(value, int) else ""
