"""``inkfire train``: what it opens it closes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from scripted_judge import Counted

from inkfire.errors import BudgetExceeded
from inkfire.judge.spec import JudgeSpec
from inkfire.runs.train import run_grpo

pytest.importorskip("trl")
from inkfire.training.grpo import GrpoSettings


def test_a_training_that_stops_closes_its_judge(
    tiny_task: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    llm = Counted([])

    def stop(*_: Any, **__: Any) -> None:
        raise BudgetExceeded("the limit is reached")

    monkeypatch.setattr("inkfire.models.open.open_model", lambda *_, **__: llm)
    monkeypatch.setattr("inkfire.models.policy.find_model", lambda _: None)
    monkeypatch.setattr("inkfire.training.grpo.train_grpo", stop)
    JudgeSpec(str(tiny_task), "m", "logprob").save(tmp_path / "judge")
    named = {"task": str(tiny_task), "start": "m", "reward": str(tmp_path / "judge"), "out": tmp_path / "rl"}
    with pytest.raises(BudgetExceeded):
        run_grpo(**named, config=GrpoSettings(), force=True)
    assert llm.closes == 1
