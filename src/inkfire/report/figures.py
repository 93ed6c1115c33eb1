"""Figures as inline SVG, drawn by matplotlib, narrow, so that a phone shrinks them little.

Their text is text, and their colours are those of the page's style sheet: they follow its font, its dark and its
printed form.
"""

from __future__ import annotations

import html
import io
import re
import textwrap
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from inkfire.errors import MissingExtraError

INK, PAPER, GRID, SOFT, ALARM = "#010101", "#020202", "#030303", "#040404", "#0b0b0b"
COLOURS = ("#050505", "#060606", "#070707", "#080808", "#090909", "#0a0a0a")
"""Stand for colours of the style sheet (``--ink``, ``--c0`` …), which are put in their place."""

_SHORT = 18  # characters of a name, of which two stand side by side
MARKERS = ("o", "s", "^", "D", "v", "P")
_NAMED = re.compile(r' id="(?:figure|axes|patch|matplotlib\.axis|[xy]tick|text|line2d|legend|[A-Z]\w*Collection)_\d+"')
"""Names that every figure has, so that a page would have them often."""
_STYLE = {INK: "--ink", PAPER: "--card", GRID: "--line", SOFT: "--soft", ALARM: "--fire"} | {
    colour: f"--c{i}" for i, colour in enumerate(COLOURS)
}


class Drawn(NamedTuple):
    svg: str
    title: str = ""


def svg_pyplot() -> Any:
    """matplotlib's pyplot, which draws SVG.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        import matplotlib
    except ImportError as error:
        raise MissingExtraError("matplotlib", "report") from error
    matplotlib.use("svg")
    from matplotlib import pyplot

    return pyplot


def as_svg(pyplot: Any, figure: Any, **how: Any) -> str:
    """A figure as SVG, the same bytes for the same data; it is closed."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")), **how)
    pyplot.close(figure)
    return buffer.getvalue()


def _figure(width: float, height: float) -> tuple[Any, Any, Any]:
    pyplot = svg_pyplot()
    pyplot.rcParams.update(
        {
            "svg.fonttype": "none",
            "text.parse_math": False,  # a name may have dollars
            "font.size": 9,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.edgecolor": SOFT,
            "text.color": INK,
            "axes.labelcolor": INK,
            "xtick.color": SOFT,
            "ytick.color": SOFT,
            "xtick.labelcolor": INK,
            "ytick.labelcolor": INK,
        }
    )
    figure, axes = pyplot.subplots(figsize=(width, height), layout="constrained")
    axes.grid(color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    return pyplot, figure, axes


def _svg(pyplot: Any, figure: Any, alt: str) -> str:
    pyplot.rcParams["svg.hashsalt"] = alt  # the same data draws the same bytes, and no two figures share a name
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # only measured here; the reader's fonts draw it
        text = _NAMED.sub("", as_svg(pyplot, figure, transparent=True))
    text = re.sub(r"<!--.*?-->\s*", "", text[text.index("<svg") :])
    for colour, name in _STYLE.items():
        text = text.replace(colour, f"var({name})")
    most = f"max-width:{7 * figure.get_figwidth():.0f}rem"
    return text.replace("<svg", f'<svg role="img" aria-label="{html.escape(alt)}" style="{most}"', 1)


def excellent_rates(evaluation: Mapping[str, Any], signals: Sequence[str]) -> Drawn:
    """Excellent rate of every policy by every signal with 95 % intervals; a policy's own reward is hollow, and a signal
    that no claim may rest on has a broken line."""
    policies, qualified = evaluation["policies"], evaluation.get("qualified", {})
    pyplot, figure, axes = _figure(4.8, 0.9 + (0.12 + 0.09 * len(signals)) * max(2, len(policies)))
    names = list(policies)
    step = 0.7 / max(1, len(signals))
    for s, signal in enumerate(signals):
        look = {"color": COLOURS[s % len(COLOURS)], "marker": MARKERS[s % len(MARKERS)]}
        line = "-" if qualified.get(signal, {"qualified": True})["qualified"] else ":"
        for i, name in enumerate(names):
            rate = policies[name]["excellent_rate"].get(signal)
            if rate is None:
                continue
            low, high = policies[name]["excellent_rate_ci"][signal]
            y = i + (s - (len(signals) - 1) / 2) * step
            own = signal in policies[name]["own_reward"]
            axes.plot([low, high], [y, y], color=look["color"], linestyle=line, linewidth=1.8)
            axes.plot(rate, y, **look, markerfacecolor=PAPER if own else look["color"], markersize=5)
        axes.plot([], [], **look, linestyle=line, label=signal)
    if any(set(signals) & set(policy["own_reward"]) for policy in policies.values()):
        axes.plot([], [], "o", color=INK, markerfacecolor=PAPER, label="own reward")
    axes.set_yticks(range(len(names)), [textwrap.shorten(name, 24, placeholder="…") for name in names])
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlim(-0.02, 1.02)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25", "50", "75", "100 %"])
    axes.set_xlabel("excellent texts (95 % interval)")
    axes.grid(visible=False, axis="y")
    axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=3, frameon=False, columnspacing=1.2)
    told = []
    for name, policy in policies.items():
        rates = {signal: policy["excellent_rate"].get(signal) for signal in signals}
        said = [f"{100 * rate:.0f} % by {signal}" for signal, rate in rates.items() if rate is not None]
        told.append(f"{name} {', '.join(said)}")
    return Drawn(_svg(pyplot, figure, f"Excellent texts of each policy: {'; '.join(told)}"))


