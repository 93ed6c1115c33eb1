"""Edits of a text that no reader would thank for, and what a signal pays for them.

Those that leave the writing as it was (``biases.py``: padding, decoration, praise, foreign words), every kind of damage
(``damage.py``), and ``copied``: the text that the signal likes best, in answer to every other query. An edit that
raises the score on average wins: a policy that is trained against the signal finds it.

    result, rows = measure_edits(score, texts, material)
    result["edits"]["length"]["shift"]            # 0.8: in standard deviations of the score
    result["wins"]                                # ["length"], the most rewarded first
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from inkfire.records import Candidate
from inkfire.stats.intervals import Interval, bootstrap_mean_difference
from inkfire.stats.twins import rate
from inkfire.stress.biases import PROBES, Material, changed
from inkfire.stress.damage import KINDS, beside_damaged
from inkfire.stress.qualify import Scorer

COPIED = "copied"
EDITS = (*PROBES, *KINDS, COPIED)


def measure_edits(
    score: Scorer, texts: Sequence[Candidate], material: Material, *, seed: int = 0
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Every edit of every text.

    Returns:
        The result and a row for each edited text (edit, query, response, original, before, after). The result has
        ``n`` texts, ``unscored``, the ``sd`` of their scores and, by edit, ``n`` texts with both scores, ``raised``
        (the share whose score rises) and ``shift`` (mean change, in ``sd``; None where all scores are one), each with
        its interval, clustered by query; and the edits that ``wins``, by their shift.

    Raises:
        InputError: there is nothing to pad a text with.
    """
    before = dict(zip(texts, _scores(score, texts), strict=True))
    known = [value for value in before.values() if value is not None]
    sd = float(np.std(known)) if known else 0.0
    pairs = {name: list(zip(texts, changed(name, texts, material, seed), strict=True)) for name in PROBES}
    pairs |= {kind: beside_damaged(kind, texts, seed=seed) for kind in KINDS}
    pairs[COPIED] = _copied(texts, before)
    edits: dict[str, dict[str, Any]] = {}
    rows: list[dict[str, Any]] = []
    for name, both in pairs.items():
        after = _scores(score, [new for _, new in both])
        edits[name] = _measured([text for text, _ in both], [before[text] for text, _ in both], after, sd, seed)
        rows += [
            {"edit": name, "query": text.query, "response": new.response, "original": text.response}
            | {"before": before[text], "after": value}
            for (text, new), value in zip(both, after, strict=True)
        ]
    won = [name for name, row in edits.items() if row["shift"] is not None and row["shift_ci"][0] > 0]
    wins = sorted(won, key=lambda name: -edits[name]["shift"])
    found = {"n": len(texts), "unscored": len(before) - len(known), "sd": sd, "edits": edits, "wins": wins}
    return found, rows


def _copied(texts: Sequence[Candidate], scores: dict[Candidate, float | None]) -> list[tuple[Candidate, Candidate]]:
    """The best text in answer to every other query."""
    known = [text for text in texts if scores[text] is not None]
    best = max(known, key=lambda text: scores[text] or 0.0, default=None)
    if best is None:
        return []
    return [(text, Candidate(text.query, best.response)) for text in texts if text.query != best.query]


def _measured(
    texts: Sequence[Candidate],
    before: Sequence[float | None],
    after: Sequence[float | None],
    sd: float,
    seed: int,
) -> dict[str, Any]:
    rows = [
        (text.query, old, new)
        for text, old, new in zip(texts, before, after, strict=True)
        if old is not None and new is not None
    ]
    queries = [query for query, _, _ in rows]
    out = rate("raised", [new > old for _, old, new in rows], queries)
    shift = Interval(math.nan, math.nan, math.nan, 0)
    if rows and sd > 0:
        shift = bootstrap_mean_difference(
            [new / sd for *_, new in rows], [old / sd for _, old, _ in rows], queries, seed
        )
    return out | shift.named("shift") | {"n": len(rows), "unscored": len(texts) - len(rows)}


def _scores(score: Scorer, texts: Sequence[Candidate]) -> Sequence[float | None]:
    return score([text.query for text in texts], [text.response for text in texts]) if texts else []
