"""A run folder becomes one self-contained HTML page: no network, no scripts, every text escaped.

The page reads what the command left in its folder (manifest, ``stages/*.json``, records, ``metrics.jsonl``, seconds)
and opens no model and no ledger. A run that is not finished has a page too, which says what is missing.

It begins with the finding (findings.py), of a comparison with what a stranger asks of it (glance.py); the rest is its
template's, in ``templates/``. Here is which one that is, and what it may ask for.
"""

from __future__ import annotations

from inspect import isfunction
from pathlib import Path
from typing import Any

from inkfire.errors import RunFolderError
from inkfire.evaluation import claims
from inkfire.files.jsonl import REPORT, atomic
from inkfire.report import ablated, across, drift, figures, findings, glance, glossary, markup, numbers, picks, words
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
    "annotate": ("annotate", "annotate"),
}
"""A command: the stage that has its result, and the template that shows it."""


def write_report(run_dir: Path, path: Path | None = None) -> Path:
    """Draw the page of a run folder, by default as ``report.html`` in it, and return its path.

    Raises:
        RunFolderError: ``run_dir`` is no run folder.
        MissingExtraError: matplotlib is not installed.
    """
    run = Folder(run_dir)
    template, shown = _contents(run)
    title = run.settings.get("name") or run.command
    return render(template, path or run_dir / REPORT, title=title, run=run, stages=run.stages(), **shown)


def render(template: str, path: Path, **shown: Any) -> Path:
    """A template's page in a file."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("inkfire.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    for module in (words, picks, glossary, markup):  # their functions are the templates' filters
        environment.filters |= {name: each for name, each in vars(module).items() if isfunction(each)}
    environment.filters |= {"listed": claims.listed, "points": claims.points}
    environment.filters |= {"tables": ablated.tables, "differences": ablated.differences}
    environment.globals |= {
        "draw": figures,
        "numbers": numbers,
        "across": across.across,
        "over_optimisation": drift.over_optimisation,
    }
    page = environment.get_template(f"{template}.html.jinja").render(**shown)
    with atomic(path) as file:
        file.write(page.encode("utf-8", "replace"))
    return path


def _contents(run: Folder) -> tuple[str, dict[str, Any]]:
    """The template of a folder's page and what it shows."""
    stages = run.stages()
    if run.command == "run" or "evaluate" in stages:
        return "comparison", _comparison(run)
    stage, template = _KINDS.get(run.command, (run.command, "other"))
    if template != "other" and stage in stages:
        return template, {"result": stages[stage], "found": findings.of(run, stages[stage])}
    return ("other" if template == "other" and stages else "unfinished"), {"stage": stage, "found": None}


def _comparison(run: Folder) -> dict[str, Any]:
    """Policies side by side, and the stages that made them, of what has been done."""
    evaluation = run.stages().get("evaluate")
    found = findings.compared(evaluation) if evaluation else None
    return {
        "evaluation": evaluation,
        "found": found,
        "answers": glance.answers(run, evaluation, found.warnings) if evaluation and found else [],
        "beside": glance.side_by_side(run, evaluation) if evaluation else [],
        "claims": claims.claims(evaluation) if evaluation else [],
        "trainings": [name for name in run.stages() if next(run.rows(f"{name}/metrics.jsonl"), None)],
        "shown": evaluation["signals"] if evaluation else [],
        "made": _made(run),
    }


def _made(run: Folder) -> dict[str, str]:
    """What each stage that is a run of its own found, in a sentence."""
    said = {}
    for name, result in run.stages().items():
        if "refused" in result and name != "evaluate":
            said[name] = words.sentence(f"not trained: {result['refused']}")
        elif (run.path / name / "manifest.json").is_file():
            try:
                said[name] = findings.of(Folder(run.path / name), result).said[0]
            except (KeyError, RunFolderError):  # an earlier version's, or a stage that has no sentence
                continue
    return said
