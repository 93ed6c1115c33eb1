"""What the terms of a page mean (``glossary.toml``): a reader taps the term where it stands.

A term is explained wherever it heads a column, names a row or a figure, without the template asking for it.

>>> meaning("Excellent by judge")[:30]
"The share of a writer's texts "
"""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files


def meaning(term: str) -> str:
    """What a term means, whatever its case; empty where it is none. What follows " by " names one of several."""
    name = term.strip().lower()
    return _terms().get(name) or _terms().get(name.partition(" by ")[0], "")


@cache
def _terms() -> dict[str, str]:
    found = tomllib.loads(files("inkfire.report").joinpath("glossary.toml").read_text(encoding="utf-8"))
    return {name: row["means"] for term, row in found.items() for name in (term, *row.get("also", ()))}
