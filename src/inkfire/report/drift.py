"""The over-optimisation curve: what a reward and the canaries say of a policy by how far it went from its start.

Gao et al. 2210.10760 draw the reward that is trained on, and one that is not, over √KL: the first rises on, the second
peaks and falls. Here KL is in nats a text, and each line in standard deviations of the first texts from their mean: of
the first five steps for the reward (of one that looks at the group its score), of the first reading for a canary.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from inkfire.files.jsonl import read_json
from inkfire.report import figures
from inkfire.report.folder import Folder

_FIRST = 5
Values = Mapping[int, list[float]]
"""The values of a step's texts."""


def over_optimisation(run: Folder, below: str = "") -> list[figures.Drawn]:
    """The figure of a training in a run folder, or in a folder ``below`` it; none where KL or a canary is not known."""
    far = {
        row["step"]: math.sqrt(max(0.0, row["kl_text"]))
        for row in run.rows(f"{below}metrics.jsonl")
        if row.get("kl_text") is not None
    }
    canaries = _of_texts(
        (row["step"], name, value)
        for row in run.rows(f"{below}canaries.jsonl")
        for name, value in row["canary"].items()
    )
    series = {name: _standardised(values, 1) for name, values in canaries.items()}
    if not series:
        return []
    scored = _of_texts(
        (row["step"], name, row.get(name))
        for row in run.rows(f"{below}completions.jsonl")
        for name in ("score", "reward")
    )
    name = "score" if "score" in scored else "reward"
    lines = {name: _standardised(scored.get(name, {}), _FIRST), **series}
    points = {name: [(far[step], y) for step, y in line if step in far] for name, line in lines.items()}
    drawn = {name: line for name, line in points.items() if len(line) > 1}
    if not drawn.keys() & series.keys():
        return []
    kept = _kept(run, below, far)
    title = "SDs from the first texts"
    return [figures.curve(drawn, "√KL (nats a text)", title, marks=kept, of=below[:-1])]


def _of_texts(values: Iterable[tuple[int, str, float | None]]) -> dict[str, dict[int, list[float]]]:
    found: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for step, name, value in values:
        if value is not None:
            found[name][step].append(value)
    return found


def _standardised(of: Values, first: int) -> list[tuple[int, float]]:
    """Each step's mean, in standard deviations of the texts of the ``first`` steps; none where these do not vary."""
    begun = [value for step in sorted(of)[:first] for value in of[step]]
    if not begun or (spread := float(np.std(begun))) < 1e-9:
        return []
    return [(step, (float(np.mean(of[step])) - float(np.mean(begun))) / spread) for step in sorted(of)]


def _kept(run: Folder, below: str, far: Mapping[int, float]) -> dict[str, float]:
    """Where the policies that were kept lie: at the KL of the texts that each wrote, those of the step after."""
    return {name: far[steps + 1] for name, steps in _policies(run, below) if steps + 1 in far}


def _policies(run: Folder, below: str) -> Iterator[tuple[str, int]]:
    """(name, updates) of the policies of the way and of the one that the training ended with."""
    folder = run.path / below
    for card in sorted(folder.glob("kept/kl-*/policy.json")):
        yield card.parent.name, read_json(card)["steps"]
    if (folder / "policy.json").is_file():
        yield "kept", read_json(folder / "policy.json")["steps"]
