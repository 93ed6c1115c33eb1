"""Closing: a judge closes the models it was given, each once, through whatever stands before it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from scripted_judge import Counted

from inkfire.debate.debate import Debate
from inkfire.debate.settings import AGENTS
from inkfire.errors import InputError
from inkfire.judge.calibration import Calibration
from inkfire.judge.examples import Examples
from inkfire.judge.guard import GuardedPairwise
from inkfire.judge.ranking import PairwiseJudge
from inkfire.judge.spec import MODES, JudgeSpec
from inkfire.records import Labelled
from inkfire.tasks.task import Task

CALIBRATED = Calibration(1, 0, 0.5, 20, 10)


@pytest.mark.parametrize("calibration", [None, CALIBRATED])
@pytest.mark.parametrize("guarded", [True, False])
@pytest.mark.parametrize(("mode", "votes"), [*((mode, 1) for mode in MODES), ("verdict", 3), ("rubric", 3)])
async def test_every_mode_closes_its_model_once(
    task: Task, mode: Any, votes: int, guarded: bool, calibration: Calibration | None
) -> None:
    llm = Counted([])
    await JudgeSpec("tiny", "m", mode, votes=votes, calibration=calibration).build(llm, task, guarded=guarded).close()
    assert llm.closes == 1


@pytest.mark.parametrize("wrap", [lambda judge: judge, GuardedPairwise])
async def test_a_comparison_closes_its_model_once(task: Task, wrap: Callable[[Any], Any]) -> None:
    llm = Counted([])
    await wrap(PairwiseJudge(task, llm)).close()
    assert llm.closes == 1


async def test_a_debate_closes_each_of_its_models_once(task: Task) -> None:
    shared, own = Counted([]), Counted([])
    await Debate(task, shared, per_agent={AGENTS[0]: own}).close()
    assert (shared.closes, own.closes) == (1, 1)


def test_a_saved_judge_that_cannot_be_built_leaves_no_model_open(
    tiny_task: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    llm = Counted([])
    monkeypatch.setattr("inkfire.models.open.open_model", lambda *_, **__: llm)
    examples = Examples((Labelled("a", "x", 1), Labelled("b", "y", 0)), 2)
    with pytest.raises(InputError, match="shows no examples"):
        JudgeSpec(str(tiny_task), "m", "rubric", examples=examples).open()
    assert llm.closes == 1
