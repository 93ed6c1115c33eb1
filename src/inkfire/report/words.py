"""Numbers as the reader of a report sees them: a value never without its interval, where it has one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from inkfire.llm.bill import FIELDS

Numbers = Mapping[str, Any]
"""A stage's result: ``NAME`` and, where there is one, ``NAME_ci``."""

_USED = ("calls", "cached", "tokens", *FIELDS, "currency")
"""What a stage took of models: it has a table of its own."""


def percent(value: float | None) -> str:
    """A share; what is nearly none or nearly all does not read as none or all."""
    if value is None:
        return "–"
    nearly = 0 < value < 0.01 or 0.99 < value < 1
    return f"{100 * value:.{1 if nearly else 0}f} %"


def number(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 10 else f"{value:.0f}"
    return str(value)


def interval(value: Sequence[float | None] | None, scale: float = 1.0) -> str:
    """The bounds; ``scale`` 100 for shares, which are shown in percent. Empty where they are not defined."""
    if not value or value[0] is None or value[1] is None:
        return ""
    digits = 0 if scale != 1.0 else 2
    return f"{scale * value[0]:.{digits}f} to {scale * value[1]:.{digits}f}"


def duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def rate(numbers: Numbers, name: str, n: int | None = None) -> str:
    """A share with its interval and n: ``63 % (51 to 74, n = 60)``."""
    return _with(percent(numbers.get(name)), interval(numbers.get(f"{name}_ci"), 100), n)


def value(numbers: Numbers, name: str, n: int | None = None) -> str:
    """A number with its interval and n: ``0.81 (0.74 to 0.88, n = 60)``."""
    return _with(_two(numbers.get(name)), interval(numbers.get(f"{name}_ci")), n)


def share(part: int, whole: int) -> str:
    """A share that a result only counts, with n. No interval: its items may share a query."""
    return f"{percent(part / whole)} (n = {whole})" if whole else "–"


def _with(text: str, bounds: str, n: int | None) -> str:
    beside = [*([bounds] if bounds else []), *([] if n is None else [f"n = {n}"])]
    return f"{text} ({', '.join(beside)})" if beside and text != "–" else text


def _two(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def rates(numbers: Numbers, names: Mapping[str, str]) -> list[tuple[str, str]]:
    """(label, share with its interval) of those of ``names`` (name → label) that there are."""
    return [(label, rate(numbers, name)) for name, label in names.items() if numbers.get(name) is not None]


def values(numbers: Numbers, names: Mapping[str, str]) -> list[tuple[str, str]]:
    """(label, number with its interval) of those of ``names`` (name → label) that there are."""
    return [(label, value(numbers, name)) for name, label in names.items() if numbers.get(name) is not None]


def counted(things: Mapping[str, int]) -> list[tuple[str, int]]:
    """(what, how often), the most frequent first."""
    return Counter(things).most_common()


def longer(numbers: Numbers, n: int) -> str:
    """The length twin of pairs, ``longer_wins``, in a sentence; "" where it is not known."""
    bounds = numbers.get("longer_wins_ci")
    if not bounds:
        return ""
    low, high = bounds
    meant = "so length is not shown to tell which one it is"
    if not low <= 0.5 <= high:
        meant = f"so whoever prefers the {'longer' if low > 0.5 else 'shorter'} text is often right"
    return f"In {rate(numbers, 'longer_wins', n)} of the pairs the chosen text is the longer one, {meant}."


def sentence(text: str) -> str:
    """With a capital and a full stop."""
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith(('.', '!', '?')) else '.'}"


def good_or_bad(label: int | None, otherwise: str = "no verdict") -> str:
    return otherwise if label is None else "good" if label == 1 else "bad"


def shown(text: str, longest: int = 1500) -> str:
    """A sample text, cut where it is very long; its file has all."""
    if not text.strip():
        return "(empty)"
    return text if len(text) <= longest else f"{text[:longest]} … ({len(text)} characters)"


def scalars(numbers: Numbers) -> list[tuple[str, str]]:
    """Every number and word of a result, with its interval where it has one, but what it took."""
    rows = []
    for name, found in numbers.items():
        if not name.endswith("_ci") and name not in _USED and isinstance(found, (int, float, str, type(None))):
            bounds: Any = numbers.get(f"{name}_ci")
            beside = f" ({number(bounds[0])} to {number(bounds[1])})" if bounds else ""
            rows.append((name.replace("_", " "), number(found) + beside))
    return rows
