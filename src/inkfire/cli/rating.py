"""Rating in the terminal: the same votes as on the page, a line each.

Keys are those of the page and ``Enter`` ends each answer: 1 to 4 between two texts, all points of a rubric in one line
("3 2 2 1 3"); a note stands after them. ``u`` takes the last vote back, ``q`` stops.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from inkfire.errors import InputError
from inkfire.evaluation.ballots import LONGEST_NOTE, Vote, seconds_of
from inkfire.evaluation.form import Form
from inkfire.evaluation.sitting import Shown, Sitting
from inkfire.files.jsonl import visible
from inkfire.runs.annotate import status
from inkfire.runs.rated_set import sitting
from inkfire.settings import nearest

_SIDES = {"1": "left", "2": "right", "3": "tie", "4": "bad"}


def rate_here(run: Path, rater: str) -> dict[str, Any]:
    """Ask until the rater is done or stops; what ``annotate status`` says then.

    Raises:
        InputError: there is no such rater.
        RunFolderError: the folder holds no texts to rate, or another process has it open.
    """
    with sitting(run) as (found, raters):
        if rater not in found.tally.ballots:
            raise InputError(f"--rater {rater!r}: no such rater{nearest(rater, list(found.tally.ballots))}")
        _tell(_how(raters.form))
        while (shown := raters.shown(rater)) is not None and _once(raters, rater, shown):
            pass
    return status(run)


def _once(raters: Sitting, rater: str, shown: Shown) -> bool:
    """One answer; False where the rater stops."""
    _tell(f"\n[{shown.position} of {shown.planned}] {shown.query}")
    for number, text in enumerate(shown.texts, 1):
        _tell(f"\n{number if len(shown.texts) > 1 else '>'}  {text}")
    began = time.monotonic()
    while True:
        said = _asked()
        if said is None or said == "q":
            return False
        if said == "u":
            if raters.undo(rater):
                return True
            _tell("There is no vote to take back.")
            continue
        try:
            raters.vote(_vote(raters, rater, shown.position, said, time.monotonic() - began))
            return True
        except InputError as problem:
            _tell(f"{problem}; {_how(raters.form)}")


def _vote(raters: Sitting, rater: str, position: int, said: str, seconds: float) -> Vote:
    """
    Raises:
        InputError: it is no vote.
    """
    form, took = raters.form, seconds_of(seconds)
    wanted = 1 if form.mode == "pairwise" else len(form.rubric)
    words = said.split(maxsplit=wanted)
    note = words[wanted][:LONGEST_NOTE] if len(words) > wanted else ""
    if form.mode == "pairwise":
        choice = raters.choice(rater, position, _SIDES.get(words[0], "") if words else "")
        return Vote(rater, position, choice, note=note, seconds=took)
    if len(words) < wanted or not all(word.isascii() and word.isdigit() for word in words[:wanted]):
        raise InputError(f"{wanted} numbers are needed")
    names = [dimension.name for dimension in form.rubric]
    points = {name: int(word) for name, word in zip(names, words, strict=False)}
    return Vote(rater, position, points=points, note=note, seconds=took)


def _how(form: Form) -> str:
    if form.mode == "pairwise":
        return "1 the first is better, 2 the second, 3 alike, 4 both bad; u undo, q stop; a note may follow"
    names = ", ".join(dimension.name for dimension in form.rubric)
    low, high = form.scale
    return f"points from {low} to {high} for {names}, in this order; u undo, q stop; a note may follow"


def _tell(text: str) -> None:
    print(visible(text), file=sys.stderr)


def _asked() -> str | None:
    """A line that is not empty; None at the end of the input."""
    while True:
        print("> ", end="", file=sys.stderr, flush=True)
        line = sys.stdin.readline()
        if not line:
            return None
        if line.strip():
            return line.strip()
