"""What was laid out for people to rate, in sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from inkfire.report.words import several


def laid_out(result: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """The finding, and what was left out of it."""
    what = "pair" if result["mode"] == "pairwise" else "text"
    votes, raters = several(result["planned"], "vote"), several(len(result["raters"]), "rater")
    asked = several(result["queries"], "query", "queries")
    warnings = [f"{several(result['missing'], 'text')} did not come and are left out."] if result["missing"] else []
    if result["same"]:
        warnings.append(f"{several(result['same'], what)} left out: the same text twice.")
    return [f"{several(result['items'], what)} of {asked}: {votes} by {raters}."], warnings
