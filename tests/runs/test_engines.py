"""A recipe's training for verl and OpenRLHF: the data, the numbers, and what cannot be handed over."""

from __future__ import annotations

import dataclasses
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from inkfire.errors import InputError, RunFolderError
from inkfire.runs.engines import _job, export_training, openrlhf, serve_command, verl
from inkfire.runs.recipe import load_recipe
from inkfire.runs.splits import make_splits
from inkfire.tasks.task import load_task

RECIPE = """\
name = "mine"
task = "{task}"
[models]
writer = "Qwen/Qwen2.5-0.5B-Instruct"
agents = "no-such-endpoint"
[data]
queries = "more.jsonl"
[judge]
fit_fraction = 0.5
[grpo]
{grpo}
[[rewards]]
name = "taste"
score = "0.7*judge + 0.3*rm"
checks = ["length:20..90", "finished"]
length = "rescale"
[[policies]]
name = "rm-rl"
start = "base"
reward = "rm"
[[policies]]
name = "taste-rl"
reward = "taste"
canary = ["rm"]
[evaluate]
queries = 4
"""
LORA = "max_steps = 6\nbatch_size = 4\nsave_steps = 3"


@pytest.fixture
def recipe(tiny_task: Path, tmp_path: Path) -> Any:
    """Writes a recipe with a [grpo] table, and says where."""
    rows = "".join(f'{{"query": "a wish for number {i}"}}\n' for i in range(24))
    (tmp_path / "more.jsonl").write_text(rows)
    _label_more(tiny_task)

    def write(grpo: str = LORA) -> str:
        path = tmp_path / "mine.toml"
        path.write_text(RECIPE.format(task=tiny_task, grpo=grpo))
        return str(path)

    return write


def _label_more(task: Path) -> None:
    with (task / "labelled.jsonl").open("a") as file:
        for i in range(30):
            for label in (0, 1):
                file.write(f'{{"query": "ask {i}", "response": "text {i} {label}", "label": {label}}}\n')


def script(out: Path) -> dict[str, str]:
    """What launch.sh hands to the engine."""
    seen = out / "python3"
    seen.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    seen.chmod(0o755)
    said = subprocess.run(
        [str(out / "launch.sh"), "last=1"], env={"PATH": f"{out}:/usr/bin:/bin"}, capture_output=True, text=True
    )
    assert said.returncode == 0, said.stderr
    return dict(line.partition("=")[::2] for line in said.stdout.splitlines())


