"""What several raters say of a text, and of many."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from inkfire.errors import DataError, TaskError
from inkfire.files.jsonl import write_jsonl
from inkfire.tasks.people import Rated, read_people, summary
from inkfire.tasks.task import Task, load_task

NAMES = ("language", "creativity", "emotion", "culture", "richness")


@pytest.fixture
def task() -> Task:
    return load_task("greetings-en")


def row(text: str, points: tuple[int, ...], rater: str = "", **more: Any) -> dict[str, Any]:
    return {"query": "q", "response": text, "annotator": rater, "points": dict(zip(NAMES, points, strict=True))} | more


def test_a_label_is_the_mean_over_raters_against_the_bar(task: Task, tmp_path: Path) -> None:
    rows = [
        row("a", (3, 3, 3, 3, 3), "ann"),
        row("a", (1, 1, 1, 1, 1), "ben"),  # they are of two minds, and 2.0 is enough
        row("b", (2, 2, 2, 2, 2), "ann"),
        row("b", (2, 2, 2, 2, 2), "ben"),
        row("b", (2, 1, 2, 2, 1), "cal"),  # (2 + 2 + 1.6) / 3
        row("c", (1, 1, 1, 1, 1), "ann"),
        row("c", (3, 2, 2, 2, 2), "ann"),  # who changed her mind
        {"query": "q", "response": " d ", "language": 3, "creativity": 3, "emotion": 1, "culture": 1, "richness": 1},
        row("d", (1, 1, 1, 1, 1)),  # another one without a name
    ]
    write_jsonl(tmp_path / "ratings.jsonl", rows)
    found = read_people(tmp_path / "ratings.jsonl", task)
    assert found["q", "a"] == Rated(1, 2.0, 2, True, dict.fromkeys(NAMES, 2.0))
    b = found["q", "b"]
    assert (b.label, b.mean, b.raters, b.tied) == (0, pytest.approx(5.6 / 3), 3, False)
    assert b.dimensions == {
        "language": 2,
        "creativity": pytest.approx(5 / 3),
        "emotion": 2,
        "culture": 2,
        "richness": 5 / 3,
    }
    assert (found["q", "c"].raters, found["q", "c"].label) == (1, 1)
    assert (found["q", "d"].raters, found["q", "d"].mean, found["q", "d"].tied) == (2, pytest.approx(1.6), True)
    told = summary(found.values())
    assert (told["n"], told["ties"], told["raters"]) == (4, 2, {"1": 1, "2": 2, "3": 1})
    assert told["dimensions"]["language"] == pytest.approx((2 + 2 + 3 + 2) / 4)
    assert summary([]) == {"n": 0, "ties": 0, "raters": {}, "mean": None, "dimensions": {}}


def test_a_rating_that_is_none_is_named_with_its_line(task: Task, tmp_path: Path) -> None:
    path = tmp_path / "ratings.jsonl"
    write_jsonl(path, [row("a", (3, 3, 3, 3, 3)), row("b", (3, 3, 3, 3, 4))])
    with pytest.raises(DataError, match=r"ratings.jsonl:2: richness must be a whole number from 1 to 3, found 4"):
        read_people(path, task)


def test_another_scale_says_what_is_excellent(task: Task, tmp_path: Path) -> None:
    write_jsonl(tmp_path / "ratings.jsonl", [row("a", (3, 3, 3, 3, 3))])
    other = task.model_copy(update={"scale": (1, 4), "excellent": None})
    with pytest.raises(TaskError, match=r"excellent = 2\.5"):
        read_people(tmp_path / "ratings.jsonl", other)
    bar = other.model_copy(update={"excellent": 3.5})
    assert read_people(tmp_path / "ratings.jsonl", bar)["q", "a"].label == 0
