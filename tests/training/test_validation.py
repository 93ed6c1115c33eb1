"""Queries that a training does not learn from: looked at, logged, and without any trace in the training."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from test_grpo import CONFIG, Scores, capitals, rows
from test_grpo_shaped import shaped

from inkfire.errors import BudgetExceeded, DataError
from inkfire.files.jsonl import sha256_file
from inkfire.records import Query
from inkfire.rewards.shaped import Shaping
from inkfire.tasks.task import load_task
from inkfire.training.grpo import train_grpo
from inkfire.training.validation import apart
from inkfire.training.watched import Watched

pytestmark = pytest.mark.slow

ASKED = [Query(str(i), f"a wish for number {i}") for i in range(3)]


def train(base: str, folder: Path, out: Path, reward: Any, validation: list[Query]) -> dict[str, Any]:
    task, config = load_task(folder), dataclasses.replace(CONFIG, validation_steps=2, learning_rate=5e-2)
    return train_grpo(task, task.queries(), base, Watched(reward, validation=validation), out, config)


def test_it_is_logged_and_leaves_no_trace(tiny_base: str, tiny_task: Path, tmp_path: Path) -> None:
    plain, looked, parts = tmp_path / "plain", tmp_path / "looked", tmp_path / "parts"
    own = load_task(tiny_task).queries()[0]
    train(tiny_base, tiny_task, plain, Scores(capitals), [])
    result = train(tiny_base, tiny_task, looked, Scores(capitals), [*ASKED, own])
    assert sha256_file(plain / "adapter_model.safetensors") == sha256_file(looked / "adapter_model.safetensors")
    assert (plain / "completions.jsonl").read_bytes() == (looked / "completions.jsonl").read_bytes()
    written = rows(looked / "validation.jsonl")
    assert [(row["step"], row["query"]) for row in written] == [(at, q.query) for at in (0, 2, 4) for q in ASKED]
    texts = [row["response"] for row in written]
    assert texts[3:6] != texts[6:]  # by the policy as it was then
    metrics = rows(looked / "metrics.jsonl")
    assert ["validation_reward" in row for row in metrics] == [False, True, False, True]
    means = [sum(row["reward"] for row in written[i : i + 3]) / 3 for i in (3, 6)]
    assert [metrics[at]["validation_reward"] for at in (1, 3)] == pytest.approx(means)
    assert (result["validation"], result["validation_reward_last"]) == (3, pytest.approx(means[1]))
    with pytest.raises(BudgetExceeded):
        train(tiny_base, tiny_task, parts, Scores(capitals, stop_at=4), [*ASKED, own])  # in the third step
    assert train(tiny_base, tiny_task, parts, Scores(capitals), [*ASKED, own]) == result
    assert (parts / "validation.jsonl").read_bytes() == (looked / "validation.jsonl").read_bytes()


def test_a_reward_that_looks_at_the_group_gives_its_score(tiny_base: str, tiny_task: Path, tmp_path: Path) -> None:
    train(tiny_base, tiny_task, tmp_path / "out", shaped(Shaping(checks=("length:7..",))), ASKED)
    first = rows(tmp_path / "out" / "validation.jsonl")[0]
    share = first["response"].count("a") / max(1, len(first["response"]))
    assert first["reward"] == pytest.approx(0.7 * capitals(0, first["response"]) + 0.3 * share)


def test_what_is_trained_on_is_left_out() -> None:
    many = [Query(str(i), f"query {i}") for i in range(40)]
    assert apart(many[:3], many[2:]) == ["query 0", "query 1"]
    assert len(apart(many, many[:4])) == 16
    with pytest.raises(DataError, match="every query to validate on is trained on"):
        apart(many[:2], many)