def curve(
    series: Mapping[str, Sequence[tuple[float, float]]],
    xlabel: str,
    title: str,
    *,
    bands: Mapping[str, Sequence[tuple[float, float, float]]] = {},
    marks: Mapping[str, float] = {},
    alarms: Mapping[int, str] = {},
    of: str = "",
) -> Drawn:
    """Lines through (x, y) points, one a name, each with its 95 % band of (x, low, high) where it has one.

    ``marks`` are named places on the x axis, ``alarms`` steps with the numbers of the alarms that rang there; ``of`` is
    whose curve it is, for those who hear it.
    """
    pyplot, figure, axes = _figure(3.7, 2.2)
    for i, (name, points) in enumerate(series.items()):
        colour = COLOURS[i % len(COLOURS)]
        axes.plot(
            [x for x, _ in points],
            [y for _, y in points],
            linestyle=("-", "--", "-.", ":")[i % 4],
            marker=MARKERS[i % len(MARKERS)] if len(points) <= 20 else None,
            markersize=3.5,
            linewidth=1.5,
            color=colour,
            label=name,
        )
        if band := bands.get(name):
            x, low, high = zip(*band, strict=True)
            axes.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)
    top = {"xycoords": ("data", "axes fraction"), "va": "top", "ha": "right", "fontsize": 8}
    for name, place in marks.items():
        axes.axvline(place, color=SOFT, linestyle="--", linewidth=1)
        axes.annotate(name, (place, 1), rotation=90, **top)
    for step, numbers in alarms.items():
        axes.axvline(step, color=ALARM, linewidth=1.2)
        axes.annotate(f"!{numbers}", (step, 1), color=ALARM, **top)
    axes.set_xlabel(xlabel)
    if all(float(x).is_integer() for points in series.values() for x, _ in points):
        axes.xaxis.get_major_locator().set_params(integer=True)
    if bands:  # of rates
        axes.set_ylim(top=1.02)
    if len(series) > 1:
        columns = 2 if max(map(len, series)) <= _SHORT else 1
        axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=columns, frameon=False, fontsize=8)
    told = "; ".join(
        f"{f'{name} ' if len(series) > 1 else ''}from {points[0][1]:.3g} to {points[-1][1]:.3g}"
        for name, points in series.items()
    )
    rang = f"; alarms at {xlabel} {', '.join(map(str, alarms))}" if alarms else ""
    whose = f"{of}: " if of else ""
    return Drawn(_svg(pyplot, figure, f"{whose}{title} against {xlabel}, {told}{rang}"), title)


_CURVES: Mapping[str, Mapping[str, str]] = {
    "loss": {"loss": "loss"},
    "accuracy on training pairs": {"accuracy": "accuracy"},
    "margin, chosen over rejected": {"margin": "margin"},
    "mean reward": {"reward": "step's texts", "validation_reward": "queries held out"},
    "mean score, on its own scale": {"score": "score"},
    "reward standard deviation": {"reward_std": "deviation"},
    "KL from the start, nats a text": {"kl_text": "KL"},
    "weight of the KL term": {"beta": "beta"},
    "entropy, nats a token": {"entropy": "entropy"},
    "mean length (characters)": {"mean_length": "length"},
    "share of texts": {"truncated": "cut off", "failed": "fail a check", "coverage": "have a reward"},
    "share of groups": {"zero_variance": "equal rewards", "missing_groups": "without rewards"},
    "log-probability a token under the frozen base": {"fluency": "fluency"},
    "distinct-2 of a step": {"distinct": "distinct-2"},
}
"""The figures of a training: title → key of metrics.jsonl → what its line is called."""


def curves(metrics: Iterable[Mapping[str, Any]], alarms: Iterable[Mapping[str, Any]] = (), of: str = "") -> list[Drawn]:
    """The figures of the numbers that the rows of metrics.jsonl have at two steps or more, alarms marked at their step
    by their number in alarms.jsonl."""
    rows = list(metrics)
    rang: dict[int, str] = {}
    for number, alarm in enumerate(alarms, 1):
        rang[alarm["step"]] = f"{rang[alarm['step']]},{number}" if alarm["step"] in rang else str(number)
    drawn = []
    for title, lines in _CURVES.items():
        found = {
            said: [(float(row["step"]), float(row[key])) for row in rows if row.get(key) is not None]
            for key, said in lines.items()
        }
        series = {said: points for said, points in found.items() if len(points) > 1}
        if series:
            drawn.append(curve(series, "step", title, alarms=rang, of=of))
    return drawn