def test_the_parquet_is_verls_and_has_no_query_that_is_held_out(recipe: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    found = export_training(recipe(), "verl", out, policy="rm-rl", seed=3)
    rows = pq.read_table(out / "train.parquet").to_pylist()
    whole = load_recipe(recipe())
    splits = make_splits(whole, load_task(whole.task), 3)
    asked = [row["reward_model"]["ground_truth"] for row in rows]
    assert asked == [query.query for query in splits.train]
    assert not {*asked} & {query.query for query in splits.held_out}
    assert rows[0]["prompt"] == [
        {"role": "system", "content": "You write wishes."}, {"role": "user", "content": asked[0]}
    ]  # fmt: skip
    assert rows[5]["data_source"] == "inkfire/tiny"
    assert rows[5]["extra_info"] == {"split": "train", "index": 5, "id": splits.train[5].id}
    assert found["steps"] == 6
    assert {path.name for path in out.iterdir()} == {*found["files"]}


def test_the_script_has_the_recipes_numbers(recipe: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    export_training(recipe(), "verl", out, policy="rm-rl")
    said = script(out)
    assert "verl.trainer.main_ppo" in said
    assert said["data.train_files"] == f"{out}/train.parquet"
    assert said["data.train_batch_size"] == "4"
    assert said["actor_rollout_ref.model.path"] == "Qwen/Qwen2.5-0.5B-Instruct"
    assert said["actor_rollout_ref.model.lora_rank"] == "16"
    assert said["actor_rollout_ref.rollout.n"] == "4"
    assert said["reward.custom_reward_function.path"] == "pkg://inkfire.serve.verl"
    assert said["+reward.custom_reward_function.reward_kwargs.reward"] == "http://127.0.0.1:8766"
    assert said["+reward.custom_reward_function.reward_kwargs.group"] == "1"
    assert said["trainer.total_training_steps"] == "6"
    assert said["trainer.save_freq"] == "3"
    assert said["last"] == "1"


def test_the_papers_numbers_are_those_of_its_preset(recipe: Any) -> None:
    keys = verl(_job(load_recipe(recipe('preset = "paper"')), "rm-rl", 0))
    actor = "actor_rollout_ref.actor"
    assert keys["data.train_batch_size"] == 32
    assert keys[f"{actor}.ppo_mini_batch_size"] == 16
    assert keys[f"{actor}.optim.lr"] == 3e-7
    assert (keys[f"{actor}.use_kl_loss"], keys[f"{actor}.kl_loss_coef"]) == (True, 0.001)
    assert keys[f"{actor}.kl_loss_type"] == "low_var_kl"
    assert keys["trainer.total_training_steps"] == 4  # five times 20 queries, 32 a step
    assert "actor_rollout_ref.model.lora_rank" not in keys


def test_a_reward_of_the_group_is_served_whole_and_is_nothing_for_openrlhf(recipe: Any, tmp_path: Path) -> None:
    job = _job(load_recipe(recipe()), "taste-rl", 0)
    assert verl(job)["+reward.custom_reward_function.reward_kwargs.group"] == 4
    words = shlex.split(serve_command(job))
    assert words[:4] == ["inkfire", "serve", "reward", "0.7*runs/mine/judge + 0.3*runs/mine/reward_model"]
    assert words[6:8] == ["--group-timeout", "300"]
    assert words[8:] == ["--check", "length:20..90", "--check", "finished", "--length", "rescale"]
    with pytest.raises(InputError, match="one text at a time"):
        export_training(recipe(), "openrlhf", tmp_path / "out", policy="taste-rl")
    assert not (tmp_path / "out").exists()
    export_training(recipe(), "verl", tmp_path / "out", policy="taste-rl")
    readme = (tmp_path / "out" / "README.md").read_text()
    assert "inkfire export runs/mine/sft --to merged --out runs/mine/sft-merged" in readme
    assert "- a KL budget" in readme
    assert "canaries (rm)" in readme


def test_openrlhf_has_the_same_numbers(recipe: Any, tmp_path: Path) -> None:
    export_training(recipe(), "openrlhf", tmp_path / "out", policy="rm-rl")
    said = (tmp_path / "out" / "launch.sh").read_text()
    assert "openrlhf.cli.train_ppo_ray" in said
    assert '--reward.remote_url "$REWARD"' in said
    assert "http://inkfire:${INKFIRE_TOKEN:-}@127.0.0.1:8766/openrlhf" in said
    job = _job(load_recipe(recipe()), "rm-rl", 0)
    keys = openrlhf(job)
    assert (keys["rollout.batch_size"], keys["rollout.n_samples_per_prompt"], keys["train.batch_size"]) == (4, 4, 16)
    assert keys["algo.kl.estimator"] == "k3"
    none = dataclasses.replace(job, settings=dataclasses.replace(job.settings, kl_budget="off", beta=0.0))
    assert "algo.kl.use_loss" not in openrlhf(none)


def test_what_cannot_be_handed_over_is_said_and_leaves_nothing(recipe: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(InputError, match="--policy: rm-rl, taste-rl"):
        export_training(recipe(), "verl", out)
    with pytest.raises(InputError, match="start policy"):
        export_training("demo-zh", "verl", out, policy="rm-rl")
    assert not out.exists()
    out.mkdir()
    (out / "mine.txt").touch()
    with pytest.raises(RunFolderError, match="not empty"):
        export_training(recipe(), "verl", out, policy="rm-rl")
