"""A refinement with a part left out asks exactly the parts that are left."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from inkfire.files.formats import split_by_query
from inkfire.judge.spec import JudgeSpec
from inkfire.llm.scripted import ScriptedLLM
from inkfire.records import Labelled
from inkfire.refine.rounds import Refiner
from inkfire.refine.settings import RefineSettings
from inkfire.runs.refine import refine_and_measure, split_labelled
from inkfire.tasks.task import Task

QUERIES = [f"a query for the generator {number}" for number in range(12)]
Model = Callable[..., ScriptedLLM]


def asked(llm: ScriptedLLM) -> Counter[str]:
    """How often each part was asked."""
    told = {"Say Good or Bad": "judge", "flawed": "generator", "Merge": "optimizer"}
    parts = [
        next((part for word, part in told.items() if word in call.messages[0]["content"]), None)
        or ("reflector" if "Is 0, was" in (said := call.messages[-1]["content"]) or "Is 1, was" in said else "detector")
        for call in llm.calls
    ]
    return Counter(parts)


async def round_of(
    task: Task, llm: ScriptedLLM, texts: list[Labelled], queries: list[str] = QUERIES, **settings: Any
) -> dict[str, Any]:
    training, validation = split_by_query(texts, fraction=0.5, seed=0)
    made = await Refiner(task, llm, queries, training, validation, RefineSettings(attacks=4, **settings)).run()
    return made.history[0] | {"rules": made.principles.texts}


async def test_without_an_adversary_the_judges_errors_alone_teach(
    task: Task, model: Model, texts: list[Labelled]
) -> None:
    llm = model()
    training, validation = split_by_query(texts, fraction=0.5, seed=0)
    made = await Refiner(task, llm, [], training, validation, RefineSettings(attacks=0)).run()
    assert asked(llm).keys() == {"judge", "reflector", "optimizer"}
    [row] = made.history
    assert (row["attacks"], row["caught_share"], row["errors"], row["accepted"]) == (0, None, 6, True)
    assert {one["origin"] for one in row["proposals"]} == {"reflection"}


async def test_without_a_reflector_the_forgeries_alone_teach(task: Task, model: Model, texts: list[Labelled]) -> None:
    llm = model()
    row = await round_of(task, llm, texts, errors=0, rounds=2, patience=2)
    assert asked(llm).keys() == {"judge", "generator", "detector", "optimizer"}
    assert (row["errors"], row["failed"]) == (0, [])
    assert {one["origin"] for one in row["proposals"]} == {"adversarial"}


async def test_without_either_nothing_is_proposed(task: Task, model: Model, texts: list[Labelled]) -> None:
    training, validation = split_by_query(texts, fraction=0.5, seed=0)
    made = await Refiner(task, model(), [], training, validation, RefineSettings(attacks=0, errors=0)).run()
    assert made.history[0]["why"] == "no usable proposal"
    assert made.principles.texts == task.principles


@pytest.mark.parametrize("uncalibrated", [False, True])
async def test_without_a_calibration_the_judges_own_answer_decides(
    task: Task, model: Model, texts: list[Labelled], uncalibrated: bool
) -> None:
    """The scripted judge calls every text good as long as no rule tells it more."""
    llm, splits = model("A text has words in it."), split_labelled(texts, seed=0)
    settings = RefineSettings(attacks=4, uncalibrated=uncalibrated)
    refiner = Refiner(task, llm, QUERIES, splits.training, splits.validation, settings)
    made = await refine_and_measure(refiner, JudgeSpec("tiny", "scripted", "logprob"), splits.test)
    assert (made.after.calibration is None) == uncalibrated
    assert made.after.measured is not None
    assert (made.after.measured["says_good"] == 1) == uncalibrated
    judged = [call.messages[-1]["content"] for call in llm.calls if "Say Good or Bad" in call.messages[0]["content"]]
    assert sum(splits.training[0].response in said for said in judged) == (1 if uncalibrated else 2)  # and fitted on
