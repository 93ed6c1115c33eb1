"""What a training step costs beside plain TRL with the same settings, in the same run; and what a judge adds to it.

    python benchmarks/bench_grpo_step.py --model local/smollm2-135m                  # GRPO, a random number as reward
    python benchmarks/bench_grpo_step.py --model local/smollm2-135m --what sft
    python benchmarks/bench_grpo_step.py --model local/smollm2-135m --what judge

grpo: seconds from one scoring to the next, so that writing, update, log and checkpoint all count; the first step of a
training is left out. The two take turns, each first as often as the other. The aim is a ratio of medians of at most
1.05. The reward has no model, and nothing is drawn again; the seconds of canaries are those of ``train --profile``.

sft: seconds of the whole ``train`` of both, loading and what is sampled at the end left out. Ours sorts texts by
length, which plain TRL by default does not.

judge: an endpoint (the tests' stub) that takes ``--latency`` seconds a call is the judge of ``--batch-size`` times
``--num-generations`` completions, against a function that waits as long for each, and against no waiting at all. Aim:
the judge adds at most 1.3 s where the function adds 16.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import plain_trl
from endpoint import endpoint
from plain_trl import Rule, Score

from inkfire.judge.base import at_once
from inkfire.judge.logprob import LogprobJudge
from inkfire.judge.principles import Principles
from inkfire.models.open import open_model
from inkfire.records import Candidate
from inkfire.rewards.judge import JudgeReward
from inkfire.tasks.task import Task, load_task
from inkfire.training.fit import equal_part
from inkfire.training.grpo import train_grpo
from inkfire.training.settings import GrpoSettings, SftSettings
from inkfire.training.sft import train_sft


def random_numbers() -> Score:
    draw = random.Random(0)
    return lambda _, responses: [draw.random() for _ in responses]


def settings_of(options: argparse.Namespace) -> GrpoSettings:
    """Every number of the paper's loss, none of ours alone: no budget, a constant KL term."""
    return GrpoSettings(
        max_steps=options.steps + 1,  # the first is left out
        batch_size=options.batch_size,
        num_generations=options.num_generations,
        max_completion_length=options.max_completion_length,
        micro_batch_size=options.micro_batch_size,
        learning_rate=1e-5,
        kl_budget="off",
        beta=options.beta,
        save_steps=options.save_steps,
    )


def grpo(options: argparse.Namespace, task: Task, base: str, folder: Path) -> float:
    """The ratio of the medians of a step."""
    settings, queries = settings_of(options), task.queries()[: 8 * options.batch_size]
    micro = equal_part(settings.completions(), options.micro_batch_size or settings.completions())
    steps: dict[str, list[float]] = {"ours": [], "plain TRL": []}
    length: dict[str, list[float]] = {"ours": [], "plain TRL": []}
    for number in range(options.rounds):
        order = ["ours", "plain TRL"] if number % 2 == 0 else ["plain TRL", "ours"]
        for name in order:
            reward, out = Rule(random_numbers()), folder / f"{name}-{number}"
            if name == "ours":
                train_grpo(task, queries, base, reward, out, settings, seed=number)
            else:
                plain_trl.grpo(task, queries, base, reward, out, settings, micro=micro)
            steps[name] += reward.steps()
            length[name].append(reward.characters / reward.texts)
            print(f"  {name}: {' '.join(f'{s:.2f}' for s in reward.steps())}", flush=True)
    for name, seconds in steps.items():
        mean = statistics.mean(length[name])
        print(f"{name}: {statistics.median(seconds):.2f} s a step (median of {len(seconds)}), {mean:.0f} characters")
    return statistics.median(steps["ours"]) / statistics.median(steps["plain TRL"])


