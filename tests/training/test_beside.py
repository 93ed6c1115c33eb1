"""What a training leaves and shows beside its policy: checkpoints that are policies, seconds, a terminal's view."""

from __future__ import annotations

import dataclasses
import sys
import types
from pathlib import Path

import pytest
from test_grpo import CONFIG, Scores, capitals, rows, run

from inkfire.cli import trained
from inkfire.errors import BudgetExceeded, InputError
from inkfire.models.card import Card
from inkfire.models.policy import Policy
from inkfire.tasks.task import load_task
from inkfire.training import settings, steering
from inkfire.training.grpo import train_grpo
from inkfire.training.settings import GrpoSettings, check_reports
from inkfire.training.view import View

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("weights", ["lora", "full"])
def test_a_checkpoint_and_a_policy_of_the_way_are_policies(
    tiny_base: str, tiny_task: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weights: str
) -> None:
    monkeypatch.setattr(steering, "MARKS", (1e-4,))
    config = dataclasses.replace(CONFIG, weights=weights)
    with pytest.raises(BudgetExceeded):
        run(tiny_base, tiny_task, tmp_path / "rl", config=config, stop_at=4)
    task = load_task(tiny_task)
    for name, steps in (("checkpoints/checkpoint-3", 3), ("kept/kl-0.0001", 2)):
        policy = Policy.load(tmp_path / "rl" / name)
        assert policy.card.steps == steps
        assert len(policy.generate(["a wish"], max_new_tokens=4)) == 1
        out = tmp_path / f"from-{steps}"
        once = GrpoSettings(max_steps=1, max_completion_length=8)
        train_grpo(task, task.queries(), tmp_path / "rl" / name, Scores(capitals), out, once)
        assert Card.read(out).base == (tiny_base if weights == "lora" else str(tmp_path / "rl" / name))
        assert Card.read(out).own_rewards == Scores(capitals).identities
        assert rows(out / "metrics.jsonl")[0]["kl"] == pytest.approx(0, abs=1e-4)


def test_seconds_by_phase(tiny_base: str, tiny_task: Path, tmp_path: Path) -> None:
    config = dataclasses.replace(CONFIG, max_steps=3, mini_batch_size=1, save_steps=2, profile=True)
    with pytest.raises(BudgetExceeded):
        run(tiny_base, tiny_task, tmp_path / "out", config=config, stop_at=3)
    result = run(tiny_base, tiny_task, tmp_path / "out", config=config)
    seconds = rows(tmp_path / "out" / "seconds.jsonl")
    assert [row["step"] for row in seconds] == [1, 2, 3, 4, 5, 6]
    assert [{*row} - {"step", "update"} for row in seconds[:4]] == [
        {"write", "score"},
        set(),
        {"write", "score"},
        {"save"},
    ]
    assert all(row["update"] > 0 for row in seconds)
    assert result["profile"]["write"] == pytest.approx(sum(row.get("write", 0) for row in seconds) / 3)
    table = trained.grpo(result | {"seconds": 1.0})[-1]
    assert [row[0] for row in table.rows] == ["write", "score", "update", "save"]


def test_the_view_of_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def shown(terminal: bool) -> str:
        monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal, raising=False)
        view = View([0.0, 0.25, None])
        view.see(["x"], [0.75])
        assert not capsys.readouterr().err
        view.see(["a \x1b[31m\nred kite", "b"], [1.0, None])
        return capsys.readouterr().err

    assert shown(True) == "reward ▁▃ ▆█ 1\n    a \\x1b[31m red kite\n"
    assert not shown(False)


def test_numbers_are_sent_by_the_librarys_client(
    tiny_base: str, tiny_task: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"--report-to trackio needs .*: pip install trackio"):
        check_reports("trackio")
    monkeypatch.undo()

    sent: list[tuple[Path, str, int]] = []

    class SummaryWriter:
        def __init__(self, log_dir: str):
            self.log_dir = Path(log_dir)

        def add_scalar(self, name: str, value: float, step: int) -> None:
            sent.append((self.log_dir, name, step))

        def add_text(self, *_: object) -> None: ...

        flush = close = add_text

    tensorboard = types.ModuleType("tensorboard")
    tensorboard.__spec__ = types.SimpleNamespace(name="tensorboard")  # type: ignore[assignment]
    monkeypatch.setitem(sys.modules, "tensorboard", tensorboard)
    writers = types.ModuleType("torch.utils.tensorboard")
    writers.SummaryWriter = SummaryWriter  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", writers)
    config = dataclasses.replace(CONFIG, max_steps=2, report_to="tensorboard")
    run(tiny_base, tiny_task, tmp_path / "out", config=config)
    for name in ("kl_text", "distinct"):  # of the budget and the monitor: TRL knows neither
        assert (tmp_path / "out" / "tensorboard", f"train/{name}", 2) in sent
