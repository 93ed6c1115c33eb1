"""A GRPO training that was killed anywhere goes on to the same weights and logs, over several passes of its prompts."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from test_grpo import CONFIG, rows
from test_grpo_shaped import shaped

from inkfire.errors import BudgetExceeded
from inkfire.files.jsonl import SECONDS, sha256_file
from inkfire.rewards.shaped import Shaping
from inkfire.rewards.share import Share
from inkfire.tasks.task import load_task
from inkfire.training import steering, trl
from inkfire.training.grpo import GrpoSettings, train_grpo

pytestmark = pytest.mark.slow

LONG = dataclasses.replace(CONFIG, max_steps=12, kl_budget=0.2)
SHAPING = Shaping(checks=("length:3..",), diversity=0.3, novelty=0.5, length="rescale", start_samples=8)


@pytest.fixture(autouse=True)
def marks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model as small as this has no long way to go."""
    monkeypatch.setattr(steering, "MARKS", (0.01, 0.02, 0.05, 0.1, 0.2))


def train(base: str, folder: Path, out: Path, config: GrpoSettings, stop_at: int | None = None) -> dict:
    """On six prompts: a pass over them takes three steps of two."""
    task = load_task(folder)
    return train_grpo(task, task.queries()[:6], base, shaped(SHAPING, stop_at), out, config)


@pytest.mark.parametrize(
    ("config", "stops"),
    [
        (LONG, (4, 8)),
        (dataclasses.replace(LONG, save_steps=3), (5, 12)),
        (
            dataclasses.replace(LONG, save_steps=2, batch_size=4, mini_batch_size=2, num_iterations=2, max_steps=5),
            (3, 5),
        ),
        (dataclasses.replace(LONG, weights="full", learning_rate=1e-3, save_steps=4), (9,)),
        (dataclasses.replace(LONG, entropy_target=6.0, save_steps=3), (8,)),
    ],
    ids=["each", "third", "updates", "full", "entropy"],
)
def test_killed_anywhere(
    tiny_base: str, tiny_task: Path, tmp_path: Path, config: GrpoSettings, stops: Sequence[int]
) -> None:
    whole = tmp_path / "whole"
    result = train(tiny_base, tiny_task, whole, config)
    assert len({row["beta"] for row in rows(whole / "metrics.jsonl")}) > 3
    assert len([*(whole / "kept").glob("*/policy.json")]) == 2
    for stop_at in stops:
        parts = tmp_path / f"killed-{stop_at}"
        with pytest.raises(BudgetExceeded):
            train(tiny_base, tiny_task, parts, config, stop_at)
        assert train(tiny_base, tiny_task, parts, config) == result, stop_at
        assert files(parts) == files(whole), stop_at


def test_killed_while_a_policy_of_the_way_was_kept(
    tiny_base: str, tiny_task: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its checkpoint is whole by then: what goes on from there keeps the same policy."""
    train(tiny_base, tiny_task, tmp_path / "whole", LONG)
    save = trl.save

    def killed(trainer: Any, tokenizer: Any, out: Path, base: str) -> None:
        if out.name.startswith("kl-"):
            tokenizer.save_pretrained(out)
            raise KeyboardInterrupt
        save(trainer, tokenizer, out, base)

    monkeypatch.setattr(trl, "save", killed)
    with pytest.raises(KeyboardInterrupt):
        train(tiny_base, tiny_task, tmp_path / "parts", LONG)
    monkeypatch.setattr(trl, "save", save)
    train(tiny_base, tiny_task, tmp_path / "parts", LONG)
    assert files(tmp_path / "parts") == files(tmp_path / "whole")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_behind_a_whole_step(
    tiny_base: str, tiny_task: Path, tmp_path: Path, number: signal.Signals
) -> None:
    """A step of two updates, and no checkpoint but the one that the signal asks for."""
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    command = [
        *(sys.executable, "-c", "from inkfire.cli.app import main; main()", "train", "grpo", "--out", str(parts)),
        *("--task", str(tiny_task), "--policy", tiny_base, "--reward", "share:a", "--max-steps", "12"),
        *("--max-completion-length", "8", "--learning-rate", "1e-2", "--save-steps", "100"),
        *("--mini-batch-size", "1"),
    ]
    one_thread = os.environ | {"OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=one_thread) as process:
        while len(trl.rows(parts / "metrics.jsonl")) < 5:
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Stopping after this step" in said
    assert "the same command resumes" in said
    done = len(trl.rows(parts / "metrics.jsonl"))
    assert done in range(6, 24, 2)
    assert [trl.step_of(path) for path in trl.checkpoints(parts)] == [done]

    task = load_task(tiny_task)
    config = dataclasses.replace(CONFIG, max_steps=12, mini_batch_size=1, save_steps=100)
    for out in (parts, whole):
        train_grpo(task, task.queries(), tiny_base, Share("a"), out, config)
    names = ("adapter_model.safetensors", "metrics.jsonl", "completions.jsonl")
    assert all((parts / name).read_bytes() == (whole / name).read_bytes() for name in names)


def files(out: Path) -> dict[str, str]:
    """Each file of a finished training and its hash, but for the times."""
    found = (path for path in sorted(out.rglob("*")) if path.is_file() and path.name != SECONDS)
    return {str(path.relative_to(out)): sha256_file(path) for path in found}
