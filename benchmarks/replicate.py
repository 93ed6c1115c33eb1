"""The replication: a small writer on the paper's release, under both strategies, by the commands that a user types.

    make replicate                       # or: python benchmarks/replicate.py --data FOLDER --out runs/replicate

The parts follow one another, each at most an hour and a half on two cores; ``--only`` names some of them. Each is a
list of commands that resume, so what was killed goes on, and a part that is done is not entered again. Peer: every
policy is compared with SFT and base, and with best-of-4, on the same queries at the same temperature.

What is fixed here, before anything is trained:

- 60 held-out queries, 24 of them or more of high-frequency occasions, in no data that anything learns from; 16 others
  to validate on.
- The temperature of rollouts and of use: of 1.0, 0.75 and 0.5 the highest at which SFT's texts for the validation
  queries pass the task's checks and ``fluent`` as often as at the best of the three, less five points.
- The primary signal is the judge, calibrated on the task's own labelled texts and shown no examples. It is no part of
  any reward but judge-rl's and paper's, and chooses no checkpoint; a canary does, a reward model of the task's pairs.
- Holm over policies and signals, as ``inkfire evaluate`` does.

``--small`` is a rehearsal on a 135M writer, in a few minutes, that says nothing.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inkfire.files.formats import read_pairs, read_queries, read_texts
from inkfire.files.jsonl import read_json, write_json, write_jsonl
from inkfire.files.reading import Reading
from inkfire.records import Query
from inkfire.tasks.task import load_task, task_names

TEMPERATURES = (1.0, 0.75, 0.5)
WITHIN = 0.05
_PREFIX = "请只生成一条祝福语："  # before every query of the release's prompts
Words = Sequence[object]


@dataclass(frozen=True)
class Sizes:
    """How much of everything."""

    writer: str = "local/qwen2.5-coder-0.5b"
    agents: str = "local/qwen2.5-coder-1.5b"
    sft: int = 1500
    pairs: int = 6310
    held_out: int = 60
    validation: int = 16
    train: int = 600
    curated: int = 12
    candidates: int = 4
    steps: int = 40
    tokens: int = 80
    rubric: int = 10
    """Held-out queries whose texts the slow signals read: rubric and debate."""
    matrix: int = 40
    qualify: int = 40


SMALL = Sizes("local/smollm2-135m", "local/qwen2.5-coder-0.5b", 16, 200, 6, 2, 8, 2, 2, 2, 24, 2, 20, 0)


@dataclass(frozen=True)
class Replication:
    out: Path
    data: Path
    sizes: Sizes

    def at(self, *names: str) -> Path:
        return self.out.joinpath(*names)

    def say(self, *words: object) -> dict[str, Any]:
        """What a command says with --json; a command that fails ends the part, and its folder stays."""
        command = [sys.executable, "-m", "inkfire", *map(str, words), "--json"]
        print(f"$ inkfire {' '.join(map(str, words))}", file=sys.stderr, flush=True)
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
        result: dict[str, Any] = json.loads(done.stdout or "{}")
        if done.returncode:
            raise SystemExit(f"{' '.join(command)}: {result.get('error', done.returncode)}")
        return result

    # ---- the parts ---------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """The splits, SFT, and the temperature."""
        self._split()
        sft = ("--task", "greetings-zh", "--base", self.sizes.writer, "--data", self.at("data", "good.jsonl"))
        self.say("train", "sft", *sft, "--epochs", 1, "--max-length", 256, "--out", self.at("sft"))
        passed: dict[str, float] = {}
        for temperature in TEMPERATURES:
            folder = self.at("temperatures", str(temperature))
            self._write("sft", self.at("data", "validation.jsonl"), folder, temperature, "--n", 4)
            checks = [word for check in (*load_task("greetings-zh").checks, "fluent") for word in ("--check", check)]
            about = ("--data", folder / "texts.jsonl", "--task", "greetings-zh", "--base", self.sizes.writer)
            passed[str(temperature)] = self.say("check", *about, *checks)["passed_rate"]
        chosen = max(t for t in TEMPERATURES if passed[str(t)] >= max(passed.values()) - WITHIN)
        write_json(self.at("temperature.json"), {"chosen": chosen, "passed_rate": passed})

    def rewards(self) -> None:
        """Strategy A's pairs and reward model, the canary, and strategy B's judge with its principles."""
        data, task = self.at("data"), ("--task", "greetings-zh")
        self._write("sft", data / "curated.jsonl", self.at("candidates"), None, "--n", self.sizes.candidates)
        given = ("--candidates-from", self.at("candidates", "texts.jsonl"))
        how = ("--candidates", 2, "--depth", "short", "--pairs", "best-worst", "--writer", self.sizes.agents)
        self.say("curate", *task, "--model", self.sizes.agents, *given, *how, "--out", self.at("curate"))
        held = ("--length-debias", "--negatives", "damaged", "--qualify", self.sizes.qualify)
        curated = self.at("curate", "pairs.jsonl")
        pairs = ("--pairs", data / "pairs.jsonl", *(("--pairs", curated) if curated.stat().st_size else ()))
        self.say("train", "rm", *task, *pairs, "--kind", "linear", *held, "--out", self.at("rm"))
        self.say("train", "rm", *task, "--kind", "linear", *held, "--out", self.at("rm-canary"))
        model = ("--model", self.sizes.agents)
        few = ("--rounds", 1, "--attacks", 3, "--errors", 3, "--training", 40, "--validation", 40, "--test", 40)
        self.say("refine", *task, *model, "--prompts", data / "train.jsonl", *few, "--out", self.at("refine"))
        principles = ("--principles", self.at("refine", "principles.toml"), "--qualify", self.sizes.qualify)
        self.say("judge", *task, *model, *principles, "--out", self.at("judge"))

    def rm_rl(self) -> None:
        """GRPO against strategy A's reward model, held as the demo's recipe holds it."""
        self._grpo("rm-rl", self.at("rm"), *self._held(), "--canary", self.at("rm-canary"))

    def judge_rl(self) -> None:
        """The same against strategy B's judge."""
        self._grpo("judge-rl", self.at("judge"), *self._held(), "--canary", self.at("rm-canary"))

    def rivals(self) -> None:
        """What is near: best-of-4, DPO on strategy A's pairs; and the paper's own reward."""
        best = ("--n", 4, "--best-of", self.at("rm"))
        self._write("sft", self.at("data", "held_out.jsonl"), self.at("best-of-4"), None, *best)
        if self.at("curate", "pairs.jsonl").stat().st_size:
            pairs = ("--pairs", self.at("curate", "pairs.jsonl"), "--epochs", 2)
            policy = ("--task", "greetings-zh", "--policy", self.at("sft"))
            self.say("train", "dpo", *policy, *pairs, "--out", self.at("dpo"))
        paper = ("--value", "label", "--beta", 0.001, "--kl-budget", "off")
        self._grpo("paper", self.at("judge"), *paper)

    def evaluate(self) -> None:
        """All policies on the held-out queries by the quick signals; the slow ones read a part; pairs for a reader."""
        trained = [name for name in ("dpo", "paper", "rm-rl", "judge-rl") if self.at(name, "policy.json").is_file()]
        policies: list[object] = ["--policy", f"base={self.sizes.writer}"]
        for name in ("sft", *trained):
            policies += ["--policy", f"{name}={self.at(name)}"]
        policies += ["--policy", f"best-of-4={self.at('best-of-4', 'texts.jsonl')}"]
        asked = ("--task", "greetings-zh", "--prompts", self.at("data", "held_out.jsonl"), *policies)
        how = (
            "--against",
            "sft",
            "--against",
            "base",
            "--temperature",
            self._temperature(),
            "--max-tokens",
            self.sizes.tokens,
        )
        model = ("--model", self.sizes.agents)
        signals = [f"judge={self.at('judge')}", f"rm={self.at('rm')}", "pairwise"]
        quick = [word for signal in signals for word in ("--signal", signal)]
        learnt = ("--train", self.at("data", "good.jsonl"))
        self.say("evaluate", *asked, *how, *model, *learnt, *quick, "--out", self.at("evaluate"))
        slow = ("--signal", "rubric", "--signal", "debate", "--depth", "short", "--limit", self.sizes.rubric)
        self.say("evaluate", *asked, *how, *model, *slow, "--out", self.at("evaluate-slow"))

    def english(self) -> None:
        """The same in English, on our own texts, with a writer of 135M."""
        run = ("run", "demo-en", "--out", self.at("en"))
        if self.sizes is not SMALL:
            self.say(*run)

    def matrix(self) -> None:
        """AUC of the judge with task X's principles, and of task X's reward model, on the labelled texts of task Y."""
        rows = []
        for of in task_names():
            rm = self.at("matrix", f"rm-{of}")
            self.say("train", "rm", "--task", of, "--kind", "linear", "--qualify", 0, "--out", rm)
            for on in task_names():
                texts = self.at("matrix", f"texts-{on}.jsonl")
                if not texts.is_file():
                    every = load_task(on).labelled()
                    random.Random(0).shuffle(every)
                    some = [
                        row
                        for label in (0, 1)
                        for row in [r for r in every if r.label == label][: self.sizes.matrix // 2]
                    ]
                    write_jsonl(texts, ({"query": r.query, "response": r.response, "label": r.label} for r in some))
                scored = self.say("score", "--reward", rm, "--data", texts, "--qualify", 0)
                judged = {}
                if self.sizes is not SMALL or of == on:
                    about = ("--task", of, "--model", self.sizes.agents, "--data", texts, "--calibration-fraction", 0)
                    judged = self.say("judge", *about, "--qualify", 0, "--out", self.at("matrix", f"{of}-on-{on}"))
                row = {"of": of, "on": on, "n": scored["n"], "length_auc": scored.get("length_auc")}
                row |= {
                    f"{name}{ci}": found.get(f"auc{ci}")
                    for name, found in (("rm", scored), ("judge", judged))
                    for ci in ("", "_ci")
                }
                rows.append(row)
        write_json(self.at("matrix.json"), rows)

    # ---- what they share ---------------------------------------------------------------------------------------------

    def _split(self) -> None:
        draw, task, s = random.Random(0), load_task("greetings-zh"), self.sizes
        pairs = read_pairs(self.data / "reward_data_train.json")
        texts = read_texts(self.data / "sft_data.json")
        prefix = Reading(strip_prefix=_PREFIX)
        asked = {
            name: [q.query for q in read_queries(self.data / f"grpo_{name}.parquet", prefix)]
            for name in ("train", "test")
        }
        known = {pair.query for pair in pairs} | {text.query for text in texts} | set(asked["train"])
        free = [query for query in dict.fromkeys(asked["test"]) if query not in known]
        draw.shuffle(free)
        often = [query for query in free if task.slice_of(Query(query, query)) == "high-frequency"]
        held = often[: -(-s.held_out * 2 // 5)]
        held += [query for query in free if query not in held][: s.held_out - len(held)]
        validation = [query for query in free if query not in held][: s.validation]
        draw.shuffle(texts)
        good = texts[: s.sft]
        learnt = {text.query for text in good}
        train = [query for query in dict.fromkeys(asked["train"]) if query not in learnt]
        draw.shuffle(train)
        for name, queries in (
            ("held_out", held),
            ("validation", validation),
            ("train", train[: s.train]),
            ("curated", train[s.train : s.train + s.curated]),
        ):
            write_jsonl(self.at("data", f"{name}.jsonl"), ({"query": query} for query in queries))
        write_jsonl(self.at("data", "good.jsonl"), ({"query": t.query, "response": t.response} for t in good))
        some = draw.sample(pairs, min(s.pairs, len(pairs)))
        rows = ({"query": p.query, "chosen": p.chosen, "rejected": p.rejected} for p in some)
        write_jsonl(self.at("data", "pairs.jsonl"), rows)

    def _temperature(self) -> float:
        return float(read_json(self.at("temperature.json"))["chosen"])

    def _write(self, policy: str, queries: Path, out: Path, temperature: float | None, *more: object) -> None:
        drawn = ("--temperature", temperature or self._temperature(), "--max-tokens", self.sizes.tokens)
        self.say("write", "--prompts", queries, "--policy", self.at(policy), *drawn, *more, "--out", out)

    def _held(self) -> Words:
        checks = [word for check in load_task("greetings-zh").checks for word in ("--check", check)]
        parts = ("--fluency", 2.5, "--relevance", 0.5, "--diversity", 0.3, "--novelty", 0.3, "--length", "rescale")
        return (*checks, *parts, "--start-samples", min(32, 2 * self.sizes.train))

    def _grpo(self, name: str, reward: Path, *more: object) -> None:
        asked = ("--prompts", self.at("data", "train.jsonl"), "--validation", self.at("data", "validation.jsonl"))
        batch = ("--batch-size", 2, "--num-generations", 8, "--micro-batch-size", 8)
        length = ("--max-steps", self.sizes.steps, "--max-completion-length", self.sizes.tokens)
        drawn = ("--temperature", self._temperature(), "--validation-steps", 10)
        policy = ("--task", "greetings-zh", "--policy", self.at("sft"), "--reward", reward)
        forced = ("--force",) if name == "paper" or self.sizes is SMALL else ()
        self.say("train", "grpo", *policy, *asked, *batch, *length, *drawn, *more, *forced, "--out", self.at(name))


PARTS = ("start", "rewards", "rm-rl", "judge-rl", "rivals", "evaluate", "english", "matrix")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the release's folder: inkfire data pull greetings-zh")
    parser.add_argument("--out", type=Path, default=Path("runs/replicate"))
    parser.add_argument("--only", nargs="*", choices=PARTS, default=PARTS)
    parser.add_argument("--small", action="store_true")
    args = parser.parse_args()
    run = Replication(args.out, args.data, SMALL if args.small else Sizes())
    for part in args.only:
        kept = run.at("parts", f"{part}.json")
        if kept.is_file():
            print(f"{part}: done before, {read_json(kept)['seconds'] / 60:.0f} minutes", flush=True)
            continue
        begun = time.monotonic()
        getattr(run, part.replace("-", "_"))()
        seconds = time.monotonic() - begun
        write_json(kept, {"seconds": round(seconds)})
        print(f"{part}: {seconds / 60:.0f} minutes", flush=True)


if __name__ == "__main__":
    main()
