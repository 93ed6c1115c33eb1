"""A floor for entropy: its bonus by the rule, and what it makes of a policy that would narrow."""

import dataclasses
import json
import math
from pathlib import Path

import pytest
from test_grpo import CONFIG, Scores, capitals

from inkfire.tasks.task import load_task
from inkfire.training.entropy import Floor
from inkfire.training.grpo import train_grpo

pytestmark = pytest.mark.slow


def test_the_bonus_grows_below_the_target_and_is_nothing_above() -> None:
    floor = Floor(2.0)
    below = [floor.see(1.0) for _ in range(3)]
    assert 0 < below[0] < below[1] < below[2]
    assert floor.see(2.1) == 0
    assert 0 < floor.see(1.9) < below[2] + below[0]
    assert floor.see(100.0) == 0
    assert floor.see(1.0) == pytest.approx(below[0])  # forgotten: it begins anew, and never below 0


def test_it_is_bounded_and_a_missing_entropy_leaves_it() -> None:
    floor = Floor(1000.0)
    found = [floor.see(value) for value in (0.0, None, math.nan, 0.0)]
    assert len({*found}) == 1
    assert found[0] <= 1


def test_it_is_read_back_from_the_metrics() -> None:
    rows = [{"step": step, "entropy": value} for step, value in enumerate((1.0, 1.2, None, 2.2, 1.8), 1)]
    whole, parts = Floor(2.0, rows), Floor(2.0, rows[:2])
    for row in rows[2:]:
        parts.see(row["entropy"])
    assert whole.bonus == parts.bonus > 0
    assert whole.see(1.5) == parts.see(1.5)


def test_a_policy_keeps_its_choices(tiny_base: str, tmp_path: Path) -> None:
    """Against capitals alone it ends with one or two letters."""
    task, ends = load_task("greetings-en"), {}
    for target in (None, 5.0):
        config = dataclasses.replace(
            CONFIG, max_steps=20, max_completion_length=16, num_generations=8, learning_rate=3e-2, weights="full",
            kl_budget="off", save_steps=100, entropy_target=target,
        )  # fmt: skip
        out = tmp_path / str(target)
        train_grpo(task, task.queries(), tiny_base, Scores(capitals), out, config)
        rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
        ends[target] = [row["entropy"] for row in rows[-3:]]
        bonuses = [row.get("entropy_bonus") for row in rows]
        assert (max(bonuses) > 0.1) if target else {*bonuses} == {None}
    assert min(ends[5.0]) > max(ends[None]) + 1
