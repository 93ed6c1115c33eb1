"""``inkfire train``: what it opens it closes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from scripted_judge import Counted

from inkfire.errors import BudgetExceeded
from inkfire.judge.spec import JudgeSpec
from inkfire.runs.context import Place
from inkfire.runs.train import GrpoInputs, grpo
from inkfire.training.settings import GrpoSettings

pytest.importorskip("trl")


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
    inputs = GrpoInputs(task=str(tiny_task), policy="m", reward=str(tmp_path / "judge"), force=True)
    with pytest.raises(BudgetExceeded):
        grpo(inputs, GrpoSettings(), Place(tmp_path / "rl"))
    assert llm.closes == 1
