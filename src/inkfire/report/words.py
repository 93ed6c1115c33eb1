"""Numbers as the reader of a report sees them: a value never without its interval, where it has one."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from inkfire.llm.bill import FIELDS

Numbers = Mapping[str, Any]
"""A stage's result: ``NAME`` and, where there is one, ``NAME_ci``."""

_USED = ("calls", "cached", "tokens", *FIELDS, "currency")
"""What a stage took of models: it has a table of its own."""


def _known(value: Any) -> bool:
    return value is not None and not (isinstance(value, float) and math.isnan(value))


def _digits(share: float) -> int:
    """After the point of percents: what is nearly none or nearly all does not read as none or all."""
    return int(0 < share < 0.01 or 0.99 < share < 1)


def percent(value: float | None) -> str:
    return rate({"share": value}, "share")


def several(n: int, one: str, many: str | None = None) -> str:
    """``1 text``, ``6,310 pairs``."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def number(value: Any) -> str:
    if not _known(value):
        return "–"
    if isinstance(value, float):
        return f"{value:z.3g}" if abs(value) < 10 else f"{value:.0f}"
    return str(value)


def interval(value: Sequence[float | None] | None, scale: float = 1.0) -> str:
    """The bounds; ``scale`` 100 for shares, which are shown in percent. Empty where they are not defined."""
    return _between(value, lambda bound: f"{scale * bound:z.{0 if scale != 1.0 else 2}f}")


def _between(bounds: Sequence[float | None] | None, form: Callable[[float], str]) -> str:
    ends = [form(bound) for bound in bounds or () if bound is not None and _known(bound)]
    return " to ".join(ends) if len(ends) == 2 else ""


def duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes} min {rest} s" if minutes else f"{seconds:.2g} s" if seconds < 9.95 else f"{rest} s"


def rate(numbers: Numbers, name: str, n: int | None = None) -> str:
    """A share with its interval and n: ``63 % (51 to 74, n = 60)``."""
    digits = _digits(numbers.get(name) or 0.0)
    return _measured(numbers, name, n, lambda share: f"{100 * share:.{digits}f}", " %")


def value(numbers: Numbers, name: str, n: int | None = None) -> str:
    """A number with its interval and n: ``0.81 (0.74 to 0.88, n = 60)``."""
    digits = 2 + _digits(numbers.get(name) or 0.0)
    return _measured(numbers, name, n, lambda number: f"{number:.{digits}f}")


def change(numbers: Numbers, name: str, n: int | None = None) -> str:
    """A difference, signed: ``+0.031 (+0.004 to +0.060, n = 240)``."""
    return _measured(numbers, name, n, "{:+.3f}".format)


def _measured(numbers: Numbers, name: str, n: int | None, form: Callable[[float], str], unit: str = "") -> str:
    found: Any = numbers.get(name)
    if not _known(found):
        return "–"
    bounds = _between(numbers.get(f"{name}_ci"), form)
    beside = [*([bounds] if bounds else []), *([] if n is None else [f"n = {n:,}"])]
    return f"{form(found)}{unit}" + (f" ({', '.join(beside)})" if beside else "")


def share(part: int, whole: int) -> str:
    """A share that a result only counts, with n. No interval: its items may share a query."""
    return f"{percent(part / whole)} (n = {whole:,})" if whole else "–"


def rates(numbers: Numbers, names: Mapping[str, str]) -> list[tuple[str, str]]:
    """(label, share with its interval) of those of ``names`` (name → label) that there are."""
    return [(label, rate(numbers, name)) for name, label in names.items() if numbers.get(name) is not None]


def values(numbers: Numbers, names: Mapping[str, str]) -> list[tuple[str, str]]:
    """(label, number with its interval) of those of ``names`` (name → label) that there are."""
    return [(label, value(numbers, name)) for name, label in names.items() if numbers.get(name) is not None]


def counted(things: Mapping[str, int]) -> list[tuple[str, int]]:
    """(what, how often), the most frequent first."""
    return Counter(things).most_common()


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
