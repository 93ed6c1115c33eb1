"""``inkfire score``: what it opens it closes."""

from __future__ import annotations

from pathlib import Path

import pytest
from scripted_judge import RULE, Counted, Model

from inkfire.errors import EndpointDown
from inkfire.judge.spec import JudgeSpec
from inkfire.runs.score import ScoreInputs, rank, score

MEASURED = {"scored": 80, "auc": 0.8, "auc_ci": [0.7, 0.9]}


@pytest.fixture
def judge(tiny_task: Path, tmp_path: Path) -> str:
    JudgeSpec(str(tiny_task), "m", "logprob", measured=MEASURED).save(tmp_path / "judge")
    return str(tmp_path / "judge")


def test_a_judges_model_is_closed(judge: str, tiny_task: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    llm = Counted(Model(RULE))
    monkeypatch.setattr("inkfire.models.open.open_model", lambda *_, **__: llm)
    assert score(ScoreInputs(reward=judge, data=(tiny_task / "labelled.jsonl",)), None)["scored"] == 16
    assert llm.closes == 1
    assert len(rank(judge, "a wish", ["one", "two"])) == 2
    assert llm.closes == 2


def test_also_after_an_error(judge: str, tiny_task: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    llm = Counted([EndpointDown("gone")] * 32)
    monkeypatch.setattr("inkfire.models.open.open_model", lambda *_, **__: llm)
    with pytest.raises(EndpointDown):
        score(ScoreInputs(reward=judge, data=(tiny_task / "labelled.jsonl",)), None)
    assert llm.closes == 1
