"""Pair policies, on verdicts written by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkfire.debate.debate import Transcript
from inkfire.debate.pairs import choose_pairs
from inkfire.records import Candidate, Label, Verdict


def debated(label: Label | None, text: str, *, judge: Label | None = None, p: float | None = None) -> Transcript:
    verdict = Verdict(label, probability=p, unscored=None if label is not None else "judge: empty")
    return Transcript(
        Candidate("q", text),
        verdict,
        judge=None if label is None else Verdict(label if judge is None else judge),
        reflect=None if label is None else verdict,
    )


def texts(pairs: object) -> list[tuple[str, str]]:
    assert isinstance(pairs, list)
    return [(chosen.candidate.response, rejected.candidate.response) for chosen, rejected in pairs]


GOOD_LONG, GOOD_SHORT = debated(1, "g" * 60), debated(1, "g" * 22)
BAD_SHORT, BAD_TINY = debated(0, "b" * 20), debated(0, "b" * 5)


def test_length_matched_takes_the_closest_lengths() -> None:
    pairs = choose_pairs([GOOD_LONG, BAD_TINY, GOOD_SHORT, BAD_SHORT])
    assert texts(pairs) == [("g" * 22, "b" * 20)]


def test_length_matched_refuses_what_is_too_far_apart() -> None:
    assert choose_pairs([GOOD_LONG, BAD_SHORT]) == "lengths_apart"
    assert choose_pairs([debated(1, "g" * 25), BAD_SHORT]) == [(debated(1, "g" * 25), BAD_SHORT)]
    assert len(choose_pairs([GOOD_LONG, BAD_SHORT], max_length_ratio=3)) == 1


def test_best_worst_takes_the_clearest() -> None:
    flipped, sure = debated(1, "flipped", judge=0, p=0.99), debated(1, "sure", p=0.7)
    doubtful, clearly_bad = debated(0, "doubtful", p=0.4), debated(0, "clearly bad", p=0.1)
    pairs = choose_pairs([flipped, doubtful, sure, clearly_bad], "best-worst")
    assert texts(pairs) == [("sure", "clearly bad")]


def test_best_worst_without_probabilities_goes_by_agreement_then_order() -> None:
    pairs = choose_pairs([debated(1, "flipped", judge=0), debated(1, "a"), debated(1, "b"), BAD_TINY], "best-worst")
    assert texts(pairs) == [("a", "b" * 5)]


def test_all_pairs_every_good_with_every_bad() -> None:
    assert len(choose_pairs([GOOD_LONG, GOOD_SHORT, BAD_SHORT, BAD_TINY], "all")) == 4


@pytest.mark.parametrize(
    ("transcripts", "why"),
    [
        ([], "no_candidates"),
        ([debated(None, "x")], "all_unscored"),
        ([GOOD_LONG, debated(None, "x")], "all_good"),
        ([BAD_TINY, BAD_SHORT], "all_bad"),
    ],
)
def test_why_there_is_no_pair(transcripts: list[Transcript], why: str) -> None:
    for policy in ("length-matched", "best-worst", "all"):
        assert choose_pairs(transcripts, policy) == why  # type: ignore[arg-type]


@given(st.lists(st.tuples(st.sampled_from([0, 1, None]), st.text(min_size=1, max_size=30)), max_size=6))
def test_a_pair_is_always_good_over_bad(items: list[tuple[Label | None, str]]) -> None:
    transcripts = [debated(label, text) for label, text in items]
    for policy in ("length-matched", "best-worst", "all"):
        pairs = choose_pairs(transcripts, policy)  # type: ignore[arg-type]
        if isinstance(pairs, list):
            assert pairs
            assert all((a.verdict.label, b.verdict.label) == (1, 0) for a, b in pairs)
