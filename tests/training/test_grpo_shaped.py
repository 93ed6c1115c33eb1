"""A reward that looks at the group, in a whole training of a tiny model: the start's texts, the logs, a kill."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from test_grpo import CONFIG, Scores, capitals, rows

from inkfire.errors import BudgetExceeded
from inkfire.models.card import Card
from inkfire.rewards.checks import Checks
from inkfire.rewards.mixture import Mixture
from inkfire.rewards.shaped import Shaped, Shaping
from inkfire.rewards.share import Share
from inkfire.tasks.task import load_task
from inkfire.training.grpo import train_grpo

pytestmark = pytest.mark.slow

ALL = Shaping(
    checks=("length:7..", "fluent"),
    fluency=0.5,
    relevance=0.5,
    diversity=0.3,
    novelty=0.3,
    length="rescale",
    start_samples=24,
)


def shaped(shaping: Shaping = ALL, stop_at: int | None = None) -> Shaped:
    scores = Mixture(((0.7, Scores(capitals, stop_at)), (0.3, Share("a"))))
    return Shaped(scores, shaping, Checks.parse(shaping.checks))


def run(base: str, folder: Path, out: Path, reward: Shaped) -> dict[str, Any]:
    task = load_task(folder)
    return train_grpo(task, task.queries(), base, reward, out, CONFIG)


def test_everything_at_once_and_a_kill_is_no_loss(tiny_base: str, tiny_task: Path, tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    result = run(tiny_base, tiny_task, whole, shaped())

    start = rows(whole / "start.jsonl")
    levels = json.loads((whole / "start.json").read_text())
    assert len(start) == levels["n"] == 24
    assert {"query", "response", "truncated", "failed", "fluency", "relevance"} <= start[0].keys()
    measure = [row["fluency"] for row in start if levels["measured_by"] == 24 or not row["failed"]]
    assert levels["fluency"] == pytest.approx(np.quantile(measure, 0.85))
    assert levels["fluent"]["low"] < levels["fluency"] < levels["fluent"]["high"]
    assert 0.5 < levels["fluent"]["start"]["share"] < 1
    assert levels["fluent"]["good"]["n"] > 0

    metrics = rows(whole / "metrics.jsonl")
    assert [row["step"] for row in metrics] == [1, 2, 3, 4]
    for row in metrics:
        assert row["failed_by"].keys() == {"length:7..", "fluent"}
        assert 0 <= row["failed"] <= 1
        assert "length_slope" in row
        assert "phrases" in row
    completions = rows(whole / "completions.jsonl")
    assert all(("mixed" in row) is not bool(row["failed"]) for row in completions)
    assert 0 < sum(bool(row["failed"]) for row in completions) < len(completions)
    own = Card.read(whole).own_rewards
    assert [(one.kind, one.name) for one in own] == [
        ("check", "rule"),
        ("check", "share:a"),
        ("likelihood", "fluency"),
        ("likelihood", "relevance"),
    ]

    with pytest.raises(BudgetExceeded):
        run(tiny_base, tiny_task, parts, shaped(stop_at=3))
    assert run(tiny_base, tiny_task, parts, shaped()) == result
    for name in ("start.jsonl", "start.json", "metrics.jsonl", "completions.jsonl", "policy.json"):
        assert (parts / name).read_bytes() == (whole / name).read_bytes(), name
    ours, theirs = (load_file(out / "adapter_model.safetensors") for out in (parts, whole))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_what_met_the_limit_is_not_finished(tiny_base: str, tiny_task: Path, tmp_path: Path) -> None:
    """A tiny random model rarely ends by itself: nearly everything is cut off, fails, and asks nobody."""
    reward = shaped(Shaping(checks=("finished",)))
    run(tiny_base, tiny_task, tmp_path / "out", reward)
    completions = rows(tmp_path / "out" / "completions.jsonl")
    assert sum(row["failed"] == ["finished"] for row in completions) > len(completions) / 2
    assert len(rows(tmp_path / "out" / "start.jsonl")) == reward.shaping.start_samples  # for the alarms
    assert not (tmp_path / "out" / "start.json").exists()  # no level was taken from them
    assert reward.reward.parts[0][1].calls < CONFIG.max_steps
