"""SFT, a reward model and GRPO on one card beside plain TRL scripts, in one run: seconds, by phase for GRPO.

    python benchmarks/bench_gpu.py --model local/qwen2.5-coder-0.5b --task greetings-zh

``plain TRL`` has TRL's own defaults of memory: gradient checkpointing always, and ``--plain-micro`` examples at once.
``plain TRL, no checkpointing`` is what its user gets who knows that the card has room. Learning rates, LoRA, batches,
lengths, the KL term and checkpoints are the same in all; reward: a random number. The arms take turns: first in one
order, then in the other. Loading is left out, and of GRPO the first step. write: completions; score: the reward; the
rest of a step is the update. Peak memory is the card's.

Without a GPU it runs too, to see that it does: then nothing was measured on one. ``--model tiny`` needs no weights.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import plain_trl
import torch
from bench_grpo_step import random_numbers
from plain_trl import Rule

from inkfire.files.formats import read_texts
from inkfire.llm.progress import no_bars
from inkfire.records import Candidate, Preference, Query
from inkfire.tasks.task import load_task
from inkfire.training.grpo import train_grpo
from inkfire.training.reward_trainer import train_transformer
from inkfire.training.settings import GrpoSettings, RewardModelSettings, SftSettings
from inkfire.training.sft import train_sft

Arm = Callable[[Path], dict[str, float]]
OURS, PLAIN, ROOMY = "ours", "plain TRL", "plain TRL, no checkpointing"


def timed(train: Callable[[], object]) -> dict[str, float]:
    """The seconds of a training over data, loading left out."""
    with plain_trl.stopwatch() as watch:
        train()
    return {"seconds": watch["train"]}


def of_sft(options: argparse.Namespace, task: Any, base: str, texts: Sequence[Candidate]) -> Mapping[str, Arm]:
    settings = SftSettings(
        epochs=1, batch_size=options.sft_batch, learning_rate=1e-5, samples=0, test_fraction=0.0, save_steps=1000
    )

    def plain(micro: int, checkpointing: bool) -> Arm:
        return lambda out: timed(
            lambda: plain_trl.sft(task, texts, base, out, settings, micro=micro, checkpointing=checkpointing)
        )

    return {
        OURS: lambda out: timed(lambda: train_sft(task, texts, base, out, settings)),
        PLAIN: plain(min(options.plain_micro, options.sft_batch), True),
        ROOMY: plain(options.sft_batch, False),
    }


def of_rm(options: argparse.Namespace, task: Any, base: str, pairs: Sequence[Preference]) -> Mapping[str, Arm]:
    settings = RewardModelSettings(
        kind="transformer", base=base, epochs=1, batch_size=options.rm_batch, learning_rate=1e-5, save_steps=1000
    )

    def plain(micro: int, checkpointing: bool) -> Arm:
        return lambda out: timed(
            lambda: plain_trl.reward_model(task, pairs, base, out, settings, micro=micro, checkpointing=checkpointing)
        )

    def ours(out: Path) -> dict[str, float]:
        return timed(lambda: train_transformer(pairs, [], out, settings, task, None, seed=0, bars=no_bars))

    return {
        OURS: ours,
        PLAIN: plain(min(options.plain_micro, options.rm_batch), True),
        ROOMY: plain(options.rm_batch, False),
    }


def of_grpo(options: argparse.Namespace, task: Any, base: str, queries: Sequence[Query]) -> Mapping[str, Arm]:
    settings = GrpoSettings(
        max_steps=options.steps + 1, batch_size=options.prompts, num_generations=options.num_generations,
        max_completion_length=options.max_completion_length, learning_rate=1e-6, kl_budget="off", beta=0.1,
        save_steps=1000,
    )  # fmt: skip

    def timed_steps(train: Callable[[Rule], object]) -> dict[str, float]:
        reward = Rule(random_numbers())
        with plain_trl.stopwatch() as watch:
            train(reward)
        steps = len(reward.began)
        step, write, score = statistics.median(reward.steps()), watch["write"] / steps, watch["score"] / steps
        return {"seconds a step": step, "write": write, "score": score, "update": step - write - score}

    def plain(micro: int, checkpointing: bool) -> Arm:
        return lambda out: timed_steps(
            lambda reward: plain_trl.grpo(
                task, queries, base, reward, out, settings, micro=micro, checkpointing=checkpointing
            )
        )

    return {
        OURS: lambda out: timed_steps(lambda reward: train_grpo(task, queries, base, reward, out, settings)),
        PLAIN: plain(min(options.plain_micro, settings.completions()), True),
        ROOMY: plain(settings.completions(), False),
    }


def measured(name: str, arms: Mapping[str, Arm], rounds: int, folder: Path) -> dict[str, dict[str, float]]:
    """Arm → number → median over the rounds."""
    found: dict[str, dict[str, list[float]]] = {arm: defaultdict(list) for arm in arms}
    for number in range(rounds):
        for arm in list(arms) if number % 2 == 0 else reversed(list(arms)):
            gc.collect()
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
                torch.cuda.reset_peak_memory_stats()
            numbers = arms[arm](folder / f"{name}-{arm}-{number}")
            if torch.cuda.is_available():
                numbers["peak GB"] = torch.cuda.max_memory_allocated() / 1e9
            for key, value in numbers.items():
                found[arm][key].append(value)
            said = ", ".join(f"{key} {value:.2f}" for key, value in numbers.items())
            print(f"{name}, {arm}: {said}", flush=True)
    return {arm: {key: statistics.median(values) for key, values in of.items()} for arm, of in found.items()}


def sized(rows: Sequence[Any], n: int) -> list[Any]:
    """``n`` rows, the same ones again where there are fewer."""
    return [rows[i % len(rows)] for i in range(n)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default="tiny", help="tiny (random weights), or a model's name")
    parser.add_argument("--task", default="greetings-en")
    parser.add_argument("--data", type=Path, help="texts of SFT; the task's chosen ones if none")
    parser.add_argument("--what", default="sft,rm,grpo")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--texts", type=int, default=4000)
    parser.add_argument("--pairs", type=int, default=5047)
    parser.add_argument("--sft-batch", type=int, default=32)
    parser.add_argument("--rm-batch", type=int, default=32)
    parser.add_argument("--steps", type=int, default=6, help="of GRPO; the first comes on top")
    parser.add_argument("--prompts", type=int, default=16, help="a step")
    parser.add_argument("--num-generations", type=int, default=8)
    parser.add_argument("--max-completion-length", type=int, default=96)
    parser.add_argument("--plain-micro", type=int, default=8, help="TRL's per_device_train_batch_size")
    parser.add_argument("--out", type=Path, help="a file for the numbers (JSON)")
    options = parser.parse_args()
    task = load_task(options.task)
    texts = list(read_texts((options.data,))) if options.data else [Candidate(p.query, p.chosen) for p in task.pairs()]
    print(f"{options.model} on {plain_trl.device()}")
    results = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        base = plain_trl.base_of(options.model, folder)
        made = {
            "sft": lambda: of_sft(options, task, base, sized(texts, options.texts)),
            "rm": lambda: of_rm(options, task, base, sized(task.pairs(), options.pairs)),
            "grpo": lambda: of_grpo(options, task, base, task.queries()),
        }
        for name in options.what.split(","):
            results[name] = measured(name, made[name](), options.rounds, folder)
    for name, arms in results.items():
        first = next(iter(arms[OURS]))
        for arm in (PLAIN, ROOMY):
            print(f"{name}: ours takes {arms[OURS][first] / arms[arm][first]:.2f} of the {first} of {arm}")
    if not torch.cuda.is_available():
        print("no GPU here: nothing was measured on one")
    if options.out is not None:
        options.out.write_text(json.dumps({"device": plain_trl.device(), **results}, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
