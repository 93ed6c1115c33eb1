"""The budget for KL: its course, the beta that follows, where a training ends and what is kept."""

import dataclasses
import json
import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from inkfire.models import policy as policies
from inkfire.settings import InputError
from inkfire.tasks.task import load_task
from inkfire.training import trl
from inkfire.training.budget import Budget
from inkfire.training.grpo import train_grpo
from inkfire.training.settings import GrpoSettings

pytestmark = pytest.mark.slow


def policy(budget: Budget, steps: int, seed: int, brake: float) -> list[tuple[float, float]]:
    """(KL, planned) by step of a simulated one: Adam after a reward that pulls one way, the KL term back."""
    random = np.random.default_rng(seed)
    rate = 1.9 * GrpoSettings().rate(steps)
    pull = random.normal(size=256)
    x, mean, square = np.zeros(256), np.zeros(256), np.zeros(256)
    went = []
    for step in range(1, steps + 1):
        kl = 3e7 * float(np.mean(x**2))
        went.append((kl, budget.planned(step)))
        budget.see(step, kl * math.exp(0.15 * random.normal()))
        if budget.ended is not None:
            break
        back = budget.beta * brake * x / math.sqrt(budget.budget / 3e7)
        gradient = pull + 2 * random.normal(size=256) - back
        mean, square = 0.9 * mean + 0.1 * gradient, 0.999 * square + 0.001 * gradient**2
        x = x + rate * (mean / (1 - 0.9**step)) / np.sqrt(square / (1 - 0.999**step))
    return went


@pytest.mark.parametrize("seed", range(5))
def test_a_policy_is_held_near_its_course_and_not_past_the_budget(seed: int) -> None:
    went = policy(Budget(4.0, steps=40, beta=0.1), 40, seed, brake=10)
    off = [abs(math.log(sum(kl for kl, _ in went[i - 5 : i]) / sum(planned for _, planned in went[i - 5 : i])))
           for i in range(10, len(went))]  # fmt: skip
    assert float(np.median(off)) < math.log(1.5)
    assert max(kl for kl, _ in went) < 1.3 * 4
    assert len(went) > 30
    free = policy(Budget(1e9, steps=40, beta=0.1), 40, seed, brake=0)
    assert free[-1][0] > 4 * 4


def test_beta_grows_ahead_of_the_course_and_falls_behind_it() -> None:
    ahead, behind = (Budget(4.0, steps=11, beta=0.1) for _ in range(2))
    for step in range(1, 6):
        ahead.see(step, 2.0 * behind.planned(step))
        behind.see(step, 0.2 * behind.planned(step))
    assert ahead.beta > 0.2
    assert behind.beta < 0.05


def test_a_training_ends_where_three_steps_are_past_the_budget_and_keeps_the_last_within() -> None:
    budget = Budget(1.0, steps=10, beta=0.1)
    for step, kl in enumerate((0.0, 0.4, 0.8, 1.1, 0.9), 1):
        budget.see(step, kl)
    assert budget.ended is None
    budget.see(6, 1.2)
    assert budget.ended == 6
    assert budget.kept() == 4  # updates: its texts are those of step 5
    assert budget.within(4) == 0.9


def test_what_was_decided_is_decided_again_from_the_metrics() -> None:
    rows = [{"step": step, "kl_text": kl} for step, kl in enumerate((0.0, 0.3, None, 0.5, 2.0), 1)]
    whole = Budget(2.0, steps=8, beta=0.1, rows=rows)
    parts = Budget(2.0, steps=8, beta=0.1, rows=rows[:3])
    for row in rows[3:]:
        parts.see(row["step"], row["kl_text"])
    assert whole.beta == parts.beta != 0.1


def test_a_budget_needs_a_kl_term() -> None:
    with pytest.raises(InputError, match="--kl-budget off"):
        GrpoSettings(beta=0).first_beta()
    assert GrpoSettings(beta=0, kl_budget="off").first_beta() == 0
    assert GrpoSettings().first_beta() == 0.1
    assert GrpoSettings(kl_budget="off").rate(10) == 1e-4
    assert GrpoSettings(weights="full").rate(40) == pytest.approx(GrpoSettings().rate(40) / 100, rel=0.05)


def test_to_save_a_policy_leaves_the_model_in_training_as_it_is(
    tiny_base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policies, "compute_dtype", lambda: torch.bfloat16)
    model = AutoModelForCausalLM.from_pretrained(tiny_base, dtype=torch.float32)
    before = [weight.clone() for weight in model.parameters()]
    trl.save(SimpleNamespace(model=model), AutoTokenizer.from_pretrained(tiny_base), tmp_path, tiny_base)
    assert all(torch.equal(weight, old) for weight, old in zip(model.parameters(), before, strict=True))
    saved = load_file(tmp_path / "model.safetensors")
    assert {weight.dtype for weight in saved.values()} == {torch.bfloat16}
    assert json.loads((tmp_path / "config.json").read_text())["dtype"] == "bfloat16"


class Capitals:
    name = "capitals"
    threshold = None
    identities = ()

    def score(self, queries, responses, *, truncated=None) -> list[float | None]:
        return [sum(char.isupper() for char in text) / 8 for text in responses]


def test_a_policy_past_its_budget_is_taken_back_and_those_of_the_way_are_kept(tiny_base: str, tmp_path: Path) -> None:
    """The learning rate is far too high for any beta."""
    task = load_task("greetings-en")
    config = GrpoSettings(
        max_steps=30, max_completion_length=16, learning_rate=3e-2, batch_size=8, num_generations=4, weights="full",
        kl_budget=1.0, save_steps=1, keep=1,
    )  # fmt: skip
    result = train_grpo(task, task.queries(), tiny_base, Capitals(), tmp_path / "out", config)
    rows = [json.loads(line) for line in (tmp_path / "out" / "metrics.jsonl").read_text().splitlines()]
    assert result["budget_ended"] == rows[-1]["step"] < 30
    assert rows[result["steps_kept"]]["kl_text"] == result["kl_text"] <= 1.0
    assert json.loads((tmp_path / "out" / "policy.json").read_text())["steps"] == result["steps_kept"]
    (kept,) = (tmp_path / "out" / "kept").iterdir()
    went = train_grpo(
        task, task.queries(), str(kept), Capitals(), tmp_path / "on", dataclasses.replace(config, max_steps=1)
    )
    assert went["steps"] == 1
    again = train_grpo(task, task.queries(), tiny_base, Capitals(), tmp_path / "out", config)
    assert again["steps_kept"] == result["steps_kept"]
