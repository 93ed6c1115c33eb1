"""``inkfire export RECIPE --to verl|openrlhf``: one GRPO training of a recipe for an engine that runs elsewhere.

out/train.parquet, val.parquet  prompt (messages), data_source, reward_model.ground_truth (the query), extra_info, label
out/launch.sh                   the engine's command line with the recipe's numbers
out/README.md                   what to start before, what the engine does not do, how the policy comes back

The queries are those that ``inkfire run RECIPE`` with the same seed trains on, so that what it holds out for the
comparison stays unseen. The reward is asked over HTTP (serve/), or by verl in its workers.
"""

from __future__ import annotations

import dataclasses
import math
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from inkfire.errors import InputError
from inkfire.files.jsonl import whole_folder
from inkfire.models.card import Template, hub_id
from inkfire.models.open import check_name
from inkfire.records import Query
from inkfire.rewards.load import parts_of, renamed
from inkfire.rewards.shaped import Within
from inkfire.runs.model_card import README, write_readme
from inkfire.runs.recipe import PolicySpec, Recipe, RewardTable, load_recipe
from inkfire.runs.serve import RewardServer
from inkfire.runs.splits import make_splits
from inkfire.settings import to_json
from inkfire.tasks.task import load_task
from inkfire.training.settings import GrpoSettings

Engine = Literal["verl", "openrlhf"]

PORT = RewardServer().port
GPUS = 8
_GROUP = 300  # seconds from a group's first text to its last: long ones are still being written
_LONGEST_PROMPT = 1024  # tokens, where the recipe does not say
_NEVER = -1
_LOSSES = {"grpo": "seq-mean-token-mean", "dr_grpo": "seq-mean-token-sum-norm"}  # verl's names; else token-mean
_NO_SUCH_THING = {
    "kl_budget": "a KL budget: beta stays as it is; look at the KL, and stop by hand",
    "entropy_target": "a target for the entropy",
    "redraw": "drawing groups again whose rewards are equal",
    "mask_truncated": "leaving texts that met the limit out of the loss",
}


@dataclass(frozen=True)
class Job:
    """What an engine is to do: a recipe's policy, on these queries."""

    recipe: Recipe
    policy: PolicySpec
    settings: GrpoSettings
    train: Sequence[Query]
    validation: Sequence[Query]
    seed: int

    @property
    def steps(self) -> int:
        return self.settings.steps(len(self.train))

    @property
    def reward(self) -> RewardTable:
        return self.recipe.reward_of(self.policy)

    @property
    def grouped(self) -> bool:
        """Whether the reward looks at the texts of a query together."""
        table, parts = self.reward, parts_of(self.reward.score)
        mixed = len(parts) > 1 and table.mix == "standardise"
        ranks = any(re.match("(rank|tournament):", part) for _, part in parts or [(1.0, table.score)])
        return bool(table.checks or table.diversity or table.length == "rescale" or mixed or ranks)


def export_training(name: str, to: Engine, out: Path, *, policy: str | None = None, seed: int = 0) -> dict[str, Any]:
    """Write the folder, which appears whole or not at all.

    Args:
        name: a recipe's name or file.
        policy: which of its GRPO trainings; the only one if none.

    Returns:
        out, to, policy, reward, train and validation (queries), steps, left_out (what the engine does not do), files.

    Raises:
        InputError: no such policy, or a reward that the engine cannot ask.
        RunFolderError: ``out`` is there and not empty, or cannot be written.
    """
    job = _job(load_recipe(name), policy, seed)
    refuse(job, to)
    task = load_task(job.recipe.task).limited(job.recipe.max_tokens)
    keys = (verl if to == "verl" else openrlhf)(job)
    left_out = not_there(job, to)
    with whole_folder(out) as folder:
        template, source = Template.of(task), f"inkfire/{task.name}"
        write_prompts(folder / "train.parquet", template, source, _enough(job.train, job.settings.batch_size), "train")
        looked_at = job.validation or job.train[:16]  # both engines want a file, also where nothing is looked at
        write_prompts(folder / "val.parquet", template, source, looked_at, "val")
        (folder / "launch.sh").write_text(_script(job, to, keys), encoding="utf-8")
        (folder / "launch.sh").chmod(0o755)
        about = {"job": job, "to": to, "left_out": left_out, "serve": serve_command(job), "model": _model(job)}
        write_readme(folder, "engine.md.jinja", **about, run=_run(job), score=_score(job), recipe=name)
    return {
        "out": str(out),
        "to": to,
        "policy": job.policy.name,
        "reward": job.policy.reward,
        "train": len(job.train),
        "validation": len(job.validation),
        "steps": job.steps,
        "left_out": left_out,
        "files": sorted([README, "launch.sh", "train.parquet", "val.parquet"]),
    }


