"""From what raters said to who is compared with whom."""

from __future__ import annotations

import math

import numpy as np
import pytest

from inkfire.files.opinions import Opinion
from inkfire.stats.voices import Voices, by_rater, repeated


def said(text: str, value: float | None, rater: str = "", **more: object) -> Opinion:
    values = {} if value is None else {"label": value}
    return Opinion("q", (text,), "label", values, rater, **more)  # type: ignore[arg-type]


def test_texts_are_matched_by_query_and_text_without_outer_blanks() -> None:
    found = Voices.of({"a": [said("x", 1), said("y", 0)], "b": [said(" x\n", 0), said("z", 1)]})
    assert found.items == [("q", ("x",)), ("q", ("y",)), ("q", ("z",))]
    np.testing.assert_equal(found.values, [[1, 0], [0, math.nan], [math.nan, 1]])


def test_a_raters_last_word_counts_and_several_have_one_voice() -> None:
    votes = [said("x", 0, "ann"), said("x", 1, "bob"), said("x", 1, "eve"), said("x", 1, "ann"), said("y", 1, "ann")]
    found = Voices.of({"people": [*votes, said("y", 0, "bob"), said("z", None, "bob")], "judge": [said("x", 1)]})
    assert found.values[:, 0].tolist() == pytest.approx([1, math.nan], nan_ok=True)
    assert (found.scores[1, 0], found.tied) == (0.5, 1)  # split raters have no label, and half a score


def test_a_judges_probability_ranks_and_its_label_is_its_word() -> None:
    found = Voices.of({"judge": [said("x", 1, score=0.8)], "people": [said("x", 1)]})
    assert (found.values.tolist(), found.scores.tolist()) == ([[1, 1]], [[0.8, 1]])


def points(text: str, **values: float) -> Opinion:
    return Opinion("q", (text,), "rating", values, "ann")


def test_a_rubric_has_its_weighted_mean_and_each_dimension() -> None:
    rated = [points("x", rhyme=3, wit=1), points("y", rhyme=2)]
    found = Voices.of({"a": rated, "b": rated}, {"rhyme": 0.75, "wit": 0.25})
    assert found.values[:, 0].tolist() == pytest.approx([2.5, math.nan], nan_ok=True)  # no mean of half a rubric
    assert found.dimensions["rhyme"].tolist() == [[3, 3], [2, 2]]
    alike = Voices.of({"a": rated, "b": rated})
    assert alike.values[0].tolist() == [2, 2]


def test_ratings_become_labels_where_they_are_excellent() -> None:
    found = Voices.of({"a": [points("x", rating=3), points("y", rating=2.9)], "b": [said("x", 1), said("z", 0)]})
    labelled = found.labelled(3)
    np.testing.assert_equal(labelled.values, [[1, 1], [0, math.nan], [math.nan, 0]])
    assert labelled.kinds == ["label", "label"]
    assert found.scores[1, 0] == 2.9


def test_rows_that_name_no_rater_are_each_anothers_where_they_are_of_one_text() -> None:
    each = by_rater([said("x", 1), said("y", 1), said("x", 0), said("x", 1, "ann")])
    assert {name: len(rows) for name, rows in each.items()} == {"unnamed 1": 2, "unnamed 2": 1, "ann": 1}


def test_what_is_shown_twice_says_how_far_a_rater_agrees_with_themselves() -> None:
    rows = [
        said("x", 1, "ann", seconds=3.0),
        said("y", 0, "ann", seconds=9.0),
        said("x", 1, "ann"),
        said("y", 1, "ann"),
    ]
    (ann, bob) = repeated(by_rater([*rows, said("x", 1, "bob"), said("x", None, "bob")]))
    assert (ann["n"], ann["seconds"], ann["repeats"], ann["same"]) == (2, 6.0, 2, 0.5)
    assert ann["same_ci"][0] < 0.5 < ann["same_ci"][1]
    assert (bob["n"], bob["seconds"], bob["repeats"], bob["same"]) == (1, None, 0, None)
    (half,) = repeated({"ann": [points("x", rhyme=3, wit=1), points("x", rhyme=3, wit=2)]})
    assert (half["repeats"], half["same"]) == (1, 0.5)  # of a rubric, its dimensions
