"""What a writer becomes under a reward: before and after GRPO, by signals that were no part of what trained it.

    python benchmarks/bench_gaming.py --sft runs/sft --rm runs/rm --held-rm runs/rm-held --prompts train.jsonl \\
        --held-out held.jsonl --out runs/gaming --runs alone recipe hand bon

``alone`` is the reward model ``--rm`` by itself, with no budget for KL; ``recipe`` is the reward of the demo recipes
(``--held-rm``, a reward model without its length part and with damaged losers, behind checks, with fluency, relevance,
diversity, novelty and length control, under the default budget); ``hand`` is the reward by which a writer of 0.5B first
grew better to blind readers: z(min(base log-probability a token, -2.6)) + 0.4 z(reward model) within the group, a text
that fails a check 0.7 below the worst that passes. All train on the same prompts, 16 completions a step. ``bon`` is SFT
on the best of eight by the reward of ``recipe``, from as many texts: the rival that cannot go far.

Each policy then writes for ``--queries`` held-out queries, twice. The numbers are those of the start and of every run,
with the difference to the start and its interval, clustered by query. A run that is done is not done again, so each may
have its own ``--steps``; texts.jsonl has all texts without their writers' names in an order of its own, for a reader to
rate blind.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from inkfire.files.formats import read_queries, read_texts
from inkfire.files.jsonl import read_jsonl, write_json, write_jsonl
from inkfire.models.card import Card
from inkfire.models.likelihood import Likelihood
from inkfire.records import Candidate, Identity
from inkfire.rewards import group
from inkfire.rewards.checks import Checks
from inkfire.rewards.identity import check_identity
from inkfire.rewards.load import load_reward
from inkfire.rewards.reading import Band, others
from inkfire.rewards.writing import finished
from inkfire.stats.intervals import bootstrap_mean_difference
from inkfire.stats.texts import distinct, units
from inkfire.tasks.task import load_task

CHECKS = ("length:20..90", "finished", "language:zh", "no-repeat")
HAND = ("length:25..90", "finished", "language:zh", "no-repeat")
RECIPE = [
    *(word for check in CHECKS for word in ("--check", check)),
    *("--fluency", "2.5", "--relevance", "1", "--diversity", "0.3", "--novelty", "0.5", "--length", "rescale"),
    *("--start-samples", "32"),
]
RUNS = ("alone", "recipe", "hand", "bon")
BATCH = ["--batch-size", "2", "--num-generations", "8", "--micro-batch-size", "8", "--max-completion-length", "80"]
_LEVEL = -2.6


class HandMade:
    """The first reward that made a writer better; see above."""

    threshold = None
    name = "hand-made"

    def __init__(self, reader: Likelihood, rm: Any):
        self.reader, self.rm, self.checks = reader, rm, Checks.parse(HAND)

    @property
    def identities(self) -> tuple[Identity, ...]:
        return (*self.rm.identities, check_identity(self.name))

    def score(
        self, queries: Sequence[str], responses: Sequence[str], *, truncated: Sequence[bool | None] | None = None
    ) -> list[float | None]:
        failed = [bool(names) for names in self.checks.failures(queries, responses, truncated)]
        read = self.reader.per_token(queries, responses)
        learnt = self.rm.score(queries, responses)
        out: list[float | None] = []
        for start in range(0, len(queries), 8):
            rows = range(start, start + 8)
            likely = [_flat(read[i]) if not failed[i] else None for i in rows]
            level = group.standardised(likely)
            taste = group.standardised([None if failed[i] else learnt[i] for i in rows])
            mixed = group.added([(1.0, level), (0.4, taste)])
            worst = min((value for value in mixed if value is not None), default=0.0)
            out += [worst - 0.7 if failed[i] else value for i, value in zip(rows, mixed, strict=True)]
        return out

    def close(self) -> None:
        self.reader.close()
        self.rm.close()


def _flat(value: float | None) -> float | None:
    return None if value is None else min(value, _LEVEL)


def inkfire(*words: object) -> None:
    subprocess.run([sys.executable, "-m", "inkfire", *map(str, words)], check=True)


def trained(name: str, options: argparse.Namespace) -> Path:
    out: Path = options.out / name
    if (out / "policy.json").is_file():
        return out
    reward = options.rm if name == "alone" else options.held_rm
    about = ["--task", options.task, "--policy", options.sft, "--prompts", options.prompts, "--reward", reward]
    if name == "hand":
        subprocess.run([sys.executable, __file__, *sys.argv[1:], "--train-hand"], check=True)
    elif name == "bon":
        texts = ("--limit", 2 * options.steps, "--n", 8, "--max-completion-length", 80)
        inkfire("train", "bon", *about, *texts, *RECIPE, "--force", "--out", out)
    else:
        how = ("--kl-budget", "off") if name == "alone" else (*RECIPE, "--kl-budget", options.kl_budget)
        inkfire("train", "grpo", *about, *BATCH, *how, "--max-steps", options.steps, "--force", "--out", out)
    return out


def train_hand(options: argparse.Namespace) -> None:
    from inkfire.training.grpo import train_grpo
    from inkfire.training.settings import GrpoSettings

    task = load_task(options.task)
    reward = HandMade(Likelihood.load(Card.read(options.sft).base, task), load_reward(str(options.rm)))
    settings = GrpoSettings(
        max_steps=14, batch_size=2, num_generations=8, micro_batch_size=8, max_completion_length=80,
        learning_rate=5e-5, beta=0.03, kl_budget="off",
    )  # fmt: skip
    (options.out / "hand").mkdir(parents=True, exist_ok=True)
    train_grpo(task, read_queries((options.prompts,)), options.sft, reward, options.out / "hand", settings)
    reward.close()


def texts_of(policy: Path, name: str, asked: Path, options: argparse.Namespace) -> list[Candidate]:
    out = options.out / "texts" / name
    inkfire("write", "--policy", policy, "--prompts", asked, "--n", 2, "--temperature", 1.0, "--max-tokens", 80,
            "--seed", 1, "--out", out)  # fmt: skip
    return read_texts((out / "texts.jsonl",))


def phrase(texts: Sequence[str], size: int = 4) -> tuple[str, float]:
    """The phrase of four units that most texts hold, and their share."""
    held: Counter[str] = Counter()
    for text in texts:
        row = units(text)
        held.update({"".join(row[i : i + size]) for i in range(len(row) - size + 1)})
    found, n = max(held.items(), key=lambda one: (one[1], one[0]), default=("", 0))
    return found, n / max(1, len(texts))


def measured(
    texts: dict[str, list[Candidate]], reader: Likelihood, rm: Any, pool: Sequence[str]
) -> dict[str, dict[str, list[float]]]:
    """Policy → measure → a value a text."""
    values: dict[str, dict[str, list[float]]] = {}
    for name, rows in texts.items():
        asked, said = [row.query for row in rows], [row.response for row in rows]
        own = reader.per_token(asked, said)
        foreign = [others(query, text, pool, 0) for query, text in zip(asked, said, strict=True)]
        read = iter(reader.per_token([q for each in foreign for q in each], [t for t in said for _ in range(3)]))
        best = [max((value or -math.inf) for value in [next(read) for _ in each]) for each in foreign]
        values[name] = {
            "length": [float(len(text)) for text in said],
            "finished": [float(finished(text)) for text in said],
            "base log-probability": [value if value is not None else -9.0 for value in own],
            "own query wins of four": [float((o or -9.0) > b) for o, b in zip(own, best, strict=True)],
            "learnt": [float(score or 0.0) for score in rm.score(asked, said)],
        }
    start = values["start"]
    band = Band.of(start["base log-probability"])
    slope, at = np.polyfit(np.log1p(start["length"]), start["learnt"], 1)
    for row in values.values():
        row["fluent"] = [float(band.holds(value)) for value in row["base log-probability"]]
        row["learnt, length out"] = [
            score - (slope * math.log1p(length) + at)
            for score, length in zip(row["learnt"], row["length"], strict=True)
        ]
    return values


def judged(texts: dict[str, list[Candidate]], options: argparse.Namespace) -> dict[str, list[float]]:
    """P(Good) by the judge that saw no label and no example: the signal that is part of no reward here."""
    found = {}
    for name, rows in texts.items():
        file, out = options.out / "judged" / f"{name}.jsonl", options.out / "judged" / name
        write_jsonl(file, ({"query": row.query, "response": row.response} for row in rows))
        inkfire("judge", "--task", options.task, "--model", options.judge, "--data", file, "--qualify", 0, "--out", out)
        found[name] = [row["probability"] for row in read_jsonl(out / "verdicts.jsonl")]
    return found


def shown(
    values: dict[str, dict[str, list[float]]], clusters: Sequence[str], texts: dict[str, list[Candidate]]
) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for name, row in values.items():
        said = [one.response for one in texts[name]]
        firsts = said[::2][:64]  # of different prompts
        favourite, share = phrase(said)
        result[name] = {"distinct-2": distinct(firsts, 2), "phrase": favourite, "phrase share": share}
        for measure, column in row.items():
            difference = bootstrap_mean_difference(column, values["start"][measure], clusters, 0)
            result[name][measure] = [float(np.mean(column)), difference.estimate, difference.low, difference.high]
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("sft", "rm", "held-rm", "prompts", "held-out", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--runs", nargs="+", default=RUNS, choices=RUNS)
    parser.add_argument("--task", default="greetings-zh")
    parser.add_argument("--judge", default="local/qwen2.5-coder-1.5b")
    parser.add_argument("--queries", type=int, default=48)
    parser.add_argument("--steps", type=int, default=25, help="of alone and recipe; bon has as many texts")
    parser.add_argument("--kl-budget", type=float, default=4.0, help="of recipe")
    parser.add_argument("--train-hand", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.train_hand:
        train_hand(options)
        return
    options.out.mkdir(parents=True, exist_ok=True)
    policies = {"start": options.sft} | {name: trained(name, options) for name in options.runs}
    asked = list(dict.fromkeys(query.query for query in read_queries((options.held_out,))))[: options.queries]
    write_jsonl(options.out / "asked.jsonl", ({"query": query} for query in asked))
    texts = {name: texts_of(at, name, options.out / "asked.jsonl", options) for name, at in policies.items()}
    rows = [(name, i, row) for name, each in texts.items() for i, row in enumerate(each)]
    random.Random(0).shuffle(rows)
    write_jsonl(options.out / "texts.jsonl", ({"query": row.query, "response": row.response} for _, _, row in rows))
    write_jsonl(options.out / "writers.jsonl", ({"writer": name, "number": i} for name, i, _ in rows))
    reader = Likelihood.load(Card.read(options.sft).base, load_task(options.task))
    values = measured(texts, reader, load_reward(str(options.rm)), asked)
    reader.close()
    for name, column in judged(texts, options).items():
        values[name]["judge without examples"] = column
    result = shown(values, [row.query for row in texts["start"]], texts)
    write_json(options.out / "result.json", result)
    print(json.dumps(result, ensure_ascii=False, indent=1))


if __name__ == "__main__":
    main()
