"""What has no reward is in no part of the loss: seen on the tensors that it is computed of."""

from __future__ import annotations

import dataclasses
import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from test_grpo import CONFIG, Scores, capitals, rows, run

from inkfire.errors import BudgetExceeded, EndpointDown, InputError
from inkfire.files.rollouts import read_rollouts
from inkfire.tasks.task import load_task
from inkfire.training import grpo_trainer
from inkfire.training.grpo import train_grpo

pytestmark = pytest.mark.slow

ONE = dataclasses.replace(CONFIG, max_steps=1)
Spy = list[dict[str, Any]]


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> Spy:
    """What each generation hands to the loss, in the order of the texts."""
    seen: Spy = []
    generate = grpo_trainer.GRPOTrainer._generate_and_score_completions

    def spy(self: Any, inputs: Any) -> dict[str, Any]:
        batch = generate(self, inputs)
        seen.append({name: value.clone() for name, value in batch.items()})
        return batch

    monkeypatch.setattr(grpo_trainer.GRPOTrainer, "_generate_and_score_completions", spy)
    return seen


def test_a_judge_that_fails_on_some_calls(tiny_base: str, tiny_task: Path, tmp_path: Path, given: Spy) -> None:
    """30 % of them: the survivors have the advantages of a group of survivors, the others no token in the loss."""
    lots = random.Random(0)
    rewards = [[None if lots.random() < 0.3 else lots.random() for _ in range(16)] for _ in range(3)]
    reward = Scores(lambda i, _: rewards[reward.calls - 1][i])
    task = load_task(tiny_task)
    config = dataclasses.replace(CONFIG, max_steps=3, batch_size=4)
    train_grpo(task, task.queries(), tiny_base, reward, tmp_path / "out", config)
    assert any(None in scores for scores in rewards)
    for batch, scores in zip(given, rewards, strict=True):
        groups = [scores[i : i + 4] for i in range(0, 16, 4)]
        for i, group in enumerate(groups):
            alone = torch.tensor([score for score in group if score is not None])
            wanted = iter(((alone - alone.mean()) / (alone.std() + 1e-4)).tolist())
            for j, score in enumerate(group):
                row = 4 * i + j
                assert bool(batch["completion_mask"][row].any()) is (score is not None)
                assert batch["advantages"][row].item() == pytest.approx(0 if score is None else next(wanted), abs=1e-4)
        assert batch["num_items_in_batch"] == batch["completion_mask"].sum()


@pytest.mark.parametrize("scale", ["group", "batch", "none"])
def test_one_survivor_is_left_out(tiny_base: str, tiny_task: Path, tmp_path: Path, given: Spy, scale: Any) -> None:
    """And out of the spread of the batch."""
    rewards = [None, 1.0, 2.0, 3.0, None, None, None, 50.0]
    run(tiny_base, tiny_task, tmp_path / "out", lambda i, _: rewards[i], dataclasses.replace(ONE, scale_rewards=scale))
    (batch,) = given
    assert batch["completion_mask"].any(dim=1).tolist() == [False, True, True, True, False, False, False, False]
    assert batch["advantages"].tolist() == pytest.approx([0, -1, 0, 1, 0, 0, 0, 0], abs=1e-3)


@pytest.mark.parametrize(
    ("loss_type", "micro", "bonus"),
    [("grpo", 8, 0), ("grpo", 1, 0.5), ("dapo", 2, 0), ("dapo", 2, 0.5), ("dr_grpo", 2, 0.5)],
)
def test_the_gradient_is_that_of_the_survivors(
    tiny_base: str,
    tiny_task: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    loss_type: Any,
    micro: int,
    bonus: float,
) -> None:
    """Four texts that have no reward, beside four that have one, change neither loss nor gradient nor entropy."""
    monkeypatch.setattr(grpo_trainer.GRPOTrainer, "bonus", bonus)

    def fixed(model: Any, tokenizer: Any, prompts: Any, settings: Any) -> list[list[int]]:
        return [[60 + 3 * i, 61 + i, 62, *([63] * (i % 3)), 0] for i in range(len(prompts))]

    monkeypatch.setattr("inkfire.training.begin.completed", fixed)
    task = load_task(tiny_task)
    rewards = [0.0, 1.0, 3.0, 7.0, None, None, None, None]
    config = dataclasses.replace(ONE, loss_type=loss_type, weights="full", learning_rate=1e-3, beta=0.3)
    found = {}
    for name, batch_size in (("alone", 1), ("beside", 2)):
        settings = dataclasses.replace(config, batch_size=batch_size, micro_batch_size=min(micro, 4 * batch_size))
        queries = [task.queries()[0]] * batch_size
        train_grpo(task, queries, tiny_base, Scores(lambda i, _: rewards[i]), tmp_path / name, settings)
        (found[name],) = rows(tmp_path / name / "metrics.jsonl")
    for key in ("loss", "grad_norm", "entropy"):
        assert found["beside"][key] == pytest.approx(found["alone"][key], rel=1e-4, abs=1e-7), key
    assert found["alone"]["grad_norm"] > 0


