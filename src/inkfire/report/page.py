"""A run folder becomes one self-contained HTML page: no network, no scripts, every text escaped.

The page reads what the stages left (``stages/*.json``, ``metrics.jsonl`` of each training, ``timings.json`` and the
manifest); a stage that has not run is left out, so an unfinished run has a page too.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from inkfire.errors import RunFolderError
from inkfire.evaluation import claims
from inkfire.files.jsonl import REPORT, atomic, read_jsonl
from inkfire.report import figures

_CURVES = (
    ("loss", "loss"),
    ("reward", "mean reward"),
    ("reward_std", "reward standard deviation"),
    ("mean_length", "mean length (characters)"),
)


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
    environment.filters.update(pct=_percent, num=_number, ci=_interval, pts=claims.points, dur=_duration)
    path = run_dir / REPORT
    page = environment.get_template("page.html.jinja").render(**collect(run_dir))
    with atomic(path) as file:
        file.write(page.encode("utf-8", "replace"))
    return path


def collect(run_dir: Path) -> dict[str, Any]:
    """Everything the page shows, read from the run folder."""
    manifest_path = run_dir / "manifest.json"
    if not manifest_path.is_file():
        raise RunFolderError(f"{run_dir} is not a run folder (it has no manifest.json); make one with inkfire demo")
    stages = {path.stem: _read(path) for path in sorted((run_dir / "stages").glob("*.json"))}
    evaluation = stages.get("evaluate")
    timings = run_dir / "timings.json"
    curves = [training_curves(run_dir, name) for name in stages if (run_dir / name / "metrics.jsonl").is_file()]
    return {
        "manifest": _read(manifest_path),
        "stages": stages,
        "seconds": _read(timings) if timings.is_file() else {},
        "evaluation": evaluation,
        "headline": claims.headline(evaluation) if evaluation else "This run has not been evaluated yet.",
        "claims": claims.claims(evaluation) if evaluation else [],
        "rates_figure": figures.excellent_rates(evaluation["policies"], evaluation["signals"]) if evaluation else "",
        "curves": [curve for curve in curves if curve["figures"]],
        "shown": list(evaluation["signals"]) if evaluation else [],
        "debates": _debates(run_dir),
    }


def training_curves(run_dir: Path, stage: str) -> dict[str, Any]:
    """The figures of one training: whatever of loss, reward, spread and length its metrics have."""
    rows = list(read_jsonl(run_dir / stage / "metrics.jsonl"))
    drawn = []
    for key, label in _CURVES:
        series = [(float(row["step"]), float(row[key])) for row in rows if row.get(key) is not None]
        if len(series) > 1:
            drawn.append(figures.curve({stage: series}, "step", label))
    return {"stage": stage, "figures": drawn}


def _debates(run_dir: Path) -> list[dict[str, Any]]:
    """One debate that ended well and one that did not, as examples."""
    path = run_dir / "curate" / "transcripts.jsonl"
    if not path.is_file():
        return []
    found: dict[int, dict[str, Any]] = {}
    for row in read_jsonl(path):
        if row["label"] is not None:
            found.setdefault(row["label"], row)
    return [found[label] for label in sorted(found, reverse=True)]


def _read(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.0f} %"


def _number(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 10 else f"{value:.0f}"
    return str(value)


def _interval(value: Any, scale: float = 1.0) -> str:
    if not value:
        return ""
    digits = 0 if scale != 1.0 else 2
    return f"{scale * value[0]:.{digits}f} to {scale * value[1]:.{digits}f}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