def _job(recipe: Recipe, name: str | None, seed: int) -> Job:
    named = [policy for policy in recipe.policies if policy.method == "grpo"]
    found = [policy for policy in named if name in (None, policy.name)]
    if len(found) != 1:
        names = ", ".join(policy.name for policy in named) or "none"
        raise InputError(f"{recipe.name}: name one of its GRPO trainings with --policy: {names}")
    check_name(recipe.models.writer, weights=True)
    task = load_task(recipe.task).limited(recipe.max_tokens)
    splits = make_splits(recipe, task, seed)
    length = recipe.grpo.max_completion_length or task.max_tokens
    return Job(
        recipe,
        found[0],
        dataclasses.replace(recipe.grpo, max_completion_length=length),
        splits.train,
        splits.validation,
        seed,
    )


def refuse(job: Job, to: Engine) -> None:
    """Raises InputError where the reward cannot be asked from that engine."""
    table = job.reward
    if table.starts:
        raise InputError(
            f"the reward {table.name!r} is measured by what the start policy writes (fluency, relevance, novelty, "
            f"fluent), and {to} has it write nothing before: leave these out, or train with inkfire"
        )
    if to == "openrlhf" and job.grouped:
        raise InputError(
            f"the reward {table.name!r} looks at the texts of a query together (checks, diversity, length, a sum), and "
            "OpenRLHF asks for one text at a time: use --to verl, or a reward without these"
        )


def not_there(job: Job, to: Engine) -> list[str]:
    """What of the recipe's settings the engine does not do, in words."""
    usual, said = GrpoSettings(kl_budget="off"), []
    for name, words in _NO_SUCH_THING.items():
        if getattr(job.settings, name) != getattr(usual, name):
            said.append(words)
    if job.settings.scale_rewards == "batch":
        said.append("dividing advantages by the deviation of the batch: it divides by the group's")
    if to == "openrlhf" and job.settings.loss_type == "dr_grpo":
        said.append("dr_grpo's mean over a fixed length: it takes the mean over all tokens")
    if job.policy.canary:
        said.append(f"canaries ({', '.join(job.policy.canary)}): inkfire monitor reads its texts afterwards")
    return said


# ---- the engines' own words -----------------------------------------------------------------------------------------


