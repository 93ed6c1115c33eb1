"""A judge in a folder."""

import json
from pathlib import Path
from typing import Any

import pytest

from inkfire.debate.debate import Debate
from inkfire.errors import DataError, InputError
from inkfire.judge.answers import RubricJudge, VerdictJudge
from inkfire.judge.calibration import CalibratedJudge, Calibration
from inkfire.judge.examples import Examples
from inkfire.judge.guard import Guarded
from inkfire.judge.logprob import LogprobJudge
from inkfire.judge.principles import Principle, Principles
from inkfire.judge.spec import JudgeSpec, build_judge
from inkfire.llm.scripted import ScriptedLLM
from inkfire.records import Labelled
from inkfire.tasks.task import Task

FULL = JudgeSpec(
    task="greetings-zh",
    model="local/some",
    mode="logprob",
    principles=Principles((Principle("新鲜", "reflection", 1, ("a",), "因为", 0.1, (0.0, 0.2), 60),), parent="b"),
    examples=Examples((Labelled("q", "r", 1), Labelled("p", "s", 0)), 2, "fixed", 3),
    calibration=Calibration(1.5, -2.0, 0.5, 80, 40),
    measured={"auc": 0.7, "auc_ci": [0.6, 0.8], "scored": 80},
)


@pytest.mark.parametrize("judge", [FULL, JudgeSpec("tiny", "m", "debate")])
def test_it_survives_the_file(tmp_path: Path, judge: JudgeSpec) -> None:
    path = judge.save(tmp_path / "judge")
    assert JudgeSpec.read(tmp_path / "judge") == judge
    assert JudgeSpec.read(path) == judge


def test_it_builds_the_same_judge(task: Task, word: Any) -> None:
    built = FULL.build(ScriptedLLM([]), task)
    assert isinstance(built, CalibratedJudge)
    assert isinstance(built.inner, Guarded)
    assert isinstance(built.inner.inner, LogprobJudge)
    assert built.inner.inner.principles == FULL.principles
    assert built.calibration == FULL.calibration


@pytest.mark.parametrize(
    ("mode", "kind"),
    [("verdict", VerdictJudge), ("logprob", LogprobJudge), ("rubric", RubricJudge), ("debate", Debate)],
)
def test_every_mode_is_built(task: Task, mode: str, kind: type) -> None:
    guarded = build_judge(mode, task, ScriptedLLM([]))
    assert isinstance(guarded, Guarded)
    assert isinstance(guarded.inner, kind)
    assert isinstance(build_judge(mode, task, ScriptedLLM([]), guarded=False), kind)


def test_an_unknown_mode_is_named(task: Task) -> None:
    with pytest.raises(InputError, match="unknown mode 'guess'"):
        build_judge("guess", task, ScriptedLLM([]))


@pytest.mark.parametrize(
    "change",
    [
        {"mode": "guess"},
        {"principles": {"parent": ""}},
        {"calibration": {"slope": 1}},
        {"examples": [{"x": 1}]},
        {"examples": {"n": 2, "choice": "best", "seed": 0, "pool": []}},
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, change: dict[str, Any]) -> None:
    path = FULL.save(tmp_path)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(DataError, match=r"judge\.json"):
        JudgeSpec.read(tmp_path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        JudgeSpec.read(tmp_path)
