"""Losers that are made: of the training queries alone, beside the very text that was damaged."""

import collections

from inkfire.records import Candidate, Preference
from inkfire.stress.damage import KINDS
from inkfire.training.negatives import damaged_pairs, hard_pairs

PAIRS = [
    Preference(
        f"q{i}", f"May lamp {i} be lit, may the road be kind, may the snow wait, and come home soon.", "Hi there."
    )
    for i in range(48)
]


def test_each_kind_has_its_turn() -> None:
    made = damaged_pairs(PAIRS, 1.0, seed=0)
    assert len(made) == 48
    kinds = collections.Counter(pair.provenance["rejected_source"] for pair in made)
    assert kinds == {f"damaged: {kind}": 8 for kind in KINDS}
    whole = {(pair.query, pair.chosen) for pair in PAIRS}
    assert all((pair.query, pair.chosen) in whole and pair.rejected != pair.chosen for pair in made)
    assert damaged_pairs(PAIRS, 1.0, seed=0) == made
    assert damaged_pairs(PAIRS, 1.0, seed=1) != made


def test_the_share() -> None:
    assert len(damaged_pairs(PAIRS, 0.25, seed=0)) == 12
    more = damaged_pairs(PAIRS, 3.0, seed=0)
    assert len(more) == 144
    assert len({(pair.query, pair.provenance["rejected_source"]) for pair in more}) == 144
    only = damaged_pairs(PAIRS, 0.5, seed=0, kinds=["swapped"])
    assert {pair.provenance["rejected_source"] for pair in only} == {"damaged: swapped"}


def test_a_hard_negative_stands_against_an_honest_text_of_its_query() -> None:
    honest = {"q1": ["good", "better"], "q2": ["fine"], "q4": ["gamed"]}
    gamed = [Candidate(query, "gamed") for query in ("q1", "q2", "q3", "q4", "q5")]
    made, counts = hard_pairs(gamed, honest, {"q2", "q5"}, seed=0)
    assert [(pair.query, pair.rejected) for pair in made] == [("q1", "gamed")]
    assert made[0].chosen in honest["q1"]
    assert counts == {"hard_negatives": 1, "hard_negatives_held_out": 2, "hard_negatives_without_honest": 2}
