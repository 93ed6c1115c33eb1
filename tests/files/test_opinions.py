"""What a row says of a text, whatever it is a row of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from inkfire.errors import DataError
from inkfire.files.jsonl import write_jsonl
from inkfire.files.opinions import Opinion, read_opinions
from inkfire.files.reading import Reading

TEXT: dict[str, Any] = {"query": "q", "response": "a"}
PAIR: dict[str, Any] = {"query": "q", "chosen": "b", "rejected": "a"}


def read(
    tmp_path: Path, *rows: dict[str, Any], dimensions: tuple[str, ...] = (), how: Reading = Reading()
) -> list[Opinion]:
    write_jsonl(tmp_path / "said.jsonl", rows)
    return read_opinions(tmp_path / "said.jsonl", dimensions, how)


@pytest.mark.parametrize(
    ("more", "kind", "values"),
    [
        ({"label": 1}, "label", {"label": 1.0}),
        ({"label": 0, "probability": 0.3, "unscored": None, "reason": "dull"}, "label", {"label": 0.0}),
        ({"rating": 3.5}, "rating", {"rating": 3.5}),
        ({"score": "2"}, "rating", {"rating": 2.0}),
        ({"points": {"rhyme": 3, "wit": None}}, "rating", {"rhyme": 3.0}),
        ({"ratings": {"rhyme": 3, "wit": 1}}, "rating", {"rhyme": 3.0, "wit": 1.0}),
        ({"rhyme": 3, "wit": 1}, "rating", {"rhyme": 3.0, "wit": 1.0}),
    ],
)
def test_a_row_of_a_text(tmp_path: Path, more: dict[str, Any], kind: str, values: dict[str, float]) -> None:
    (found,) = read(tmp_path, TEXT | more | {"rater": "ann", "seconds": 4}, dimensions=("rhyme", "wit"))
    assert (found.kind, found.values, found.rater, found.texts) == (kind, values, "ann", ("a",))
    assert (found.seconds, found.score) == (4.0, more.get("probability"))


def test_several_readings_or_texts_in_a_row_are_as_many_opinions(tmp_path: Path) -> None:
    readings = read(tmp_path, TEXT | {"rating": 2.25, "ratings": [2.5, None, 2]})
    assert [(one.rater, dict(one.values)) for one in readings] == [
        ("reading 1", {"rating": 2.5}),
        ("reading 2", {}),
        ("reading 3", {"rating": 2.0}),
    ]
    texts = read(tmp_path, {"query": "q", "responses": ["a", "b"], "scores": [1, 2]})
    assert [(one.texts, one.values["rating"]) for one in texts] == [(("a",), 1.0), (("b",), 2.0)]


@pytest.mark.parametrize(
    ("winner", "said"),
    [(None, -1.0), ("chosen", -1.0), ("rejected", 1.0), ("tie", 0.0), ("both_bad", 2.0)],
)
def test_a_vote_is_of_two_texts_in_one_order(tmp_path: Path, winner: str | None, said: float) -> None:
    writers = {"provenance": {"chosen_source": "rl", "rejected_source": "base"}}
    (found,) = read(tmp_path, PAIR | writers | ({} if winner is None else {"winner": winner}))
    assert (found.texts, found.values, found.sources) == (("a", "b"), {"vote": said}, ("base", "rl"))


def test_what_has_no_value_is_missing_and_no_number(tmp_path: Path) -> None:
    rows = [TEXT | {"label": 1}, TEXT | {"label": None, "unscored": "refused"}, TEXT | {"label": ""}, TEXT]
    assert [dict(one.values) for one in read(tmp_path, *rows)] == [{"label": 1.0}, {}, {}, {}]
    compared = [PAIR | {"winner": "tie"}, PAIR | {"winner": None, "unscored": "refused"}]
    assert [dict(one.values) for one in read(tmp_path, *compared)] == [{"vote": 0.0}, {}]


def test_a_rating_of_another_name_is_named(tmp_path: Path) -> None:
    (found,) = read(tmp_path, TEXT | {"stars": 4}, how=Reading(column=("score=stars",)))
    assert found.values == {"rating": 4.0}


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (TEXT | {"label": "meh"}, "said.jsonl:2: label must be 0 or 1"),
        (TEXT | {"rating": "high"}, "said.jsonl:2: the score of rating must be a number"),
        (TEXT | {"points": {"rhyme": "x"}}, "said.jsonl:2: the score of rhyme must be a number"),
        (TEXT | {"points": 3}, "said.jsonl:2: points must be an object"),
        (TEXT | {"ratings": ["x"]}, "said.jsonl:2: the score of ratings must be a number"),
        (TEXT | {"rating": 1, "rater": 7}, "said.jsonl:2: rater must be a string"),
        (TEXT | {"rating": 1, "seconds": "soon"}, "said.jsonl:2: the score of seconds must be a number"),
        (PAIR | {"winner": "left"}, "said.jsonl:2: winner must be one of chosen, rejected, tie, both bad"),
        ({"query": "q", "responses": ["a", "b"], "label": 1}, "said.jsonl:2: a label or rating is of one text"),
        ({"query": "q", "rating": 1}, "said.jsonl:2: no 'response'"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, row: dict[str, Any], said: str) -> None:
    with pytest.raises(DataError, match=said):
        read(tmp_path, TEXT | {"label": 1}, row)


def test_a_file_without_any_value_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"said.jsonl: no row says what a text got: label"):
        read(tmp_path, TEXT, TEXT)
