"""A run folder becomes one self-contained HTML page: no network, no scripts, every text escaped.

The page reads what the command left in its folder (manifest, ``stages/*.json``, records, ``metrics.jsonl``, seconds)
and opens no model and no ledger. A run that is not finished has a page too, which says what is missing.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from inkfire.evaluation import claims
from inkfire.files.jsonl import REPORT, atomic
from inkfire.report import curation, experiment, judging, refinement, scoring, stress, training, words
from inkfire.report.folder import Folder, Result
from inkfire.report.sections import Page, Section, Table

_KINDS: dict[str, tuple[str, Callable[[Folder, Result], Page]]] = {
    "curate": ("curate", curation.curate),
    "judge": ("judge", judging.judge),
    "judge pairwise": ("pairwise", judging.pairwise),
    "judge curve": ("curve", judging.curve),
    "judge attack": ("attack", stress.attack),
    "judge probe": ("probe", stress.probe),
    "refine": ("refine", refinement.refine),
    "train sft": ("train", training.sft),
    "train rm": ("train", training.reward_model),
    "train grpo": ("train", training.grpo),
    "score": ("score", scoring.score),
}
"""A command: the stage that has its result, and what makes a page of it."""


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
    environment.filters.update(pct=words.percent, num=words.number, ci=words.interval, pts=claims.points)
    folder = Folder(run_dir)
    name, shown = contents(folder)
    common = {"manifest": folder.manifest, "costs": folder.costs(), "made_by": folder.made_by()}
    page = environment.get_template(name).render(**common, **shown)
    path = run_dir / REPORT
    with atomic(path) as file:
        file.write(page.encode("utf-8", "replace"))
    return path


def contents(folder: Folder) -> tuple[str, dict[str, Any]]:
    """The template of a folder's page and what it shows."""
    if folder.command == "run" or "evaluate" in folder.stages():
        return "run.html.jinja", experiment.contents(folder)
    page = _page(folder)
    return "sections.html.jinja", {"page": page, "headline": page.headline}


def _page(folder: Folder) -> Page:
    stages = folder.stages()
    if folder.command not in _KINDS and stages:
        sections = [Section(name, table=training.scalars(result)) for name, result in stages.items()]
        return Page(f"inkfire {folder.command} is done: {words.listed(stages)}.", sections=sections)
    stage, build = _KINDS.get(folder.command, (folder.command, None))
    if build is not None and stage in stages:
        return build(folder, stages[stage])
    said = (
        f"What it found is missing (stages/{stage}.json). Typed again on the same folder, the command goes on from "
        "here: replies that were paid for are not asked for again, and a training begins at its last checkpoint."
    )
    there = Table(("file", "rows"), folder.sizes())
    return Page(
        f"This run of inkfire {folder.command} is not finished.",
        [said],
        sections=[Section("What is there", table=there), training.course(folder)],
    )
