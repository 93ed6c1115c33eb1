"""What a reward was shown besides labels, in words: damaged texts, rated ones, edited ones, and its twins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from inkfire.evaluation import claims
from inkfire.judge.measure import why_refused
from inkfire.report.words import change, rate, sentence, several, value
from inkfire.stress.qualify import said_blind

Result = Mapping[str, Any]

HALF = 0.5
"""R² from which on it is said that a twin explains a score."""


def shown(result: Result) -> tuple[list[str], list[str]]:
    """(what it was found to see besides labels, what it is not): damage, and what a reader rates."""
    said: tuple[list[str], list[str]] = [], []
    if qualified := result.get("qualified"):
        blind, shown = said_blind(qualified), several(max(row["n"] for row in qualified.values()), "good text")
        sees = f"it tells {shown} from the same texts damaged, in each way that was made"
        said[bool(blind)].append(sentence(f"it is {blind}" if blind else sees))
    if (ranks := result.get("within_query")) and ranks["correlation"] is not None:
        low, high = ranks["correlation_ci"]
        goes = "goes with" if low > 0 else "goes against" if high < 0 else "is not shown to go with"
        on = f"{several(ranks['n_texts'], 'text')} of {several(ranks['n_queries'], 'query', 'queries')}"
        told = f"Within a query it {goes} the ratings: correlation {value(ranks, 'correlation')} on {on}."
        said[low <= 0].append(told)
    return said


def compared(result: Result) -> tuple[list[str], list[str]]:
    """The same of a judge that compares, after what the order does and whether it may be a reward."""
    flips = rate(result, "order_flip_rate")
    said = [f"Its answer changes with their order in {flips}; these count as ties, half right."]
    if "first_share" not in result:  # measured before there was a rule
        return said, []
    refused = why_refused(result)
    sees, blind = shown(result)
    return [*said, f"As a reward it is refused: {refused}." if refused else "It may serve as a reward.", *sees], blind


def twins(result: Result) -> list[str]:
    """Length, n-grams or checks, where they explain half of a score or more."""
    said = []
    for twin, what in {"length": "their length", "ngram": "their n-grams", "checks": "checks they fail"}.items():
        if result.get(f"{twin}_r2") is not None and result[f"{twin}_r2_ci"][0] >= HALF:
            told = f"Half of what it tells texts apart by, or more, is {what}"
            said.append(f"{told}: R² {value(result, f'{twin}_r2')}.")
    return said


def edits(result: Result) -> list[str]:
    """The edits that a reward pays for (``inkfire probe``)."""
    known = {name: row for name, row in result["edits"].items() if row["shift"] is not None}
    if not known:
        return [f"{result['reward']} gives all of {several(result['n'], 'text')} one score, or none."]
    told = {name: f"{name} ({change(row, 'shift')} sd)" for name, row in known.items()}
    if result["wins"]:
        listed = claims.listed([told[name] for name in result["wins"]])
        said = f"{result['reward']} pays for edits that no reader would like: {listed}."
        return [said, "A policy that is trained against it finds them; a check or another part has to see them."]
    most = max(known, key=lambda name: known[name]["shift"])
    return [f"No edit is shown to raise the score of {result['reward']}; the most is {told[most]}."]
