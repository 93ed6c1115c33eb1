"""A training says what its texts turn into, remembers it over a kill, and stops before it where it is told to."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from test_grpo import CONFIG, Scores, capitals, rows, run, weights

from inkfire.errors import BudgetExceeded
from inkfire.models.card import Card
from inkfire.records import Rollout
from inkfire.tasks.task import load_task
from inkfire.training import alarm_log
from inkfire.training.alarms import Alarm
from inkfire.training.grpo import train_grpo

pytestmark = pytest.mark.slow


def rings(at: int) -> type:
    """A watch that rings at a step: something began at the one before."""

    class Rings:
        def __init__(self, baseline: Sequence[Rollout] = ()):
            self.numbers = {"loops": 0.0, "length": 5.0}

        def see(self, texts: Sequence[Rollout]) -> list[Alarm]:
            shown = tuple(text.response for text in texts[:3])
            said = "Texts grow \x1b odd: 2 (1 at the start)."
            return [Alarm(at, "odd", 2.0, 1.0, at - 1, said, shown, shown)] if texts[0].step == at else []

    return Rings


def test_it_is_said_kept_and_rebuilt(
    tiny_base: str,
    tiny_task: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(alarm_log, "Watch", rings(3))
    result = run(tiny_base, tiny_task, tmp_path / "whole")
    assert "! Step 3: Texts grow \\x1b odd: 2 (1 at the start). It began about step 2.\n    " in capfd.readouterr().err
    assert [row["what"] for row in rows(tmp_path / "whole" / "alarms.jsonl")] == ["odd"]
    assert result["warnings"][-1].startswith("Step 3: Texts grow")
    assert (result["steps"], "steps_kept" in result) == (4, False)
    assert {row["loops"] for row in rows(tmp_path / "whole" / "metrics.jsonl")} == {0.0}
    assert {row["truncated"] for row in rows(tmp_path / "whole" / "completions.jsonl")} <= {True, False}

    with pytest.raises(BudgetExceeded):
        run(tiny_base, tiny_task, tmp_path / "parts", stop_at=4)
    capfd.readouterr()
    assert run(tiny_base, tiny_task, tmp_path / "parts") == result
    assert "Step 3" not in capfd.readouterr().err  # it was said
    for name in ("alarms.jsonl", "metrics.jsonl", "completions.jsonl"):
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_stop_keeps_the_policy_from_before(
    tiny_base: str, tiny_task: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tiny_base, tiny_task, tmp_path / "one", config=dataclasses.replace(CONFIG, max_steps=1))
    monkeypatch.setattr(alarm_log, "Watch", rings(4))
    result = run(
        tiny_base, tiny_task, tmp_path / "out", config=dataclasses.replace(CONFIG, max_steps=6, on_alarm="stop")
    )
    assert (result["steps"], result["steps_kept"]) == (4, 1)  # after one step it wrote the texts of the second
    assert result["warnings"][-1] == "The training stopped, and kept the policy as it was after 1 steps."
    assert Card.read(tmp_path / "out").steps == 1
    before = weights(tmp_path / "one")
    assert all(torch.equal(one, before[name]) for name, one in weights(tmp_path / "out").items())
    assert not (tmp_path / "out" / "checkpoints").exists()


def test_a_stop_of_all_weights(
    tiny_base: str, tiny_task: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = dataclasses.replace(CONFIG, weights="full")
    run(tiny_base, tiny_task, tmp_path / "one", capitals, dataclasses.replace(config, max_steps=1))
    monkeypatch.setattr(alarm_log, "Watch", rings(4))
    run(tiny_base, tiny_task, tmp_path / "out", capitals, dataclasses.replace(config, max_steps=6, on_alarm="stop"))
    before, after = (load_file(tmp_path / name / "model.safetensors") for name in ("one", "out"))
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize(
    ("rule", "what"),
    [(lambda _, text: text.count("a") / (len(text) + 1), "phrase"), (lambda _, text: -len(text), "length down")],
)
def test_a_policy_that_games_is_seen_while_its_reward_rises(
    tiny_base: str, tmp_path: Path, rule: Callable[[int, str], float], what: str
) -> None:
    """A favourite word, and length."""
    config = dataclasses.replace(
        CONFIG, max_steps=20, max_completion_length=24, batch_size=8, weights="full", kl_budget="off"
    )
    task = load_task("greetings-en")
    result = train_grpo(task, task.queries(), tiny_base, Scores(rule), tmp_path / "out", config)
    alarms = {row["what"]: row for row in rows(tmp_path / "out" / "alarms.jsonl")}
    assert result["reward_last"] > result["reward_first"] + 0.2
    assert 5 < alarms[what]["step"] <= 20
    assert any(f"Step {alarms[what]['step']}: " in line for line in result["warnings"])