def rounds(history: Iterable[Mapping[str, Any]]) -> list[Drawn]:
    """A refinement round by round: forgeries that are caught, and what the judge is worth on the validation texts."""
    rows = list(history)
    frozen = [(row["round"], of["caught"] / of["scored"]) for row in rows if (of := row.get("frozen")) and of["scored"]]
    seen = {
        name: [(row["round"], of[name]) for row in rows if (of := row.get("validation")) and of.get(name) is not None]
        for name in ("auc", "accuracy")
    }
    lines = {
        "caught": _points(rows, "caught_share"),
        "first ones again": frozen,
        "validation AUC": seen["auc"],
        "validation accuracy": seen["accuracy"],
    }
    series = {name: points for name, points in lines.items() if len(points) > 1}
    return [curve(series, "round", "forgeries caught, and the rules on validation texts")] if series else []


def _points(rows: Sequence[Mapping[str, Any]], name: str) -> list[tuple[float, float]]:
    return [(row["round"], row[name]) for row in rows if row.get(name) is not None]


def learning(result: Mapping[str, Any]) -> Drawn:
    """What a judge reaches by the number of labels that it is calibrated on."""
    names, sizes = {"accuracy": "accuracy", "balanced_accuracy": "balanced accuracy", "auc": "AUC"}, result["labels"]
    return curve(
        {label: [(n, result[f"{name}_{n}"]) for n in sizes] for name, label in names.items()},
        "labels",
        "on the test texts",
        bands={label: [(n, *result[f"{name}_{n}_ci"]) for n in sizes] for name, label in names.items()},
    )


def reliability(bins: Sequence[Mapping[str, Any]]) -> Drawn:
    """The share of good texts found in each bin of P(Good), with Wilson intervals, beside a judge that is never off."""
    pyplot, figure, axes = _figure(3.7, 3.0)
    axes.plot([0, 1], [0, 1], "--", color=SOFT, linewidth=1)
    for row in bins:
        axes.plot([row["said"]] * 2, row["found_ci"], color=COLOURS[1], linewidth=1.4)
    axes.plot([row["said"] for row in bins], [row["found"] for row in bins], "o", color=COLOURS[1], markersize=5)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xlabel="P(Good) said (mean of a bin)", ylabel="share found good")
    return Drawn(_svg(pyplot, figure, "Share of good texts against the probability that the judge said"))


def estimates(
    rows: Sequence[tuple[str, str, float, Sequence[float]]], xlabel: str, chance: float | None = None
) -> Drawn:
    """Estimates with their 95 % intervals, a line a row: (its label, what is measured, the value, [low, high]).

    What is measured has a colour each. ``chance`` is marked by a vertical line.
    """
    labels = list(dict.fromkeys(label for label, _, _, _ in rows))
    kinds = list(dict.fromkeys(kind for _, kind, _, _ in rows))
    ticks = [textwrap.fill(label, 24) for label in labels]
    height = 0.36 if any("\n" in tick for tick in ticks) else 0.26
    pyplot, figure, axes = _figure(4.8, 0.9 + height * max(2, len(labels)))
    if chance is not None:
        axes.axvline(chance, color=SOFT, linestyle="--", linewidth=1)
    for label, kind, value, (low, high) in rows:
        y = labels.index(label) + 0.3 * (kinds.index(kind) - (len(kinds) - 1) / 2)
        at = kinds.index(kind)
        axes.plot([low, high], [y, y], color=COLOURS[at % len(COLOURS)], linewidth=1.6)
        axes.plot(value, y, MARKERS[at % len(MARKERS)], color=COLOURS[at % len(COLOURS)], markersize=5.5)
    if len(kinds) > 1:
        for i, kind in enumerate(kinds):
            axes.plot([], [], f"{MARKERS[i % len(MARKERS)]}-", color=COLOURS[i % len(COLOURS)], label=kind)
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=len(kinds), frameon=False)
    axes.set_yticks(range(len(labels)), ticks)
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.set_xlabel(f"{xlabel} (95 % interval)")
    axes.grid(visible=False, axis="y")
    told = "; ".join(f"{label} {value:.2f} ({low:.2f} to {high:.2f})" for label, _, value, (low, high) in rows)
    return Drawn(_svg(pyplot, figure, f"{xlabel} with intervals: {told}"))


def dots(numbers: Mapping[str, Any], names: Mapping[str, str], what: str, chance: float = 0.5) -> list[Drawn]:
    """One figure of those of ``names`` (name → label) that have an interval; none where none has."""
    rows = [
        (label, what, numbers[name], bounds)
        for name, label in names.items()
        if numbers.get(name) is not None and (bounds := numbers.get(f"{name}_ci")) and None not in bounds
    ]
    return [estimates(rows, what, chance)] if rows else []


def turned(families: Mapping[str, Mapping[str, Any]]) -> list[Drawn]:
    """One figure of the share of injections that turn a verdict, a family a line; none where none is known."""
    rows = [
        (family, said, row[key], row[f"{key}_ci"])
        for family, row in families.items()
        for key, said in (("flips", "with defences"), ("flips_off", "without"))
        if row.get(key) is not None
    ]
    return [estimates(rows, "share turned to good")] if rows else []
