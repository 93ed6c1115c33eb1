"""Best-of-n, DPO on one's own pairs and GRPO on one task, with as many texts put to the reward: who gains what?

    python benchmarks/bench_rivals.py --model local/smollm2-135m --sft-epochs 2 --out runs/bench-rivals

All start from the same policy: the model after SFT on the task's chosen texts. The reward is a linear reward model that
is trained here on the task's pairs. ``--calls`` texts may be put to it: GRPO takes steps of ``--prompts`` times
``-n`` texts, the rivals ``--rounds`` rounds of ``-n`` texts for each of as many queries; what they do not put to it
because it met the length limit shows in the column of calls. GRPO has its default budget of KL, so it may end before.

Queries are split by query: on the first part all train, for the rest each policy writes ``--texts`` texts with the same
seeds, and the same reward scores them. The gain against the start has a paired interval, clustered by query (bootstrap,
95 %). distinct-2 is over all of a policy's texts. The reward was trained on labels of other queries and is the very one
that is trained against: this says who climbs it fastest and what it costs in variety, not who writes better.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import plain_trl
from plain_trl import Rule

from inkfire.files.formats import split_by_query
from inkfire.files.jsonl import write_json, write_jsonl
from inkfire.models.policy import Policy
from inkfire.records import Candidate, Query
from inkfire.rewards.linear import LinearReward
from inkfire.stats.intervals import bootstrap_mean_difference
from inkfire.stats.texts import distinct
from inkfire.stats.twins import NgramPairModel
from inkfire.tasks.task import Task, load_task
from inkfire.training.bon import train_bon
from inkfire.training.dpo import train_dpo_rounds
from inkfire.training.grpo import train_grpo
from inkfire.training.settings import BonSettings, DpoSettings, GrpoSettings, SftSettings
from inkfire.training.sft import train_sft

SEED = 0
Train = Callable[[Rule, Path], dict[str, Any]]


@dataclass(frozen=True)
class Trained:
    """A policy, and what it took."""

    folder: Path
    calls: int
    seconds: float


def rivals(options: argparse.Namespace, task: Task, queries: Sequence[Query], start: Path) -> dict[str, Train]:
    """Method → its training within ``--calls`` texts put to the reward."""
    in_round = options.calls // options.rounds // options.n  # queries
    steps = options.calls // (options.prompts * options.n)
    length = options.max_completion_length
    rounds: dict[str, Any] = {
        "rounds": options.rounds, "n": options.n, "limit": in_round, "max_completion_length": length, "samples": 0,
    }  # fmt: skip
    bon = BonSettings(**rounds, learning_rate=options.rate, test_fraction=0.0)
    dpo = DpoSettings(**rounds, learning_rate=options.rate)
    grpo = GrpoSettings(
        max_steps=steps, batch_size=options.prompts, num_generations=options.n, max_completion_length=length
    )
    return {
        "bon": lambda reward, out: train_bon(task, queries, start, reward, out, bon, seed=SEED),
        "dpo": lambda reward, out: train_dpo_rounds(task, queries, start, reward, out, dpo, seed=SEED),
        "grpo": lambda reward, out: train_grpo(task, queries, start, reward, out, grpo, seed=SEED),
    }


def trained(name: str, train: Train, score: plain_trl.Score, out: Path) -> Trained:
    reward, began = Rule(score), time.perf_counter()
    result = train(reward, out)
    seconds = time.perf_counter() - began
    print(f"{name}: {reward.texts} texts scored, {seconds:.0f} s, {'; '.join(result['warnings']) or 'no warnings'}")
    return Trained(out, reward.texts, seconds)


def written(folder: Path, queries: Sequence[Query], options: argparse.Namespace) -> list[Candidate]:
    """``--texts`` texts a query."""
    texts = Policy.load(folder).generate(
        [query.query for query in queries], n=options.texts, max_new_tokens=options.max_completion_length, seed=SEED
    )
    return [Candidate(query.query, text) for query, of in zip(queries, texts, strict=True) for text in of]


def row(name: str, of: Trained, texts: Sequence[Candidate], scores: dict[str, list[float]]) -> str:
    """A line of the table."""
    own, start = scores[name], scores["start"]
    gain = ""
    if name != "start":
        found = bootstrap_mean_difference(own, start, [text.query for text in texts], SEED)
        gain = f"{found.estimate:+.2f} [{found.low:.2f}, {found.high:.2f}]"
    responses = [text.response for text in texts]
    characters = statistics.mean(map(len, responses))
    return (
        f"| {name} | {statistics.mean(own):.2f} | {gain} | {distinct(responses, 2):.2f} | {characters:.0f} | "
        f"{of.calls} | {of.seconds:.0f} |"
    )


def compare(options: argparse.Namespace, folder: Path) -> list[str]:
    """The table."""
    task, base = load_task(options.task), plain_trl.base_of(options.model, folder)
    learnt, held_out = split_by_query(task.queries(), fraction=options.held_out, seed=SEED)
    unseen = {query.query for query in held_out}
    pairs = [pair for pair in task.pairs() if pair.query not in unseen]
    rm = LinearReward(NgramPairModel().fit(pairs), "rm")
    good = [Candidate(pair.query, pair.chosen) for pair in pairs]
    began, start = time.perf_counter(), folder / "start"
    train_sft(task, good, base, start, SftSettings(epochs=options.sft_epochs, samples=0), seed=SEED)
    policies = {"start": Trained(start, 0, time.perf_counter() - began)}
    for name, train in rivals(options, task, learnt, start).items():
        if name in options.methods.split(","):
            policies[name] = trained(name, train, rm.score, folder / name)
    texts = {name: written(of.folder, held_out, options) for name, of in policies.items()}
    scores = {
        name: [float(score) for score in rm.model.score([row.query for row in rows], [row.response for row in rows])]
        for name, rows in texts.items()
    }
    for name, rows in texts.items():
        kept = ({"query": text.query, "response": text.response} for text in rows)
        write_jsonl(folder / f"{name}.jsonl", kept)
    write_json(folder / "scores.json", scores)
    return [
        f"{len(held_out)} held-out queries, {options.texts} texts each; {len(learnt)} queries to train on",
        "| policy | reward | gain on the start [95 %] | distinct-2 | characters | reward calls | seconds |",
        "|---|---|---|---|---|---|---|",
        *(row(name, of, texts[name], scores) for name, of in policies.items()),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default="tiny", help="tiny (random weights), or a model's name")
    parser.add_argument("--task", default="greetings-en")
    parser.add_argument("--methods", default="bon,dpo,grpo")
    parser.add_argument("--calls", type=int, default=256, help="texts put to the reward, at most")
    parser.add_argument("-n", type=int, default=8, help="texts a query, in a group and in a round")
    parser.add_argument("--prompts", type=int, default=2, help="of GRPO, a step")
    parser.add_argument("--rounds", type=int, default=2, help="of the rivals")
    parser.add_argument("--rate", type=float, default=1e-4, help="learning rate of the rivals")
    parser.add_argument("--max-completion-length", type=int, default=80)
    parser.add_argument("--sft-epochs", type=float, default=2.0)
    parser.add_argument("--held-out", type=float, default=0.2, help="share of the queries")
    parser.add_argument("--texts", type=int, default=4, help="a held-out query")
    parser.add_argument("--out", type=Path, help="a folder for policies and texts")
    options = parser.parse_args()
    print(f"{options.model} on {plain_trl.device()}")
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.out or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        print("\n".join(compare(options, folder)))


if __name__ == "__main__":
    main()
