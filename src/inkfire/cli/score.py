"""``inkfire score``: apply any reward to pairs or texts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from inkfire.cli import common
from inkfire.cli.train import show_slices
from inkfire.errors import InputError


def score(
    reward: Annotated[str, typer.Option("--reward", help="A reward's or judge's folder, share:X, or 'W*A + W*B'.")],
    pairs: Annotated[Path | None, typer.Option("--pairs", help="Preference pairs, in any format.")] = None,
    data: Annotated[Path | None, typer.Option("--data", help="Texts, in any format; labels are used.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="A run folder for scores.jsonl; none, none is kept.")
    ] = None,
    base_url: common.BaseUrl = None,
    force: Annotated[bool, typer.Option("--force", help="Take a judge that is refused as a reward.")] = False,
    seed: common.Seed = 0,
    json: common.Json = False,
) -> None:
    """Apply a reward, beside what length explains.

    Example: inkfire score --reward runs/rm --pairs pairs.jsonl
    """
    from inkfire.runs.score import score_file

    if (pairs is None) == (data is None):
        raise InputError("give either --pairs F or --data F")
    path = pairs or data
    assert path is not None
    result = score_file(reward, path, "pairs" if pairs else "data", base_url=base_url, force=force, out=out, seed=seed)
    common.emit(result, as_json=json, show=_show if pairs else None)


def _show(result: Mapping[str, Any]) -> None:
    typer.echo(f"{result['reward']} on {result['n']} pairs, {result['missing']} without a score")
    show_slices(result)
