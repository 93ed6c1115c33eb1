"""What rewards cost against what they are worth, as one SVG file that stands by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from inkfire.report.figures import as_svg, svg_pyplot

Row = Mapping[str, Any]

_COLOURS = {"A": "#c8452d", "B": "#2b6f77", "A+B": "#5b4b8a"}
_INK, _SOFT = "#22303c", "#888888"
_LINES = {"rm": ("A: reward model on labelled pairs", "A"), "judge": ("B: judge, calibrated", "B")}


def measure_of(rewards: Sequence[Row]) -> str:
    """The AUC that rewards are compared by: on common texts, where all that have one have that."""
    known = [row for row in rewards if row["auc"] is not None]
    return "common_auc" if known and all(row.get("common_auc") is not None for row in known) else "auc"


def draw(found: Mapping[str, Any]) -> str | None:
    """Held-out AUC against seconds, against money where any was spent, and by the number of labels where that was
    looked at; a ring is on the front: nothing is both cheaper and better. None where there is nothing to draw.

    Args:
        found: the result of ``inkfire cost``.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    rewards, curves = found["rewards"], found.get("curves")
    name = measure_of(rewards)
    panels = [cost for cost in ("seconds", "cost") if any(row[cost] and row[name] is not None for row in rewards)]
    panels += ["labels"] if curves else []
    if not panels:
        return None
    pyplot = svg_pyplot()
    style = {"svg.hashsalt": "inkfire", "svg.fonttype": "path", "text.parse_math": False, "font.size": 9}
    with pyplot.rc_context(style):
        figure, axes = pyplot.subplots(
            len(panels), figsize=(6.0, 2.9 * len(panels)), layout="constrained", squeeze=False
        )
        for panel, axis in zip(panels, axes[:, 0], strict=True):
            axis.set_ylabel("AUC on the same texts" if name == "common_auc" and panel != "labels" else "held-out AUC")
            axis.axhline(0.5, color=_SOFT, linestyle="--", linewidth=1)
            axis.grid(color="#e6e6e6", linewidth=0.6)
            axis.spines[["top", "right"]].set_visible(False)
            if panel == "labels":
                _by_labels(axis, curves or {})
            else:
                _against(axis, rewards, panel, name)
                axis.set_xlabel("seconds, preparation and training" if panel == "seconds" else found["currency"])
        return as_svg(pyplot, figure)


def _against(axis: Any, rewards: Sequence[Row], cost: str, name: str) -> None:
    for row in rewards:
        if row[cost] is None or row[name] is None:
            continue
        colour = _COLOURS.get(row["strategy"], _INK)
        bounds = row[f"{name}_ci"]
        if bounds and None not in bounds:
            axis.plot([row[cost]] * 2, bounds, color=colour, linewidth=1.5)
        axis.plot(row[cost], row[name], "o", color=colour, markersize=5)
        if cost in row["front"]:
            axis.plot(row[cost], row[name], "o", color=_INK, markersize=11, markerfacecolor="none")
        said = f" {row['strategy']}: {row['run']}/{row['reward']}"
        axis.annotate(said, (row[cost], row[name]), xytext=(7, 4), textcoords="offset points", fontsize=8)
    axis.margins(x=0.3, y=0.2)


def _by_labels(axis: Any, curves: Mapping[str, Any]) -> None:
    for key, (label, strategy) in _LINES.items():
        rows = curves.get(key) or ()
        x = [row["labels"] for row in rows]
        if x:
            axis.plot(x, [row["auc"] for row in rows], "o-", color=_COLOURS[strategy], markersize=4, label=label)
            low, high = zip(*(row["auc_ci"] for row in rows), strict=True)
            axis.fill_between(x, low, high, color=_COLOURS[strategy], alpha=0.15, linewidth=0)
    axis.set_xlabel("human labels")
    if axis.lines:
        axis.legend(frameon=False, loc="lower right")