def sft(options: argparse.Namespace, task: Task, base: str, folder: Path) -> float:
    """The ratio of the sums of training seconds."""
    texts = [Candidate(pair.query, pair.chosen) for pair in task.pairs()]
    texts = (texts * (1 + options.texts // len(texts)))[: options.texts]
    settings = SftSettings(
        epochs=1, batch_size=options.sft_batch, micro_batch_size=options.micro_batch_size or 8, learning_rate=1e-5,
        samples=0, test_fraction=0.0,
    )  # fmt: skip
    micro = equal_part(settings.batch_size, settings.micro_batch_size or 8)
    seconds: dict[str, list[float]] = {"ours": [], "plain TRL": []}
    for number in range(options.rounds):
        order = ["ours", "plain TRL"] if number % 2 == 0 else ["plain TRL", "ours"]
        for name in order:
            out = folder / f"{name}-{number}"
            with plain_trl.stopwatch() as watch:
                if name == "ours":
                    train_sft(task, texts, base, out, settings, seed=number)
                else:
                    plain_trl.sft(task, texts, base, out, settings, micro=micro)
            seconds[name].append(watch["train"])
            print(f"  {name}: {watch['train']:.1f} s for {len(texts)} texts", flush=True)
    return sum(seconds["ours"]) / sum(seconds["plain TRL"])


def judge(options: argparse.Namespace, task: Task, base: str, folder: Path) -> float:
    """Seconds that the judge adds to a step."""
    settings, queries = settings_of(options), task.queries()[: 8 * options.batch_size]

    def waiting(_: Sequence[str], responses: Sequence[str]) -> list[float | None]:
        time.sleep(options.latency * len(responses))
        return [float(len(text)) for text in responses]

    with endpoint(folder / "requests.jsonl", latency=options.latency, mark="e") as served:
        llm = open_model("stub", ledger=None, base_url=served.url)
        spoken = LogprobJudge(task, llm, Principles.of(task.principles))
        judged = JudgeReward(spoken, concurrency=at_once("stub", "logprob"))
        arms: dict[str, Score] = {
            "no waiting": lambda _, responses: [float(len(text)) for text in responses],
            "the judge": judged.score,
            "one by one": waiting,
        }
        added = {name: added_by(name, arm, settings, (task, queries, base, folder)) for name, arm in arms.items()}
        judged.close()
    print(f"one by one adds {added['one by one']:.1f} s a step, the judge {added['the judge']:.2f} s")
    return added["the judge"]


def added_by(name: str, arm: Score, settings: GrpoSettings, where: tuple) -> float:  # type: ignore[type-arg]
    """Median seconds of scoring a step; while it scores nothing else of the step goes on."""
    task, queries, base, folder = where
    reward = Rule(arm)
    train_grpo(task, queries, base, reward, folder / name, settings)
    step, scored = statistics.median(reward.steps()), statistics.median(reward.took[1:])
    print(f"  {name}: {step:.2f} s a step, of which {scored:.2f} s scoring", flush=True)
    return scored


WHAT: dict[str, Callable[[argparse.Namespace, Task, str, Path], float]] = {"grpo": grpo, "sft": sft, "judge": judge}
SAID = {
    "grpo": "a GRPO step: {:.3f} times plain TRL's (aim: at most 1.05)",
    "sft": "SFT: {:.3f} times plain TRL's seconds (aim: at most 1.05)",
    "judge": "the judge adds {:.2f} s a step (aim: at most 1.3 with 16 completions of 1 s)",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--what", choices=WHAT, default="grpo")
    parser.add_argument("--model", default="tiny", help="tiny (random weights), or a model's name")
    parser.add_argument("--task", default="greetings-en")
    parser.add_argument("--steps", type=int, default=6, help="a training; its first comes on top")
    parser.add_argument("--rounds", type=int, default=2, help="trainings of each")
    parser.add_argument("--batch-size", type=int, default=2, help="prompts a step")
    parser.add_argument("--num-generations", type=int, default=8)
    parser.add_argument("--max-completion-length", type=int, default=64)
    parser.add_argument("--micro-batch-size", type=int)
    parser.add_argument("--beta", type=float, default=0.1)
    parser.add_argument("--save-steps", type=int, default=1)
    parser.add_argument("--texts", type=int, default=160, help="of SFT")
    parser.add_argument("--sft-batch", type=int, default=8)
    parser.add_argument("--latency", type=float, default=1.0, help="seconds a call of the judge")
    options = parser.parse_args()
    print(f"{options.what} of {options.model} on {plain_trl.device()}")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        base = plain_trl.base_of(options.model, folder)
        print(SAID[options.what].format(WHAT[options.what](options, load_task(options.task), base, folder)))


if __name__ == "__main__":
    main()
