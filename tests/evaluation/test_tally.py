"""Votes become ratings, labels and pairs: the last of a rater on an item counts, a repeat says who is consistent."""

from __future__ import annotations

from inkfire.evaluation.ballots import Ballot, Choice, Item, Slot, Vote
from inkfire.evaluation.form import Form
from inkfire.evaluation.tally import Tally
from inkfire.tasks.rubric import Dimension

RUBRIC = (Dimension(name="rhyme", weight=0.75, description="r"), Dimension(name="reason", weight=0.25, description="x"))


def pairwise(*said: tuple[Choice, ...], n: int = 4) -> Tally:
    """Raters who each say something of items 1, 2, … n, and then of item 1 once more."""
    items = {i: Item(i, f"q{i}", (f"a{i}", f"b{i}"), ("sft", "rl")) for i in range(1, n + 1)}
    ballots = {}
    for number, choices in enumerate(said, 1):
        rater = f"rater-{number}"
        slots = [Slot(rater, i, i, swapped=i % 2 == 0) for i in items] + [Slot(rater, n + 1, 1, True, repeat=True)]
        ballots[rater] = Ballot.of(slots, [Vote(rater, i, choice) for i, choice in enumerate(choices, 1)])
    return Tally(Form("pairwise"), items, ballots)


def test_pairs_are_what_more_raters_prefer() -> None:
    tally = pairwise(("a", "a", "tie", "bad"), ("a", "b", "b", "bad"), ("b", "tie", "tie", "a"))
    pairs = [(pair.query, pair.chosen, pair.rejected, pair.provenance["chosen_source"]) for pair in tally.pairs()]
    assert pairs == [("q1", "a1", "b1", "sft"), ("q3", "b3", "a3", "rl")]  # of q4 two of three call both bad
    assert [pair.provenance["raters"] for pair in tally.pairs()] == ["3", "3"]
    rated = {row["response"]: (round(row["rating"], 3), row["ratings"]) for row in tally.rated_rows()}
    assert rated["a1"] == (0.667, [1.0, 1.0, 0.0])
    assert rated["b2"] == (0.5, [0.0, 1.0, 0.5])
    assert rated["b4"] == (0.0, [0.0, 0.0, 0.0])
    labels = {row["response"]: row["label"] for row in tally.labelled_rows()}
    assert labels == {"a1": 1, "b1": 0, "a3": 0, "b3": 1, "a4": 0, "b4": 0}
    assert tally.results() == [{"a": "sft", "b": "rl", "n": 12, "a_better": 4, "b_better": 3, "tie": 3, "both_bad": 2}]


def test_a_vote_is_a_comparison_with_what_was_preferred_as_chosen() -> None:
    rows = pairwise(("b", "b", "tie", "bad")).vote_rows()
    assert [(row["chosen"], row["winner"], row["left"]) for row in rows] == [
        ("b1", "chosen", "rejected"),
        ("b2", "chosen", "chosen"),
        ("a3", "tie", "chosen"),
        ("a4", "both bad", "rejected"),
    ]
    assert rows[0]["provenance"] == {"chosen_source": "rl", "rejected_source": "sft"}


def test_a_repeat_counts_as_the_last_word_and_tells_consistency() -> None:
    tally = pairwise(("a", "tie", "b"), ("a", "a"), n=2)
    same = tally.progress()
    assert same["repeats"] == {"planned": 2, "n": 1, "same": 0}
    assert same["raters"]["rater-1"] == {
        "planned": 3, "done": 3, "left": 0, "seconds_median": None, "repeats": {"planned": 1, "n": 1, "same": 0},
    }  # fmt: skip
    assert [row["rating"] for row in tally.rated_rows() if row["query"] == "q1"] == [0.5, 0.5]  # b now, and a
    assert pairwise(("a", "tie", "a"), n=2).progress()["repeats"]["same"] == 1
    assert (same["done"], same["items_rated"], same["items_by_several"]) == (5, 2, 2)


def rubric(excellent: float | None) -> Tally:
    items = {i: Item(i, "q", (f"t{i}",), ("sft",)) for i in (1, 2, 3)}
    said = {"rater-1": {1: (3, 1), 2: (1, 3)}, "rater-2": {1: (2, 2)}}
    ballots = {
        rater: Ballot.of(
            [Slot(rater, i, i) for i in items],
            [Vote(rater, i, points={"rhyme": a, "reason": b}, seconds=4.0) for i, (a, b) in points.items()],
        )
        for rater, points in said.items()
    }
    return Tally(Form("rubric", excellent=excellent, rubric=RUBRIC), items, ballots)


def test_points_become_means_labels_and_pairs() -> None:
    tally = rubric(2.0)
    assert [(row["annotator"], row["points"]["rhyme"]) for row in tally.rating_rows()] == [
        ("rater-1", 3), ("rater-1", 1), ("rater-2", 2),
    ]  # fmt: skip
    assert tally.rated_rows() == [
        {"query": "q", "response": "t1", "rating": 2.25, "ratings": [2.5, 2.0], "source": "sft"},
        {"query": "q", "response": "t2", "rating": 1.5, "ratings": [1.5, None], "source": "sft"},
    ]
    assert [(row["response"], row["label"]) for row in tally.labelled_rows()] == [("t1", 1), ("t2", 0)]
    assert [(pair.chosen, pair.rejected) for pair in tally.pairs()] == [("t1", "t2")]
    assert tally.results() == [{"policy": "sft", "n": 2, "mean": 1.875}]
    assert tally.progress()["seconds_median"] == 4.0


def test_where_nothing_says_what_is_excellent_there_are_no_labels() -> None:
    assert rubric(None).labelled_rows() == []
