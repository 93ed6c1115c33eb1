"""A run folder becomes one self-contained HTML page: no network, no scripts, every text escaped.

The page reads what the command left in its folder (manifest, ``stages/*.json``, records, ``metrics.jsonl``, seconds)
and opens no model and no ledger. A run that is not finished has a page too, which says what is missing.

It begins with the finding (findings.py); the rest is its template's, in ``templates/``. Here is which one that is, and
what it may ask for.
"""

from __future__ import annotations

from inspect import isfunction
from pathlib import Path
from typing import Any

from inkfire.evaluation import claims
from inkfire.files.jsonl import REPORT, atomic
from inkfire.report import ablated, drift, figures, findings, picks, words
from inkfire.report.folder import Folder

_KINDS = {
    "curate": ("curate", "curate"),
    "judge": ("judge", "judge"),
    "judge pairwise": ("pairwise", "pairwise"),
    "judge curve": ("curve", "curve"),
    "judge attack": ("attack", "attack"),
    "judge probe": ("probe", "probe"),
    "refine": ("refine", "refine"),
    "train sft": ("train", "sft"),
    "train rm": ("train", "rm"),
    "train grpo": ("train", "grpo"),
    "train bon": ("train", "sft"),
    "train dpo": ("train", "sft"),
    "score": ("score", "score"),
    "ablate": ("ablate", "ablate"),
}
"""A command: the stage that has its result, and the template that shows it."""


def write_report(run_dir: Path) -> Path:
    """Draw ``run_dir/report.html`` and return its path.

    Raises:
        RunFolderError: ``run_dir`` is no run folder.
        MissingExtraError: matplotlib is not installed.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("inkfire.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    for module in (words, picks):  # their functions are the templates' filters
        environment.filters |= {name: each for name, each in vars(module).items() if isfunction(each)}
    environment.filters |= {"listed": claims.listed, "points": claims.points}
    environment.filters |= {"tables": ablated.tables, "differences": ablated.differences}
    environment.globals |= {"draw": figures, "over_optimisation": drift.over_optimisation}
    run = Folder(run_dir)
    template, shown = _contents(run)
    page = environment.get_template(f"{template}.html.jinja").render(run=run, stages=run.stages(), **shown)
    path = run_dir / REPORT
    with atomic(path) as file:
        file.write(page.encode("utf-8", "replace"))
    return path


def _contents(run: Folder) -> tuple[str, dict[str, Any]]:
    """The template of a folder's page and what it shows."""
    stages = run.stages()
    if run.command == "run" or "evaluate" in stages:
        return "run", _comparison(run)
    stage, template = _KINDS.get(run.command, (run.command, "other"))
    if template != "other" and stage in stages:
        return template, {"result": stages[stage], "found": findings.of(run, stages[stage])}
    return ("other" if template == "other" and stages else "unfinished"), {"stage": stage, "found": None}


def _comparison(run: Folder) -> dict[str, Any]:
    """Policies side by side, and the trainings that made them, of what has been done."""
    evaluation = run.stages().get("evaluate")
    drawn = {
        name: figures.curves(run.rows(f"{name}/metrics.jsonl")) + drift.over_optimisation(run, f"{name}/")
        for name in run.stages()
    }
    return {
        "evaluation": evaluation,
        "found": findings.compared(evaluation) if evaluation else None,
        "claims": claims.claims(evaluation) if evaluation else [],
        "curves": {name: made for name, made in drawn.items() if made},
        "shown": evaluation["signals"] if evaluation else [],
    }