def test_truncated_texts_are_masked_where_that_is_asked_for(
    tiny_base: str, tiny_task: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: Spy
) -> None:
    """Out of the loss; their rewards stay in the mean of the group."""
    monkeypatch.setattr("inkfire.training.begin.completed", lambda *_: [[60, 61, i % 2] for i in range(8)])
    for mask in (False, True):
        run(
            tiny_base,
            tiny_task,
            tmp_path / str(mask),
            lambda i, _: i % 4,
            dataclasses.replace(ONE, mask_truncated=mask),
        )
    whole, masked = given
    assert whole["completion_mask"].all()
    assert masked["completion_mask"].any(dim=1).tolist() == [True, False] * 4
    assert torch.equal(whole["advantages"], masked["advantages"])
    assert masked["num_items_in_batch"] == 4 * 3
    assert rows(tmp_path / "True" / "metrics.jsonl")[0]["truncated"] == 0.5


def test_hardly_any_reward_pauses_and_goes_on(tiny_base: str, tiny_task: Path, tmp_path: Path) -> None:
    """Below the floor in the mean of three steps; what was kept goes on under a lower one."""
    shares = [1.0, 0.75, 0.5, 0.125, 0.75, 0.75]
    whole = Scores(lambda i, _: None if i >= 8 * shares[whole.calls - 1] else i / 8)
    config = dataclasses.replace(CONFIG, max_steps=5)
    task, out = load_task(tiny_task), tmp_path / "out"
    with pytest.raises(EndpointDown, match=r"only 46% of the texts .* \(min_coverage = 0\.5\)") as error:
        train_grpo(task, task.queries(), tiny_base, whole, out, config)
    assert error.value.exit_code == 4
    assert [row["coverage"] for row in rows(out / "metrics.jsonl")] == shares[:3]
    again = Scores(lambda i, _: None if i >= 8 * shares[again.calls + 2] else i / 8)
    result = train_grpo(task, task.queries(), tiny_base, again, out, dataclasses.replace(config, min_coverage=0.1))
    assert (result["steps"], again.calls) == (5, 2)


def test_the_adapter_that_is_asked_for(tiny_base: str, tiny_task: Path, tmp_path: Path) -> None:
    lora = {"lora_rank": 4, "lora_targets": ("q_proj", "v_proj")}
    first, second = tmp_path / "first", tmp_path / "second"
    run(tiny_base, tiny_task, first, config=dataclasses.replace(ONE, lora_alpha=4, **lora))
    config = json.loads((first / "adapter_config.json").read_text())
    assert (config["r"], config["lora_alpha"], config["target_modules"]) == (4, 4, ["q_proj", "v_proj"])
    run(str(first), tiny_task, second, config=dataclasses.replace(ONE, **lora))  # the same one: it is trained on
    assert json.loads((second / "adapter_config.json").read_text())["r"] == 4
    with pytest.raises(InputError, match="has an adapter with lora_rank = 4, which is trained on: leave lora_rank out"):
        run(str(first), tiny_task, tmp_path / "third", config=dataclasses.replace(ONE, lora_rank=8))


def test_flat_groups_are_drawn_again(tiny_base: str, tiny_task: Path, tmp_path: Path, given: Spy) -> None:
    """For another prompt, up to so many times; a kill costs nothing, and the monitors see the first draw."""
    task = load_task(tiny_task)
    queries = task.queries()
    assert len(queries) >= 3
    config = dataclasses.replace(CONFIG, max_steps=3, redraw=2)

    def second_is_flat(i: int, text: str) -> float:
        return 0.0 if i >= 4 else capitals(i, text) + i  # only the first group of a draw has unequal rewards

    def train(out: Path, stop_at: int | None = None) -> Any:
        return train_grpo(task, queries, tiny_base, Scores(second_is_flat, stop_at), out, config)

    whole = train(tmp_path / "whole")
    written = rows(tmp_path / "whole" / "completions.jsonl")
    assert len(written) == whole["completions"] == 3 * (8 + 4)
    for step in (1, 2, 3):
        first = [row["query"] for row in written if row["step"] == step and not row.get("draw")]
        again = [row["query"] for row in written if row["step"] == step and row.get("draw") == 1]
        assert len({*again}) == 1
        assert not {*again} & {*first}
    metrics = rows(tmp_path / "whole" / "metrics.jsonl")
    assert [row["redrawn"] for row in metrics] == [1, 1, 1]
    assert {row["zero_variance"] for row in metrics} == {0.5}
    assert all(bool((batch["advantages"] != 0).all()) for batch in given)
    assert len(read_rollouts(tmp_path / "whole")) == 3 * 8

    with pytest.raises(BudgetExceeded):
        train(tmp_path / "parts", stop_at=4)
    assert train(tmp_path / "parts") == whole
    for name in ("metrics.jsonl", "completions.jsonl"):
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
