"""``inkfire evaluate`` and ``inkfire report``: compare policies, draw the page."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from inkfire.cli import shown
from inkfire.cli.common import Json, Out, Seed, Yes, emit, flat
from inkfire.runs.context import Access, Place
from inkfire.runs.evaluate import EvaluateInputs, EvaluateSettings
from inkfire.runs.evaluate import evaluate as compare


def evaluate(
    *,
    inputs: Annotated[EvaluateInputs, flat],
    settings: Annotated[EvaluateSettings, flat] = EvaluateSettings(),
    access: Annotated[Access, flat] = Access(),
    out: Out,
    seed: Seed = 0,
    yes: Yes = False,
    json: Json = False,
) -> None:
    r"""Compare policies on held-out queries.

    That is the excellent rate by each signal, with intervals and a length
    baseline.

    Example: inkfire evaluate --task greetings-zh --prompts q.jsonl \
        --policy base=local/qwen2.5-coder-0.5b --policy rl=runs/demo/rm-rl \
        --policy gpt=gpt-5-mini \
        --signal rm=runs/demo/reward_model --signal judge=runs/demo/judge \
        --out runs/eval
    """
    result = compare(inputs, settings, Place(out, seed, access, yes))
    emit(result | shown.drawn(out), as_json=json, show=partial(shown.run, out))


def report(
    run: Annotated[Path, Parameter(help="A run folder.")],
    other: Annotated[Path | None, Parameter(help="Another one, to compare the two.")] = None,
    /,
    *,
    out: Annotated[Path | None, Parameter(help="The page's file; by default in the (second) run folder.")] = None,
    json: Json = False,
) -> None:
    """Draw a page of what a run's stages left, or of two runs.

    It is one self-contained file, RUN/report.html. Of two runs it is
    OTHER/compared.html: their findings side by side, what they were told
    otherwise, and what they cost.

    Example: inkfire report runs/demo
    Example: inkfire report runs/demo runs/demo-2 --out compared.html
    """
    from inkfire.report.page import write_report
    from inkfire.report.pair import write_comparison

    page = write_report(run, out) if other is None else write_comparison(run, other, out)
    emit({"report": str(page)}, as_json=json, show=lambda row: row["report"])