def verl(job: Job) -> dict[str, Any]:
    """verl 0.9's keys; ``$NAME`` are the script's variables."""
    how, queries = job.settings, _enough(job.train, job.settings.batch_size)
    actor, rollout = "actor_rollout_ref.actor", "actor_rollout_ref.rollout"
    given = "reward.custom_reward_function"
    keys: dict[str, Any] = {
        "algorithm.adv_estimator": "grpo",
        "algorithm.norm_adv_by_std_in_grpo": how.scale_rewards != "none",
        "algorithm.use_kl_in_reward": False,
        "data.train_files": "$HERE/train.parquet",
        "data.val_files": "$HERE/val.parquet",
        "data.train_batch_size": how.batch_size,
        "data.max_prompt_length": how.max_prompt_length or _LONGEST_PROMPT,
        "data.max_response_length": how.max_completion_length,
        "data.seed": job.seed,
        "actor_rollout_ref.model.path": "$MODEL",
        f"{actor}.optim.lr": how.rate(job.steps * how.whole_step()),
        f"{actor}.ppo_mini_batch_size": how.mini_batch_size or how.batch_size,
        f"{actor}.ppo_epochs": how.num_iterations,
        f"{actor}.use_dynamic_bsz": True,
        f"{actor}.use_kl_loss": how.first_beta() > 0,
        f"{actor}.kl_loss_coef": how.first_beta(),
        f"{actor}.kl_loss_type": "low_var_kl",  # k3
        f"{actor}.clip_ratio": how.epsilon,
        f"{actor}.clip_ratio_low": how.epsilon,
        f"{actor}.clip_ratio_high": how.epsilon if how.epsilon_high is None else how.epsilon_high,
        f"{actor}.loss_agg_mode": _LOSSES.get(how.loss_type, "token-mean"),
        f"{actor}.entropy_coeff": 0,
        f"{rollout}.name": "vllm",
        f"{rollout}.n": how.num_generations,
        f"{rollout}.temperature": how.temperature,
        f"{rollout}.top_p": 1,
        f"{rollout}.tensor_model_parallel_size": 1,
        f"{given}.path": "pkg://inkfire.serve.verl",
        f"{given}.name": "compute_score",
        f"+{given}.reward_kwargs.reward": "$REWARD",
        f"+{given}.reward_kwargs.group": how.num_generations if job.grouped else 1,
        f"+{given}.reward_kwargs.seconds": 120 + (_GROUP if job.grouped else 0),
        f"+{given}.reward_kwargs.retries": 3,
        "trainer.total_epochs": math.ceil(job.steps / (len(queries) // how.batch_size)),
        "trainer.total_training_steps": job.steps,
        "trainer.save_freq": how.save_steps,
        "trainer.max_actor_ckpt_to_keep": max(1, how.keep),
        "trainer.test_freq": how.validation_steps if job.validation else _NEVER,
        "trainer.val_before_train": bool(job.validation),
        "trainer.logger": ["console"],
        "trainer.project_name": "inkfire",
        "trainer.experiment_name": job.policy.name,
        "trainer.default_local_dir": "$HERE/checkpoints",
        "trainer.rollout_data_dir": "$HERE/rollouts",
        "trainer.nnodes": 1,
        "trainer.n_gpus_per_node": "$GPUS",
    }
    if how.weights == "lora":
        model = "actor_rollout_ref.model"
        keys |= {f"{model}.lora_rank": how.lora_rank, f"{model}.lora_alpha": how.lora_alpha}
        keys |= {f"{model}.target_modules": list(how.lora_targets) or "all-linear"}
        keys |= {f"{rollout}.load_format": "safetensors", f"{rollout}.layered_summon": True}
    return keys


def openrlhf(job: Job) -> dict[str, Any]:
    """OpenRLHF 0.11's options; True is one without a value."""
    how = job.settings
    high = how.epsilon if how.epsilon_high is None else how.epsilon_high
    prompt = how.max_prompt_length or _LONGEST_PROMPT
    keys: dict[str, Any] = {
        "actor.model_name_or_path": "$MODEL",
        "reward.remote_url": "$REWARD",
        "data.prompt_dataset": "$HERE/train.parquet",
        "data.input_key": "prompt",
        "data.label_key": "label",
        "data.apply_chat_template": True,
        "data.max_len": prompt + (how.max_completion_length or 1),
        "rollout.max_new_tokens": how.max_completion_length,
        "rollout.batch_size": how.batch_size,
        "rollout.n_samples_per_prompt": how.num_generations,
        "rollout.temperature": how.temperature,
        "rollout.top_p": 1.0,
        "train.batch_size": how.completions(),
        "train.max_epochs": how.num_iterations,
        "train.num_episodes": math.ceil(job.steps * how.batch_size / len(_enough(job.train, how.batch_size))),
        "train.seed": job.seed,
        "actor.adam.lr": how.rate(job.steps * how.whole_step()),
        "actor.lr_scheduler": "constant",
        "actor.eps_clip_low_high": [how.epsilon, high],
        "actor.loss_agg_mode": "seq-mean-token-mean" if how.loss_type == "grpo" else "token-mean",
        "actor.gradient_checkpointing_enable": True,
        "algo.advantage.estimator": "dr_grpo" if how.scale_rewards == "none" else "group_norm",
        "algo.kl.init_coef": how.first_beta(),
        "ckpt.path": "$HERE/checkpoints",
        "ckpt.output_dir": "$HERE/trained",
        "ckpt.save_steps": how.save_steps,
        "ckpt.max_num": max(1, how.keep),
        "ckpt.save_hf": True,
        "actor.num_nodes": 1,
        "actor.num_gpus_per_node": "$GPUS",
        "ref.num_nodes": 1,
        "ref.num_gpus_per_node": "$GPUS",
        "vllm.num_engines": "$GPUS",
        "vllm.gpu_memory_utilization": 0.5,
        "vllm.enable_sleep": True,
        "ds.enable_sleep": True,
        "ds.zero_stage": 3,
        "train.colocate_all": True,
    }
    if how.first_beta() > 0:
        keys |= {"algo.kl.use_loss": True, "algo.kl.estimator": "k3"}
    if how.weights == "lora":
        keys |= {"ds.lora.rank": how.lora_rank, "ds.lora.alpha": how.lora_alpha}
        keys |= {"ds.lora.target_modules": list(how.lora_targets) or "all-linear"}
    return keys


def _script(job: Job, to: Engine, keys: dict[str, Any]) -> str:
    url = f"http://127.0.0.1:{PORT}"
    if to == "openrlhf":  # it sends no headers
        url = f"http://inkfire:${{INKFIRE_TOKEN:-}}@127.0.0.1:{PORT}/openrlhf"
    if to == "verl":
        command, lines = "verl.trainer.main_ppo", [_word(f"{key}={_hydra(value)}") for key, value in keys.items()]
    else:
        command, lines = "openrlhf.cli.train_ppo_ray", [_option(key, value) for key, value in keys.items()]
    head = [
        "#!/usr/bin/env bash",
        f"# {job.policy.name} of the recipe {job.recipe.name}, {job.steps} steps; README.md says what to start before.",
        "set -euo pipefail",
        'HERE=$(cd "$(dirname "$0")" && pwd)',
        f"MODEL=${{MODEL:-{_model(job)}}}",
        f"REWARD=${{REWARD:-{url}}}",
        f"GPUS=${{GPUS:-{GPUS}}}",
        f"exec python3 -m {command} \\",
    ]
    return "\n".join([*head, *(f"    {line} \\" for line in lines), '    "$@"']) + "\n"


def _hydra(value: Any) -> str:
    if isinstance(value, list):
        return f"[{','.join(map(str, value))}]"
    return str(value)


def _option(key: str, value: Any) -> str:
    values = [] if value is True else value if isinstance(value, list) else [value]
    return " ".join([f"--{key}", *(_word(str(one)) for one in values)])


def _word(text: str) -> str:
    """A word of the script, in which its variables are replaced."""
    return f'"{text}"' if "$" in text else shlex.quote(text)


# ---- data, and what to type -----------------------------------------------------------------------------------------


def write_prompts(path: Path, template: Template, source: str, queries: Sequence[Query], split: str) -> None:
    """Queries as verl's parquet; ``label`` is what OpenRLHF sends with a text."""
    rows = [
        {
            "data_source": source,
            "prompt": [dict(message) for message in template.messages(query.query)],
            "reward_model": {"style": "rule", "ground_truth": query.query},
            "extra_info": {"split": split, "index": index, "id": query.id},
            "label": query.query,
        }
        for index, query in enumerate(queries)
    ]
    pq.write_table(pa.Table.from_pylist(rows), path)


def _enough(queries: Sequence[Query], batch: int) -> list[Query]:
    """Repeated where there are fewer than a step takes."""
    return [*queries] * math.ceil(batch / len(queries))


def _run(job: Job) -> str:
    return f"runs/{job.recipe.name}"


def _score(job: Job) -> str:
    """The reward as a command names it, once the recipe's earlier stages are there."""
    own = {"rm": f"{_run(job)}/reward_model", "judge": f"{_run(job)}/judge"}
    return renamed(job.reward.score, lambda part: own.get(part, part))


def serve_command(job: Job) -> str:
    """What to type to have the reward served, with all that shapes it."""
    table, words = job.reward, ["inkfire", "serve", "reward", _score(job), "--port", str(PORT)]
    if job.recipe.judge.value == "label":
        words += ["--value", "label"]
    words += ["--force"] if table.force else []
    words += ["--group-timeout", str(_GROUP)] if job.grouped else []
    words += [word for check in table.checks for word in ("--check", str(check))]
    for name, usual in to_json(Within()).items():
        if name != "checks" and (value := getattr(table, name)) != usual:
            words += [f"--{name}", str(value)]
    return shlex.join(words)


def _model(job: Job) -> str:
    if job.policy.start == "base":
        return hub_id(job.recipe.models.writer)
    return f"{_run(job)}/{job.policy.start}-merged"
