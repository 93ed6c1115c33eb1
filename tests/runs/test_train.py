"""``inkfire train``: what it opens it closes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from scripted_judge import Counted

from inkfire.errors import BudgetExceeded, ModelNameError
from inkfire.judge.spec import JudgeSpec
from inkfire.runs.context import Place
from inkfire.runs.train import GrpoInputs, RewardModelInputs, SftInputs, grpo, reward_model, sft
from inkfire.training.settings import GrpoSettings, RewardModelSettings, SftSettings

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


def test_a_model_that_cannot_be_asked_begins_no_folder(
    strange_model: Callable[[str], str], tiny_task: Path, tmp_path: Path
) -> None:
    base, place = strange_model("hopeless"), Place(tmp_path / "out")
    pairs = RewardModelInputs(pairs=(tiny_task / "pairs.jsonl",), task=str(tiny_task))
    trainings: list[Callable[[], Any]] = [
        lambda: sft(SftInputs(task=str(tiny_task), base=base), SftSettings(), place),
        lambda: reward_model(pairs, RewardModelSettings(kind="transformer", base=base), place),
        lambda: grpo(GrpoInputs(task=str(tiny_task), policy=base, reward="share:!"), GrpoSettings(), place),
    ]
    for training in trainings:
        with pytest.raises(ModelNameError, match="chat template refuses"):
            training()
    assert not (tmp_path / "out").exists()
