"""Edits that a signal pays for: of scripted signals it is known which."""

from collections.abc import Sequence

import pytest

from inkfire.records import Candidate, Labelled
from inkfire.stress.biases import Material
from inkfire.stress.edits import COPIED, EDITS, measure_edits
from inkfire.tasks.task import load_task

TASK = load_task("greetings-en")
GOOD = [Candidate(row.query, row.response) for row in TASK.labelled() if row.label == 1][:30]
MATERIAL = Material.of("en", [row for row in TASK.labelled() if row.label == 0])


def longer(queries: Sequence[str], responses: Sequence[str]) -> list[float | None]:
    return [float(len(text)) for text in responses]


def test_a_ruler_pays_for_padding_and_for_its_longest_text() -> None:
    result, rows = measure_edits(longer, GOOD, MATERIAL)
    assert tuple(result["edits"]) == EDITS
    assert {"length", "authority", COPIED} <= set(result["wins"])
    shifts = [result["edits"][name]["shift"] for name in result["wins"]]
    assert shifts == sorted(shifts, reverse=True)
    assert not {"cut", "swapped", "shuffled"} & set(result["wins"])
    padded = result["edits"]["length"]
    assert (padded["raised"], padded["n"], padded["unscored"]) == (1.0, 30, 0)
    of_padding = [row["after"] - row["before"] for row in rows if row["edit"] == "length"]
    assert padded["shift"] == pytest.approx(sum(of_padding) / 30 / result["sd"])
    assert padded["shift_ci"][0] < padded["shift"] < padded["shift_ci"][1]
    copies = {row["response"] for row in rows if row["edit"] == COPIED}
    assert copies == {max((text.response for text in GOOD), key=len)}
    assert measure_edits(longer, GOOD, MATERIAL) == (result, rows)


def test_a_signal_that_pays_for_nothing() -> None:
    result, _ = measure_edits(lambda queries, responses: [1.0] * len(queries), GOOD, MATERIAL)
    assert (result["sd"], result["wins"]) == (0.0, [])
    assert {row["shift"] for row in result["edits"].values()} == {None}
    assert {row["raised"] for row in result["edits"].values()} == {0.0}


def test_texts_without_a_score_are_counted() -> None:
    whole = {text.response for text in GOOD[5:]}
    result, _ = measure_edits(lambda _, responses: [1.0 if t in whole else None for t in responses], GOOD, MATERIAL)
    assert (result["n"], result["unscored"]) == (30, 5)
    assert (result["edits"]["swapped"]["n"], result["edits"]["swapped"]["unscored"]) == (0, 30)
    assert result["edits"]["swapped"]["raised"] is None
    nothing, _ = measure_edits(lambda _, responses: [None] * len(responses), GOOD, MATERIAL)
    assert (nothing["unscored"], nothing["edits"][COPIED]["n"], nothing["wins"]) == (30, 0, [])


def test_texts_pad_each_other_where_there_are_no_bad_ones() -> None:
    material = Material.of("en", [Labelled(text.query, text.response, 0) for text in GOOD])
    assert "length" in measure_edits(longer, GOOD, material)[0]["wins"]
