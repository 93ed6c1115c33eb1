"""Losers that other writers' pairs do not have: good texts damaged by code, and what a gamed policy wrote.

A reward model that never met them cannot tell them from good texts, and a policy finds that out. They are made of the
queries that are trained on alone.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping, Sequence

from inkfire.records import Candidate, Preference
from inkfire.stress.damage import KINDS, damaged


def damaged_pairs(
    pairs: Sequence[Preference], share: float, *, seed: int, kinds: Sequence[str] = KINDS
) -> list[Preference]:
    """``share`` times as many pairs as ``pairs``, of a chosen text and the same text damaged, each kind in turn.

    A query gives one text a kind: of few queries come fewer pairs.
    """
    draw = random.Random(f"{seed} damaged")
    of_query: dict[str, list[str]] = {}
    for pair in pairs:
        of_query.setdefault(pair.query, []).append(pair.chosen)
    texts = [Candidate(query, draw.choice(chosen)) for query, chosen in sorted(of_query.items())]
    draw.shuffle(texts)
    wanted, made = round(share * len(pairs)), list[Preference]()
    for turn in range(len(kinds)):
        left = wanted - len(made)
        for place, kind in enumerate(kinds):
            part = texts[: max(0, left)][(place + turn) % len(kinds) :: len(kinds)]
            whole = {text.query: text.response for text in part}
            made += [
                Preference(bad.query, whole[bad.query], bad.response, {"rejected_source": f"damaged: {kind}"})
                for bad in damaged(kind, part, seed=seed + turn)
            ]
    return made[:wanted]


def hard_pairs(
    gamed: Sequence[Candidate], honest: Mapping[str, Sequence[str]], held_out: Collection[str], *, seed: int
) -> tuple[list[Preference], dict[str, int]]:
    """A pair for each gamed text, against an honest one of its query.

    Args:
        honest: texts by query.
        held_out: queries that are measured on, and give no pair.

    Returns:
        The pairs; and ``hard_negatives`` (how many), ``hard_negatives_held_out`` and ``hard_negatives_without_honest``
        (texts that gave none, and why).
    """
    made: list[Preference] = []
    count = {"hard_negatives": 0, "hard_negatives_held_out": 0, "hard_negatives_without_honest": 0}
    for text in gamed:
        others = [one for one in honest.get(text.query, ()) if one != text.response]
        if text.query in held_out:
            count["hard_negatives_held_out"] += 1
        elif not others:
            count["hard_negatives_without_honest"] += 1
        else:
            good = random.Random(f"{seed} {text.query} {text.response}").choice(others)
            made.append(Preference(text.query, good, text.response, {"rejected_source": "hard negative"}))
    return made, count | {"hard_negatives": len(made)}
