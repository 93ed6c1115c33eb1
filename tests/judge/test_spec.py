"""A judge in a folder."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from scripted_judge import Counted

from inkfire.debate.debate import Debate
from inkfire.debate.settings import DebateSettings
from inkfire.errors import DataError, InputError
from inkfire.judge.answers import RubricJudge, VerdictJudge
from inkfire.judge.calibration import CalibratedJudge, Calibration
from inkfire.judge.examples import Examples
from inkfire.judge.guard import Guarded
from inkfire.judge.logprob import LogprobJudge
from inkfire.judge.principles import Principle, Principles
from inkfire.judge.spec import JudgeSettings, JudgeSpec, build_judge
from inkfire.llm import loop
from inkfire.llm.scripted import ScriptedLLM
from inkfire.records import Example, Labelled
from inkfire.tasks.task import Task, load_task

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


# ---- debates -------------------------------------------------------------------------------------------------------

DEBATE = DebateSettings(depth="full", points=3, agent=("judge=big", "reflect=off"), k_search=5, k_final=1)
CORPUS = (Example("an Easter wish", "Bells first, then chocolate.", 5), Example("a wish for Easter", "Eggs.", 9))


def test_a_debate_comes_with_its_corpus_and_settings(tmp_path: Path) -> None:
    judge = JudgeSpec("tiny", "m", "debate", debate=DEBATE, corpus=CORPUS)
    path = judge.save(tmp_path)
    assert JudgeSpec.read(path) == judge
    said = json.loads(path.read_text())
    assert said["debate"]["depth"] == "full"
    assert said["corpus"][0] == {"query": "an Easter wish", "response": "Bells first, then chocolate.", "clicks": 5}
    assert not {"debate", "corpus", "besides"} & json.loads(FULL.save(tmp_path / "other").read_text()).keys()


def test_a_debate_of_before_depths_is_short(tmp_path: Path) -> None:
    (tmp_path / "judge.json").write_text('{"task": "greetings-en", "model": "m", "mode": "debate"}')
    built = JudgeSpec.read(tmp_path).build(ScriptedLLM([]), guarded=False)
    assert isinstance(built, Debate)
    assert (built.depth.depth, built.retriever) == ("short", None)


async def test_agents_have_their_models_and_see_no_other_answer_to_the_query() -> None:
    points = '{"points": [{"point": "Kind", "reason": "x"}]}'
    mine, big = ScriptedLLM([points, points]), ScriptedLLM(['{"reason": "x", "judge": 0}'])
    spec = JudgeSpec("greetings-en", "m", "debate", debate=DEBATE, corpus=CORPUS)
    judge = spec.opened({"big": big}.__getitem__, lambda name: pytest.fail("no embedder is needed")).build(mine)
    verdict = await judge.judge("a wish for Easter", "May it open like a window.")
    assert verdict.label == 0
    assert (len(mine.calls), len(big.calls)) == (2, 1)
    for call in (*mine.calls, *big.calls):
        assert "Bells first" in call.messages[-1]["content"]
        assert "Eggs." not in call.messages[-1]["content"]  # the more clicked one, and the query's own


def test_all_that_a_judge_asks_is_closed_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Any] = []

    def held(*_: Any, **__: Any) -> Counted:
        opened.append(Counted([]))
        return opened[-1]

    monkeypatch.setattr("inkfire.models.open.open_model", held)
    monkeypatch.setattr("inkfire.models.open.open_embedder", held)
    dense = dataclasses.replace(DEBATE, retrieval="dense", embedder="e")
    judge = JudgeSpec("greetings-en", "m", "debate", debate=dense, corpus=CORPUS).open()
    assert len(opened) == 3
    loop.run(judge.close())
    assert all(one.closes for one in opened)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"depth": "full"}, "--depth is a setting of a debate: add --mode debate"),
        ({"agent": ("judge=m",)}, "--agent is a setting of a debate"),
        ({"k_final": 3}, "--k-final is a setting of a debate"),
        ({"retrieval": "dense", "embedder": "e"}, "--retrieval dense has nothing to search: add --examples N"),
        (
            {"retrieval": "dense", "embedder": "e", "examples": 4, "examples_choice": "fixed"},
            "has nothing to search",
        ),
        ({"retrieval": "hybrid", "examples": 4}, "--retrieval hybrid needs --embedder MODEL"),
        ({"mode": "debate", "k_final": 30, "examples": 2}, "--k-final 30 is more than --k-search 20"),
    ],
)
def test_settings_that_do_not_fit_the_mode_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        JudgeSettings(**settings).check(load_task("greetings-en"), "gpt-5")


def test_a_calibration_of_another_depth_is_another_judges() -> None:
    short, full = (JudgeSpec("greetings-en", "m", "debate", debate=DebateSettings(depth=d)) for d in ("short", "full"))
    assert full.foreign(short) == "kind of debate"
    assert full.foreign(full) is None
