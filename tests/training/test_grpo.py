"""GRPO on a tiny model: missing rewards are masked, a kill costs nothing, the start stays as it is."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from inkfire.errors import BudgetExceeded, DataError, InputError
from inkfire.files.jsonl import sha256_file
from inkfire.models.card import Card
from inkfire.models.policy import Policy
from inkfire.records import Candidate, Identity, Query
from inkfire.tasks.task import Task, load_task
from inkfire.training import grpo
from inkfire.training.grpo import GrpoSettings, train_grpo
from inkfire.training.sft import SftSettings, train_sft

pytestmark = pytest.mark.slow

CONFIG = GrpoSettings(max_steps=4, max_completion_length=8, learning_rate=1e-2, num_generations=4, batch_size=2)


class Scores:
    """A reward by rule; ``stop_at`` raises in that call, as a spend limit does."""

    name = "rule"
    threshold = None
    identities = (Identity("check", "rule", "a1"),)

    def __init__(self, rule, stop_at: int | None = None):
        self.rule, self.stop_at, self.calls = rule, stop_at, 0

    def score(self, queries: Sequence[str], responses: Sequence[str], *, truncated=None) -> list[float | None]:
        self.calls += 1
        if self.calls == self.stop_at:
            raise BudgetExceeded("the spend limit was reached")
        return [self.rule(i, text) for i, text in enumerate(responses)]


def capitals(_: int, text: str) -> float:
    return sum(char.isupper() for char in text) / 8


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "adapter_model.safetensors")


def run(base: str, task_folder: Path, out: Path, rule=capitals, config: GrpoSettings = CONFIG, stop_at=None):
    task = load_task(task_folder)
    return train_grpo(task, task.queries(), base, Scores(rule, stop_at), out, config)


def rows(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def sft_of(task: Task, base: str, out: Path) -> Path:
    """A policy to start from: an adapter that the base model is some way from."""
    good = [Candidate(row.query, row.response) for row in task.labelled() if row.label == 1]
    train_sft(task, good, base, out, SftSettings(learning_rate=5e-2, save_steps=1))
    return out


def test_missing_rewards_are_masked_and_not_zero(tiny_base: str, tiny_task: Path, tmp_path: Path, monkeypatch) -> None:
    """The scored completions of a group get the advantages that they would have among themselves."""
    seen = []
    compute_loss = grpo.GRPOTrainer._compute_loss

    def spy(self, model, inputs):
        seen.append(inputs["advantages"].clone())
        return compute_loss(self, model, inputs)

    monkeypatch.setattr(grpo.GRPOTrainer, "_compute_loss", spy)
    rewards = [None, 1.0, 2.0, 3.0, float("nan"), None, None, 5.0]
    config = dataclasses.replace(CONFIG, max_steps=1)
    result = run(tiny_base, tiny_task, tmp_path / "out", lambda i, _: rewards[i], config)
    first = [0.0, -1.0, 0.0, 1.0]  # zero would give the missing one the lowest advantage, and shift the others
    second = [0.0, 0.0, 0.0, 0.0]  # a single reward has nothing to be compared with
    assert sorted(seen[0].tolist()) == pytest.approx(sorted(first + second), abs=1e-3)
    assert result["missing"] == 4
    assert [row["reward"] for row in rows(tmp_path / "out" / "completions.jsonl")] == [
        None,
        1,
        2,
        3,
        None,
        None,
        None,
        5,
    ]
    assert rows(tmp_path / "out" / "metrics.jsonl")[0]["reward"] == pytest.approx(2.75)


def test_a_missing_reward_moves_no_weight(tiny_base: str, tiny_task: Path, tmp_path: Path) -> None:
    """Whatever the unscored completion is, the gradient is that of the scored ones: here there are none."""
    config = dataclasses.replace(CONFIG, max_steps=2)
    run(tiny_base, tiny_task, tmp_path / "none", lambda i, _: None if i % 4 else 1.0, config)
    assert all(bool((w == 0).all()) for name, w in weights(tmp_path / "none").items() if "lora_B" in name)
    run(tiny_base, tiny_task, tmp_path / "zero", lambda i, _: 0.0 if i % 4 else 1.0, config)
    assert any(bool((w != 0).any()) for name, w in weights(tmp_path / "zero").items() if "lora_B" in name)


def test_stopped_and_resumed_ends_with_the_same_weights(tiny_base: str, tiny_task: Path, tmp_path: Path) -> None:
    whole = run(tiny_base, tiny_task, tmp_path / "whole")
    with pytest.raises(BudgetExceeded):
        run(tiny_base, tiny_task, tmp_path / "parts", stop_at=3)
    assert not (tmp_path / "parts" / "policy.json").exists()
    with (tmp_path / "parts" / "metrics.jsonl").open("a") as file:
        file.write('{"step": 3, "loss"')  # what a kill in the middle of a line leaves
    resumed = run(tiny_base, tiny_task, tmp_path / "parts")
    assert resumed == whole
    for name in ("metrics.jsonl", "completions.jsonl", "policy.json"):
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    ours, theirs = weights(tmp_path / "parts"), weights(tmp_path / "whole")
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert not (tmp_path / "parts" / "checkpoints").exists()


def test_a_finished_training_is_not_run_again(tiny_base: str, tiny_task: Path, tmp_path: Path) -> None:
    config = dataclasses.replace(CONFIG, max_steps=1)
    first = run(tiny_base, tiny_task, tmp_path / "out", config=config)
    assert run(tiny_base, tiny_task, tmp_path / "out", config=config, stop_at=1) == first


def test_continues_a_copy_of_the_sft_adapter_which_is_also_the_reference(
    tiny_base: str, tiny_task: Path, tmp_path: Path
) -> None:
    task = load_task(tiny_task)
    sft = sft_of(task, tiny_base, tmp_path / "sft")
    before = sha256_file(sft)
    config = dataclasses.replace(CONFIG, beta=0.05, max_steps=3)
    reward = Scores(capitals)
    train_grpo(task, task.queries(), sft, reward, tmp_path / "rl", config)
    assert sha256_file(sft) == before
    kl = [row["kl"] for row in rows(tmp_path / "rl" / "metrics.jsonl")]
    # The first step is taken at the reference itself; the base model would be a step of SFT away.
    assert kl[0] == pytest.approx(0, abs=1e-4)
    assert kl[-1] > 1e-4
    card = Card.read(tmp_path / "rl")
    assert (card.base, card.parent, card.trained, card.reward) == (tiny_base, "sft", "grpo", "rule")
    assert card.own_rewards == reward.identities
    assert sorted(p.name for p in (tmp_path / "rl").iterdir() if p.is_dir()) == []
    start, end = weights(sft), weights(tmp_path / "rl")
    assert start.keys() == end.keys()
    assert any(not torch.equal(start[name], end[name]) for name in start)

    parts = tmp_path / "parts"
    with pytest.raises(BudgetExceeded):
        train_grpo(task, task.queries(), sft, Scores(capitals, stop_at=3), parts, config)
    train_grpo(task, task.queries(), sft, Scores(capitals), parts, config)
    assert (parts / "metrics.jsonl").read_bytes() == (tmp_path / "rl" / "metrics.jsonl").read_bytes()
    assert all(torch.equal(tensor, weights(parts)[name]) for name, tensor in end.items())


@pytest.mark.filterwarnings("ignore::FutureWarning:transformers")  # from a call of peft's
def test_what_was_trained_can_be_loaded_and_used(tiny_base: str, tiny_task: Path, tmp_path: Path) -> None:
    from peft import AutoPeftModelForCausalLM

    run(tiny_base, tiny_task, tmp_path / "out", config=dataclasses.replace(CONFIG, max_steps=1))
    assert AutoPeftModelForCausalLM.from_pretrained(tmp_path / "out") is not None
    policy = Policy.load(tmp_path / "out")
    assert policy.name == "out"
    assert policy.card.base == tiny_base
    assert policy.messages("a wish") == load_task(tiny_task).messages("a wish")


def test_fewer_queries_than_a_step_takes_are_repeated(tiny_base: str, tiny_task: Path, tmp_path: Path) -> None:
    task = load_task(tiny_task)
    config = dataclasses.replace(CONFIG, max_steps=1, batch_size=3, micro_batch_size=4)
    result = train_grpo(task, task.queries()[:1], tiny_base, Scores(capitals), tmp_path / "out", config)
    assert result["completions"] == 12


def test_no_queries(tiny_base: str, tiny_task: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no queries"):
        train_grpo(load_task(tiny_task), [], tiny_base, Scores(capitals), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_step_of_two_updates(tiny_base: str, tiny_task: Path, tmp_path: Path) -> None:
    """A mini-batch of half the prompts: one generation, two optimizer steps; a kill between them is no loss."""
    config = dataclasses.replace(CONFIG, max_steps=2, batch_size=4, mini_batch_size=2)
    result = run(tiny_base, tiny_task, tmp_path / "whole", config=config)
    metrics = rows(tmp_path / "whole" / "metrics.jsonl")
    assert [row["step"] for row in metrics] == [1, 2, 3, 4]
    assert ["reward" in row for row in metrics] == [True, False, True, False]
    assert result["completions"] == 2 * 4 * 4
    with pytest.raises(BudgetExceeded):
        run(tiny_base, tiny_task, tmp_path / "parts", config=config, stop_at=2)
    run(tiny_base, tiny_task, tmp_path / "parts", config=config)
    ours, theirs = weights(tmp_path / "parts"), weights(tmp_path / "whole")
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_unequal_parts_of_a_batch_are_refused() -> None:
    with pytest.raises(InputError, match=r"batch_size = 4 is no multiple of mini_batch_size = 3"):
        GrpoSettings(batch_size=4, mini_batch_size=3).updates()


@pytest.mark.parametrize(
    ("given", "steps"),
    [({}, 10), ({"max_steps": 3}, 3), ({"epochs": 2.0}, 13), ({"epochs": 2.0, "max_steps": 5}, 5)],
)
def test_how_long(given: dict, steps: int) -> None:
    """25 prompts, four a step: seven steps a pass and a bit."""
    assert GrpoSettings(batch_size=4, **given).steps(25) == steps


def test_all_weights_from_an_adapter_which_is_also_the_reference(
    tiny_base: str, tiny_task: Path, tmp_path: Path
) -> None:
    task = load_task(tiny_task)
    sft = sft_of(task, tiny_base, tmp_path / "sft")
    config = dataclasses.replace(CONFIG, beta=0.05, max_steps=3, weights="full", learning_rate=1e-3)
    out = tmp_path / "rl"
    train_grpo(task, task.queries(), sft, Scores(capitals), out, config)
    kl = [row["kl"] for row in rows(out / "metrics.jsonl")]
    assert kl[0] == pytest.approx(0, abs=1e-4)
    assert kl[-1] > 1e-4
    assert not (out / "adapter_config.json").exists()
    assert (out / "model.safetensors").is_file()
    assert not any(path.is_dir() for path in out.iterdir())
    card = Card.read(out)
    assert (card.base, card.parent) == (tiny_base, "sft")
    policy = Policy.load(out)
    assert policy.generate(["a wish"], temperature=0, max_new_tokens=8) is not None
    with pytest.raises(BudgetExceeded):
        train_grpo(task, task.queries(), sft, Scores(capitals, stop_at=3), tmp_path / "parts", config)
    train_grpo(task, task.queries(), sft, Scores(capitals), tmp_path / "parts", config)
    assert (tmp_path / "parts" / "metrics.jsonl").read_bytes() == (out / "metrics.jsonl").read_bytes()


def test_long_prompts_are_left_out_and_counted(tiny_base: str, tiny_task: Path, tmp_path: Path) -> None:
    task = load_task(tiny_task)
    queries = [Query("1", "a wish"), Query("2", "a wish " * 40)]
    lengths = [len(ids) for ids in Policy.load(tiny_base, task=task).encode([query.query for query in queries])]
    config = dataclasses.replace(CONFIG, max_steps=1, batch_size=1, max_prompt_length=lengths[0])
    result = train_grpo(task, queries, tiny_base, Scores(capitals), tmp_path / "out", config)
    assert result["prompts_too_long"] == 1
    assert {row["query"] for row in rows(tmp_path / "out" / "completions.jsonl")} == {"a wish"}
    short = dataclasses.replace(config, max_prompt_length=lengths[0] - 1)
    with pytest.raises(DataError, match=f"max_prompt_length = {lengths[0] - 1}: the shortest has {lengths[0]}"):
        train_grpo(task, queries, tiny_base, Scores(capitals), tmp_path / "none", short)
