"""From debated candidates of one query to preference pairs: three policies.

- ``length-matched`` (default): the good and the bad text whose lengths are closest, if the longer one is at most
  ``max_length_ratio`` times the shorter. Pairs made without this teach a reward model that longer is better.
- ``best-worst``: the good text that was most clearly good against the bad one that was most clearly bad.
- ``all``: every good text against every bad one.

>>> [(a.candidate.response, b.candidate.response) for a, b in choose_pairs(transcripts)]        # doctest: +SKIP
[('奶奶，…', '祝您…')]
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from inkfire.debate.debate import Transcript

PairPolicy = Literal["length-matched", "best-worst", "all"]
MAX_LENGTH_RATIO = 1.25

NoPair = Literal["no_candidates", "all_unscored", "all_good", "all_bad", "lengths_apart"]
"""Why a query made no pair: nothing was written; no text got a verdict; all that did got the same one; or there were
both kinds, but none of similar length."""


def choose_pairs(
    transcripts: Sequence[Transcript],
    policy: PairPolicy = "length-matched",
    *,
    max_length_ratio: float = MAX_LENGTH_RATIO,
) -> list[tuple[Transcript, Transcript]] | NoPair:
    """(chosen, rejected) pairs of one query's candidates, or why there are none. Ties go to the earlier candidate."""
    good = [transcript for transcript in transcripts if transcript.verdict.label == 1]
    bad = [transcript for transcript in transcripts if transcript.verdict.label == 0]
    if not good or not bad:
        if not transcripts:
            return "no_candidates"
        return "all_good" if good else "all_bad" if bad else "all_unscored"
    if policy == "all":
        return [(chosen, rejected) for chosen in good for rejected in bad]
    if policy == "best-worst":
        return [(max(good, key=clarity), max(bad, key=clarity))]
    closest = min(((chosen, rejected) for chosen in good for rejected in bad), key=_length_gap)
    return [closest] if _length_gap(closest) <= math.log(max_length_ratio) + 1e-9 else "lengths_apart"


def clarity(transcript: Transcript) -> tuple[bool, float]:
    """How clearly a text got its label: judge and reflect agreed, then the probability of the label."""
    verdict = transcript.verdict
    probability = 0.5 if verdict.probability is None else verdict.probability
    return (not transcript.flipped, probability if verdict.label == 1 else 1 - probability)


def _length_gap(pair: tuple[Transcript, Transcript]) -> float:
    lengths = [max(1, len(transcript.candidate.response)) for transcript in pair]
    return abs(math.log(lengths[0] / lengths[1]))
