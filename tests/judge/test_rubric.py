"""The judge that rates: the task's own dimensions and scale, and the paper's as before."""

import json
from typing import Any

import pytest

from inkfire.errors import TaskError
from inkfire.judge.answers import RubricJudge
from inkfire.judge.spec import build_judge
from inkfire.llm.scripted import ScriptedLLM
from inkfire.tasks.rubric import Dimension
from inkfire.tasks.task import Task, load_task


def rated(task: Task, weights: dict[str, float], scale: tuple[int, int]) -> Task:
    rubric = tuple(Dimension(name=name, weight=weight, description="D.") for name, weight in weights.items())
    return task.model_copy(update={"rubric": rubric, "scale": scale})


@pytest.mark.parametrize(
    ("points", "label", "probability"), [((0, 10), 0, 0.25), ((6, 6), 0, 0.6), ((7, 7), 1, 0.7), ((10, 10), 1, 1.0)]
)
async def test_a_rating_follows_the_task(task: Task, points: tuple[int, int], label: int, probability: float) -> None:
    own = rated(task, {"rhyme": 0.75, "house style": 0.25}, (0, 10)).model_copy(update={"excellent": 7.0})
    llm = ScriptedLLM([json.dumps(dict(zip(("rhyme", "house style"), points, strict=True)))])
    verdict = await RubricJudge(own, llm).judge("q", "r")
    assert (verdict.label, verdict.probability) == (label, pytest.approx(probability))
    assert verdict.reason == f"rhyme {points[0]}, house style {points[1]}"
    schema: Any = llm.calls[0].schema
    assert schema["properties"]["rhyme"]["enum"] == list(range(11))
    assert schema["required"] == ["rhyme", "house style"]


@pytest.mark.parametrize(("others", "label"), [(2, 1), (1, 0)])
async def test_the_papers_bar(others: int, label: int) -> None:
    """All at 2 is excellent, sums of weights being what they are; the three heaviest alone are not enough."""
    task = load_task("greetings-zh")
    given = dict.fromkeys(("language", "creativity", "emotion"), 2) | {"culture": others, "richness": others}
    assert (await RubricJudge(task, ScriptedLLM([json.dumps(given)])).judge("q", "r")).label == label


def test_what_nobody_called_excellent_is_refused_on_another_scale(task: Task) -> None:
    own = rated(task, {"rhyme": 0.5, "metre": 0.5}, (1, 5))
    with pytest.raises(TaskError, match=r"task.toml: nothing says .* from 1 to 5; add .* excellent = 3"):
        build_judge("rubric", own, ScriptedLLM([]))
    assert build_judge("rubric", task, ScriptedLLM([])).name == "rubric:scripted"  # 1 to 3 is the paper's


async def test_points_off_the_scale_are_no_rating(task: Task) -> None:
    own = rated(task, {"rhyme": 0.5, "metre": 0.5}, (1, 5))
    verdict = await RubricJudge(own, ScriptedLLM(['{"rhyme": 6, "metre": 1}'])).judge("q", "r")
    assert verdict.label is None
    assert verdict.unscored


@pytest.mark.parametrize("name", ["greetings-en", "greetings-zh"])
async def test_what_a_shipped_task_asks_is_as_it_was(name: str) -> None:
    """Another schema or bound would be another key of the ledger: what was paid for would be asked again."""
    names = ["language", "creativity", "emotion", "culture", "richness"]
    llm = ScriptedLLM([json.dumps(dict.fromkeys(names, 2))])
    await RubricJudge(load_task(name), llm).judge("q", "r")
    points = {"type": "integer", "enum": [1, 2, 3]}
    assert llm.calls[0].schema == {
        "type": "object",
        "properties": dict.fromkeys(names, points),
        "required": names,
        "additionalProperties": False,
    }
    assert llm.calls[0].sampling.max_tokens == 80
