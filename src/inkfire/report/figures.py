"""Figures as inline SVG, drawn by matplotlib. Labels are policy and signal names, so no CJK font is needed."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

from inkfire.errors import MissingExtraError

INK = "#22303c"
COLOURS = ("#c8452d", "#2b6f77", "#c99a2e", "#5b4b8a", "#6b7a3a", "#8c6d62")


def _figure(width: float, height: float) -> tuple[Any, Any, Any]:
    try:
        import matplotlib
    except ImportError as error:
        raise MissingExtraError("matplotlib", "report") from error
    matplotlib.use("svg")
    matplotlib.rcParams.update(
        {
            "svg.hashsalt": "inkfire",  # the same data draws the same bytes
            "svg.fonttype": "path",
            "font.size": 9,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.edgecolor": INK,
            "text.color": INK,
            "axes.labelcolor": INK,
            "xtick.color": INK,
            "ytick.color": INK,
        }
    )
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(width, height), layout="constrained")
    return pyplot, figure, axes


def _svg(pyplot: Any, figure: Any, alt: str) -> str:
    buffer = io.StringIO()
    figure.savefig(
        buffer, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")), transparent=True
    )
    pyplot.close(figure)
    text = buffer.getvalue()
    start = text.index("<svg")
    return text[start:].replace("<svg", f'<svg role="img" aria-label="{alt}"', 1)


def excellent_rates(policies: Mapping[str, Mapping[str, Any]], signals: Sequence[str]) -> str:
    """Excellent rate of every policy by every signal with 95 % Wilson intervals; a policy's own reward is hollow."""
    pyplot, figure, axes = _figure(6.4, 0.5 + 0.34 * max(3, len(policies)))
    names = list(policies)
    step = 0.8 / max(1, len(signals))
    for s, signal in enumerate(signals):
        for i, name in enumerate(names):
            rate = policies[name]["excellent_rate"].get(signal)
            if rate is None:
                continue
            low, high = policies[name]["excellent_rate_ci"][signal]
            y = i + (s - (len(signals) - 1) / 2) * step * 0.7
            colour = COLOURS[s % len(COLOURS)]
            own = signal in policies[name]["own_reward"]
            axes.plot([low, high], [y, y], color=colour, linewidth=1.6)
            axes.plot(rate, y, "o", color=colour, markerfacecolor="white" if own else colour, markersize=5.5)
    for s, signal in enumerate(signals):
        axes.plot([], [], "o-", color=COLOURS[s % len(COLOURS)], label=signal)
    axes.plot([], [], "o", color=INK, markerfacecolor="white", label="own reward")
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xlim(-0.02, 1.02)
    axes.set_xlabel("excellent rate (95 % Wilson interval)")
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    return _svg(pyplot, figure, "Excellent rate of each policy by each signal")


def curve(series: Mapping[str, Sequence[tuple[float, float]]], xlabel: str, ylabel: str) -> str:
    """Lines through (x, y) points, one a name."""
    pyplot, figure, axes = _figure(3.9, 2.2)
    for i, (name, points) in enumerate(series.items()):
        axes.plot(
            [x for x, _ in points],
            [y for _, y in points],
            "o-" if len(points) <= 20 else "-",
            markersize=3.5,
            linewidth=1.5,
            color=COLOURS[i % len(COLOURS)],
            label=name,
        )
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    if all(float(x).is_integer() for points in series.values() for x, _ in points):
        axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(color="#e6e6e6", linewidth=0.6)
    if len(series) > 1:
        axes.legend(frameon=False)
    return _svg(pyplot, figure, f"{ylabel} against {xlabel}")
