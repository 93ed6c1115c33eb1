"""A real model learns: the proof that the loop, and not only its parts, is right."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from inkfire.rewards.share import Share
from inkfire.tasks.task import load_task
from inkfire.training import trl
from inkfire.training.grpo import GrpoSettings, train_grpo

MODEL = "local/smollm2-135m"

pytestmark = pytest.mark.model


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """In place of the tiny models' fixture: a real model uses every core."""


def test_grpo_raises_a_reward_that_can_be_checked_by_hand(smollm2: Path, tmp_path: Path) -> None:
    """The share of "!" in a text goes up within 15 steps; base texts have about one in two hundred characters."""
    task = load_task("greetings-en")
    config = GrpoSettings(
        max_steps=15, batch_size=1, num_generations=8, max_completion_length=24, learning_rate=5e-4, kl_budget="off"
    )
    train_grpo(task, task.queries(), MODEL, Share("!"), tmp_path / "out", config)
    rewards = [row["reward"] for row in trl.rows(tmp_path / "out" / "metrics.jsonl")]
    assert len(rewards) == 15
    first, last = sum(rewards[:3]) / 3, sum(rewards[-3:]) / 3
    assert last > 2 * first, rewards
    assert last > first + 0.005, rewards


def test_a_real_model_resumes_to_the_same_weights(smollm2: Path, tmp_path: Path) -> None:
    task = load_task("greetings-en")
    config = GrpoSettings(max_steps=2, batch_size=1, num_generations=4, max_completion_length=8, learning_rate=5e-4)

    class Stops(Share):
        def score(self, queries: object, responses: object, *, truncated: object = None) -> list[float | None]:
            if (tmp_path / "parts" / "checkpoints" / "checkpoint-1").exists():
                raise KeyboardInterrupt
            return super().score(queries, responses)  # type: ignore[arg-type]

    train_grpo(task, task.queries(), MODEL, Share("e"), tmp_path / "whole", config)
    with pytest.raises(KeyboardInterrupt):
        train_grpo(task, task.queries(), MODEL, Stops("e"), tmp_path / "parts", config)
    train_grpo(task, task.queries(), MODEL, Share("e"), tmp_path / "parts", config)
    ours, theirs = (load_file(tmp_path / name / "adapter_model.safetensors") for name in ("parts", "whole"))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
