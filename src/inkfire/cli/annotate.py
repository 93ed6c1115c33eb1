"""``inkfire annotate``: lay texts out, serve the page, rate in the terminal, see how far it is, export."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from inkfire.cli import shown
from inkfire.cli.common import Json, Out, Seed, Shown, Table, Yes, display, emit, flat
from inkfire.cli.rating import rate_here
from inkfire.evaluation.ballots import Plan
from inkfire.files.jsonl import dump
from inkfire.report.words import duration, several
from inkfire.runs import annotate as runs
from inkfire.runs.annotate import AnnotateInputs, ServeSettings
from inkfire.runs.context import Access, Place

app = App(
    name="annotate",
    help="Let people rate texts, blind, on a local page or in the terminal."
    "\n\nExample: inkfire annotate serve runs/rate",
)

Folder = Annotated[Path, Parameter(help="What inkfire annotate new laid out.")]


@app.command
def new(
    *,
    inputs: Annotated[AnnotateInputs, flat],
    plan: Annotated[Plan, flat] = Plan(),
    access: Annotated[Access, flat] = Access(),
    out: Out,
    seed: Seed = 0,
    yes: Yes = False,
    json: Json = False,
) -> None:
    r"""Lay out texts for people to rate: a policy's own, or two side by side.

    One policy's texts are rated by the rubric of its task (or --task); of two
    or more, raters say which of two texts is better. Nobody is told who wrote
    what.

    Example: inkfire annotate new --policy runs/sft --queries q.txt --n 4 \
        --out runs/rate
    Example: inkfire annotate new --policy sft=runs/a/texts.jsonl \
        --policy rl=runs/b/texts.jsonl --raters 3 --overlap 0.3 --out runs/rate
    """
    result = runs.new(inputs, plan, Place(out, seed, access, yes))
    emit(result, as_json=json, show=partial(shown.run, out))


@app.command
def serve(run: Folder, /, *, where: Annotated[ServeSettings, flat] = ServeSettings(), json: Json = False) -> None:
    """Serve the page that people rate on, until it is interrupted.

    Each rater has an address of their own. Every vote is on disk before it is
    answered: stop it and start it again as you like.

    Example: inkfire annotate serve runs/rate
    """

    def ready(told: Mapping[str, Any]) -> None:
        if json:
            print(dump(told), flush=True)
        else:
            display(_served(told))
            sys.stdout.flush()

    result = runs.serve(run, where, ready)
    if not json:
        display(_progress(run, result))


@app.command
def rate(
    run: Folder,
    /,
    *,
    rater: Annotated[str, Parameter(help="In whose name.")] = "rater-1",
    json: Json = False,
) -> None:
    """Rate in the terminal, as on the page.

    Example: inkfire annotate rate runs/rate --rater rater-2
    """
    emit(rate_here(run, rater), as_json=json, show=partial(_progress, run))


@app.command
def status(run: Folder, /, *, json: Json = False) -> None:
    """How far the raters are, how long a vote takes, and whether they agree with themselves.

    Example: inkfire annotate status runs/rate
    """
    emit(runs.status(run), as_json=json, show=partial(_progress, run))


@app.command
def export(
    run: Folder,
    /,
    *,
    to: Annotated[Path | None, Parameter(help="The folder to write to; by default export/ in the run.")] = None,
    json: Json = False,
) -> None:
    """Write the votes with the writers' names, as other commands read them.

    Example: inkfire annotate export runs/rate
    """
    result = runs.export(run, to)
    emit(result | (shown.drawn(run) if to is None else {}), as_json=json, show=partial(_exported, run))


# ---- what is shown -------------------------------------------------------------------------------------------------

_FILES = {
    "votes.jsonl": "every vote that stands, with its rater, seconds and note",
    "votes.csv": "the same as a table",
    "ratings.jsonl": "one row a text and rater: evaluate --signal people=, agree",
    "rated.jsonl": "one row a text, the mean of its raters: score --ratings",
    "labelled.jsonl": "good and bad texts: judge, audit --labelled",
    "pairs.jsonl": "what was preferred: train rm --pairs, train dpo",
}


def _served(told: Mapping[str, Any]) -> Shown:
    rows = [
        (rater, url, f"{told['raters'][rater]['done']} of {told['raters'][rater]['planned']}")
        for rater, url in told["urls"].items()
    ]
    said = ["Each rater opens their own address; who has it may vote in that name. Ctrl-C stops it, nothing is lost."]
    return Shown(said, tables=[Table(rows)])


def _progress(run: Path, result: Mapping[str, Any]) -> Shown:
    said = f"{result['done']} of {several(result['planned'], 'vote')} are in"
    if result["left"] and result["seconds_median"] is not None:
        said += f"; the other {result['left']} take about {duration(result['left'] * result['seconds_median'])}"
    several_raters = f"{result['items_by_several']} of more than one rater"
    rated = f"{result['items_rated']} of {result['items']} have a vote, {several_raters}."
    rows = [
        (rater, f"{one['done']} of {one['planned']}", _seconds(one["seconds_median"]), _same(one["repeats"]))
        for rater, one in result["raters"].items()
    ]
    table = Table(rows, ("rater", "votes", "a vote", "repeats said alike"))
    command = "export" if result["done"] else "serve"
    return Shown([f"{said}.", rated], tables=[table], next=shlex.join(["inkfire", "annotate", command, str(run)]))


def _seconds(seconds: float | None) -> str:
    return "–" if seconds is None else f"{seconds:.0f} s"


def _same(repeats: Mapping[str, int]) -> str:
    return f"{repeats['same']} of {repeats['n']}" if repeats["n"] else "–"


def _exported(run: Path, result: Mapping[str, Any]) -> Shown:
    progress = result["progress"]
    said = [f"{progress['done']} of {several(progress['planned'], 'vote')} are in."]
    if result["mode"] == "pairwise":
        names = ("a_better", "b_better", "tie", "both_bad")
        rows = [(row["a"], row["b"], *(str(row[name]) for name in names), str(row["n"])) for row in result["results"]]
        table = Table(rows, ("first", "second", "first better", "second better", "alike", "both bad", "votes"))
    else:
        rows = [(row["policy"], f"{row['mean']:.2f}", str(row["n"])) for row in result["results"]]
        table = Table(rows, ("policy", "mean", "texts"))
    out = Path(result["out"])
    files = {name: what for name, what in _FILES.items() if name in result["files"]}
    agree = out / ("votes.jsonl" if result["mode"] == "pairwise" else "ratings.jsonl")
    details = ["These are counts; inkfire evaluate says what they show."] if result["mode"] == "pairwise" else []
    details += [f"The report: {result['report']}"] if "report" in result else []
    following = shlex.join(["inkfire", "agree", str(agree)])
    return Shown(said, tables=[table], details=details, out=out, files=files, next=following)
