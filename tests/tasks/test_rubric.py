"""The rubric: a task's own dimensions and scale, ratings read from rows, and the paper's five as the shipped tasks have
them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from inkfire.errors import InputError, TaskError
from inkfire.records import Rating, to_json
from inkfire.tasks.task import Task, load_task

PAPER = {"language": 0.30, "creativity": 0.30, "emotion": 0.15, "culture": 0.15, "richness": 0.10}


def with_rubric(folder: Path, weights: dict[str, float], scale: str = "") -> Task:
    """The task with other dimensions; its rubric stands at the end of task.toml."""
    file = folder / "task.toml"
    head = file.read_text(encoding="utf-8").partition("[[rubric]]")[0].replace("max_tokens", f"{scale}\nmax_tokens")
    rows = [f'[[rubric]]\nname = "{name}"\nweight = {weight}\ndescription = "D."\n' for name, weight in weights.items()]
    file.write_text(head + "\n".join(rows), encoding="utf-8")
    return load_task(folder)


def test_a_task_has_dimensions_of_its_own(tiny_task: Path) -> None:
    task = with_rubric(tiny_task, {"rhyme": 0.75, "house style": 0.25}, "scale = [0, 4]")
    rating = task.rating({"query": "q", "rhyme": 4, "house style": 2.0})
    assert rating == Rating({"rhyme": 4, "house style": 2})
    assert task.weighted(rating) == 3.5
    assert task.rating(to_json(rating)) == rating
    assert "rhyme: D." in task.render("rubric", query="q", response="r")[0]["content"]


@pytest.mark.parametrize("n", [1, 11])
def test_two_to_ten_dimensions(tiny_task: Path, n: int) -> None:
    with pytest.raises(TaskError, match=f"must have 2 to 10 dimensions; it has {n}"):
        with_rubric(tiny_task, {f"d{i}": 1 / n for i in range(n)})
    assert len(with_rubric(tiny_task, {f"d{i}": 0.1 for i in range(10)}).rubric) == 10


@pytest.mark.parametrize("name", ["greetings-en", "greetings-zh"])
def test_the_shipped_tasks_have_the_papers_five(name: str) -> None:
    task = load_task(name)
    assert {dimension.name: dimension.weight for dimension in task.rubric} == PAPER
    assert (task.scale, task.excellent) == ((1, 3), 2.0)


def test_excellent_lies_on_the_scale(tiny_task: Path) -> None:
    task = with_rubric(tiny_task, {"rhyme": 0.5, "metre": 0.5}, "scale = [1, 5]\nexcellent = 4")
    assert (task.excellent_from, task.is_excellent(4.0), task.is_excellent(3.9)) == (4.0, True, False)
    file = tiny_task / "task.toml"
    written = file.read_text(encoding="utf-8")
    for excellent in ("1", "5.5"):
        file.write_text(written.replace("excellent = 4", f"excellent = {excellent}"), encoding="utf-8")
        with pytest.raises(TaskError, match="must be above 1, and at most 5"):
            load_task(tiny_task)


def test_a_rating_of_an_earlier_version_loads() -> None:
    task = load_task("greetings-en")
    rating = task.rating({"language": 3, "creativity": 2, "emotion": 3, "culture": 2, "richness": 1})
    assert task.weighted(rating) == pytest.approx(2.35)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"rhyme": 1}, "no points for 'metre'"),
        ({"rhyme": 1, "meter": 2}, "no points for 'metre'; did you mean 'meter'?"),
        ({"rhyme": 1, "metre": 4}, "metre must be a whole number from 1 to 3, found 4"),
        ({"rhyme": 1, "metre": 1.5}, "found 1.5"),
        ({"rhyme": 1, "metre": float("nan")}, "found nan"),
        ({"rhyme": 1, "metre": True}, "found True"),
        ({"points": {"rhyme": 1, "metre": "2"}}, "found '2'"),
    ],
)
def test_a_rating_that_is_none_is_named(tiny_task: Path, row: dict[str, Any], message: str) -> None:
    task = with_rubric(tiny_task, {"rhyme": 0.5, "metre": 0.5})
    with pytest.raises(InputError, match=re.escape(message)):
        task.rating(row)
