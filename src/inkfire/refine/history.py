"""What became of a refinement, round by round: which rules changed, what they are worth, and whether rounds undo each
other. A row of history.jsonl has, of the round's forgeries and rules,

    caught_share             of the round's own forgeries that got a verdict, by the Detector that it began with
    frozen                   the first round's forgeries, judged again by the set that the round ends with
    validation               that set on the validation texts: AUC, or accuracy where verdicts are a yes or no
    changes                  the rules of S_D and of S_G that the round added and removed
    warnings                 a rule that comes back, scores that only go up and down
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from inkfire.judge.calibration import raw_score
from inkfire.judge.principles import Principles
from inkfire.records import Labelled, Verdict
from inkfire.refine.forgeries import Forgery
from inkfire.stats.intervals import bootstrap_auc
from inkfire.stats.twins import rate

SETS = ("principles", "flaws")
TURNS = 4
"""Scores in a row that alternate from which on a run is said to go up and down."""


@dataclass(frozen=True)
class Refined:
    """The sets in the end, and the way there: one ``history`` row a round, the ``attacks`` that fooled the judge, the
    best of them as ``hard_negatives``, and every counter-example that a rule or proposal names. ``stopped`` says why
    the run ended before its last round, empty where it did not."""

    principles: Principles
    flaws: Principles
    history: tuple[dict[str, Any], ...]
    attacks: tuple[dict[str, Any], ...]
    hard_negatives: tuple[dict[str, Any], ...] = ()
    counterexamples: tuple[dict[str, Any], ...] = ()
    stopped: str = ""

    @property
    def accepted(self) -> int:
        return sum(bool(row["accepted"]) for row in self.history)

    @property
    def rejected(self) -> int:
        return len(self.history) - self.accepted

    @property
    def warnings(self) -> list[str]:
        return [f"round {row['round']}: {said}" for row in self.history for said in row.get("warnings", ())]


def counted(attempts: Sequence[Forgery]) -> dict[str, Any]:
    """How many forgeries of a round were caught, fooled the judge, or were neither."""
    caught, fooled = (sum(getattr(one, name) for one in attempts) for name in ("caught", "fooled"))
    dropped = [one.dropped for one in attempts if one.dropped]
    out = {"attacks": len(attempts), "caught": caught, "fooled": fooled}
    out |= {"unscored": len(attempts) - caught - fooled - len(dropped), "dropped": dropped}
    return out | rate("caught_share", [1] * caught + [0] * fooled)


def changes(before: Principles, after: Principles) -> dict[str, list[str]]:
    """The texts that a set gained and lost; a rule that was reworded is in both."""
    old, new = before.texts, after.texts
    return {"added": [text for text in new if text not in old], "removed": [text for text in old if text not in new]}


def validated(texts: Sequence[Labelled], verdicts: Sequence[Verdict], seed: int) -> dict[str, Any]:
    """What ``verdicts`` of the validation texts are worth: ``auc``, or ``accuracy`` where none has a probability."""
    scored = [(text, verdict) for text, verdict in zip(texts, verdicts, strict=True) if verdict.scored]
    labels, queries = [text.label for text, _ in scored], [text.query for text, _ in scored]
    out: dict[str, Any] = {"n": len(texts), "scored": len(scored)}
    if any(verdict.probability is not None for _, verdict in scored):
        scores = [raw_score(verdict) or 0.0 for _, verdict in scored]
        return out | bootstrap_auc(labels, scores, queries, seed).named("auc")
    return out | rate("accuracy", [verdict.label == text.label for text, verdict in scored], queries)


def unsteady(history: Sequence[Mapping[str, Any]]) -> list[str]:
    """In words, what goes back and forth in the last round of a history."""
    *earlier, last = history
    said = []
    for kind in SETS:
        gone = {text for row in earlier for text in row["changes"][kind]["removed"]}
        for text in last["changes"][kind]["added"]:
            if text in gone:
                said.append(f"{kind} go back and forth: an earlier round removed what this one added, {text!r}")
    rows = [row["validation"] for row in history[-TURNS:] if row["validation"]]
    name = "auc" if rows and "auc" in rows[-1] else "accuracy"
    values = [row[name] for row in rows if row.get(name) is not None]
    steps = [after - before for before, after in pairwise(values)]
    if len(values) == TURNS and all(a * b < 0 for a, b in pairwise(steps)):
        course = ", ".join(f"{value:.2f}" for value in values)
        said.append(
            f"the validation {'AUC' if name == 'auc' else name} only goes up and down ({course}): the rounds undo each "
            f"other, or {rows[-1]['scored']} texts are too few to tell"
        )
    return said
