"""Figures as inline SVG, drawn by matplotlib. Labels are policy and signal names, so no CJK font is needed."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterable, Mapping, Sequence
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
            "text.parse_math": False,  # a name may have dollars
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


def curve(
    series: Mapping[str, Sequence[tuple[float, float]]],
    xlabel: str,
    ylabel: str,
    bands: Mapping[str, Sequence[tuple[float, float, float]]] = {},
    marks: Mapping[str, float] = {},
) -> str:
    """Lines through (x, y) points, one a name, each with its 95 % band of (x, low, high) where it has one.

    ``marks`` are named places on the x axis.
    """
    pyplot, figure, axes = _figure(3.9, 2.2)
    for i, (name, points) in enumerate(series.items()):
        colour = COLOURS[i % len(COLOURS)]
        axes.plot(
            [x for x, _ in points],
            [y for _, y in points],
            "o-" if len(points) <= 20 else "-",
            markersize=3.5,
            linewidth=1.5,
            color=colour,
            label=name,
        )
        if band := bands.get(name):
            x, low, high = zip(*band, strict=True)
            axes.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)
    for name, place in marks.items():
        axes.axvline(place, color="#aaaaaa", linestyle="--", linewidth=1)
        axes.annotate(
            name, (place, 1), xycoords=("data", "axes fraction"), rotation=90, va="top", ha="right", fontsize=7
        )
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    if all(float(x).is_integer() for points in series.values() for x, _ in points):
        axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(color="#e6e6e6", linewidth=0.6)
    if bands:  # of rates
        axes.set_ylim(top=1.02)
    if len(series) > 1:
        axes.legend(frameon=False)
    return _svg(pyplot, figure, f"{ylabel} against {xlabel}")


_CURVES = {
    "loss": "loss",
    "accuracy": "accuracy on training pairs",
    "margin": "margin, chosen over rejected",
    "reward": "mean reward",
    "score": "mean score, on its own scale",
    "failed": "texts that fail a check",
    "fluency": "log-probability a token under the frozen base",
    "reward_std": "reward standard deviation",
    "mean_length": "mean length (characters)",
    "kl_text": "KL from the start, nats a text",
    "beta": "weight of the KL term",
    "zero_variance": "groups with equal rewards",
    "missing_groups": "groups without rewards",
}


def curves(metrics: Iterable[Mapping[str, Any]]) -> list[str]:
    """A figure of each number that the rows of metrics.jsonl have at two steps or more."""
    rows = list(metrics)
    drawn = []
    for key, label in _CURVES.items():
        points = [(float(row["step"]), float(row[key])) for row in rows if row.get(key) is not None]
        if len(points) > 1:
            drawn.append(curve({label: points}, "step", label))
    return drawn


def learning(result: Mapping[str, Any]) -> str:
    """What a judge reaches by the number of labels that it is calibrated on."""
    names, sizes = {"accuracy": "accuracy", "balanced_accuracy": "balanced accuracy", "auc": "AUC"}, result["labels"]
    return curve(
        {label: [(n, result[f"{name}_{n}"]) for n in sizes] for name, label in names.items()},
        "labels",
        "on the test texts",
        {label: [(n, *result[f"{name}_{n}_ci"]) for n in sizes] for name, label in names.items()},
    )


def reliability(bins: Sequence[Mapping[str, Any]]) -> str:
    """The share of good texts found in each bin of P(Good), with Wilson intervals, beside a judge that is never off."""
    pyplot, figure, axes = _figure(3.9, 3.2)
    axes.plot([0, 1], [0, 1], "--", color="#aaaaaa", linewidth=1)
    for row in bins:
        axes.plot([row["said"]] * 2, row["found_ci"], color=COLOURS[1], linewidth=1.4)
    axes.plot([row["said"] for row in bins], [row["found"] for row in bins], "o", color=COLOURS[1], markersize=5)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xlabel="P(Good) said (mean of a bin)", ylabel="share found good")
    axes.grid(color="#e6e6e6", linewidth=0.6)
    return _svg(pyplot, figure, "Share of good texts against the probability that the judge said")


def estimates(rows: Sequence[tuple[str, str, float, Sequence[float]]], xlabel: str, chance: float | None = None) -> str:
    """Estimates with their 95 % intervals, a line a row: (its label, what is measured, the value, [low, high]).

    What is measured has a colour each. ``chance`` is marked by a vertical line.
    """
    labels = list(dict.fromkeys(label for label, _, _, _ in rows))
    kinds = list(dict.fromkeys(kind for _, kind, _, _ in rows))
    ticks = [textwrap.fill(label, 24) for label in labels]
    height = 0.36 if any("\n" in tick for tick in ticks) else 0.26
    pyplot, figure, axes = _figure(4.8, 0.9 + height * max(2, len(labels)))  # narrow: a phone shrinks it little
    if chance is not None:
        axes.axvline(chance, color="#aaaaaa", linestyle="--", linewidth=1)
    for label, kind, value, (low, high) in rows:
        y = labels.index(label) + 0.3 * (kinds.index(kind) - (len(kinds) - 1) / 2)
        colour = COLOURS[kinds.index(kind) % len(COLOURS)]
        axes.plot([low, high], [y, y], color=colour, linewidth=1.6)
        axes.plot(value, y, "o", color=colour, markersize=5.5)
    if len(kinds) > 1:
        for i, kind in enumerate(kinds):
            axes.plot([], [], "o-", color=COLOURS[i % len(COLOURS)], label=kind)
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=len(kinds), frameon=False)
    axes.set_yticks(range(len(labels)), ticks)
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.set_xlabel(f"{xlabel} (95 % interval)")
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    return _svg(pyplot, figure, f"{xlabel} with intervals")


def dots(numbers: Mapping[str, Any], names: Mapping[str, str], what: str, chance: float = 0.5) -> list[str]:
    """One figure of those of ``names`` (name → label) that have an interval; none where none has."""
    rows = [
        (label, what, numbers[name], bounds)
        for name, label in names.items()
        if numbers.get(name) is not None and (bounds := numbers.get(f"{name}_ci")) and None not in bounds
    ]
    return [estimates(rows, what, chance)] if rows else []


def turned(families: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """One figure of the share of injections that turn a verdict, a family a line; none where none is known."""
    rows = [
        (family, said, row[key], row[f"{key}_ci"])
        for family, row in families.items()
        for key, said in (("flips", "with defences"), ("flips_off", "without"))
        if row.get(key) is not None
    ]
    return [estimates(rows, "share turned to good")] if rows else []
