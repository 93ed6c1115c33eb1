"""Does an evaluation find what is wrong with it, and does it leave honest ones in peace?

    python benchmarks/bench_evidence.py                  # every planted fault, 20 seeds each, and length control
    python benchmarks/bench_evidence.py --seeds 5 --only copies,clean

Three policies (base, sft, rl) write for 100 queries: texts by a chain of words that follow each other in the good texts
of the greetings tasks. What a text is worth is drawn, and so is what two signals (judge, rm) see of it. Then rl is
spoilt in one way:

    leak       fifteen of the queries are in the data of its reward
    length     it writes longer texts, and both signals like long ones
    copies     two in five of its texts are training texts, a few words apart
    collapse   six texts serve all queries
    query      the judge scores the query and not the text
    own        the judge is a part of the mixture that it was trained against, and likes it
    phrases    it strings favourite phrases together, and both signals, who learnt from labels, love that

A fault is found when it is among what ``inkfire evaluate`` says before its tables. On clean sets nothing may be said:
of 20 at most one raises anything. On ``better`` sets rl is better by as much as texts of a query differ, and nothing
else.

Length control: a length effect is planted in several shapes, with and without a difference in quality; the columns are
shares of sets that are called better, by the raw number and by the words.
"""

from __future__ import annotations

import argparse
import math
import random
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np

from inkfire.evaluation.claims import claims, own_signals
from inkfire.evaluation.compare import compare
from inkfire.evaluation.sight import Sight, sight_of
from inkfire.evaluation.signals import Opinion
from inkfire.evaluation.texts import Texts
from inkfire.files.jsonl import write_jsonl
from inkfire.files.run import Run
from inkfire.records import Candidate, Identity, Label, Query
from inkfire.report import findings
from inkfire.runs.lineage import overlap
from inkfire.stats.texts import units
from inkfire.stress.damage import damaged
from inkfire.tasks.task import load_task

TASKS = ("greetings-zh", "greetings-en")
QUERIES, LEAKED, SERVE_ALL = 100, 15, 6
FAULTS = ("leak", "length", "copies", "collapse", "query", "own", "phrases")
KINDS = ("clean", "better", *FAULTS)
SHAPES: Mapping[str, Callable[[float], float]] = {
    "line": lambda z: 1.2 * z,
    "bent": lambda z: 2 * math.tanh(z),
    "step": lambda z: 2.5 if z > 0.5 else -2.5,
    "none": lambda z: 0.0,
}
_LENGTH = 26
_SEES: Mapping[str, Any] = {kind: {"auc": 0.9, "sees": True} for kind in ("shuffled", "looped", "strung", "cut")}
_BLIND = {**_SEES, "strung": {"auc": 0.5, "sees": False}}


class Chain:
    """Writes texts of words that follow each other in a task's good texts."""

    def __init__(self, task: str):
        self.good = [text.response for text in load_task(task).good_texts()]
        self.spaced = task.endswith("en")
        self.next: dict[str, list[str]] = defaultdict(list)
        for text in self.good:
            row = ["", *units(text)]
            for a, b in zip(row, [*row[1:], ""], strict=True):
                self.next[a].append(b)

    def write(self, rng: random.Random, length: int) -> str:
        row: list[str] = []
        while len(row) < length:
            at = rng.choice(self.next[row[-1] if row else ""])
            row.append(at or rng.choice([one for one in self.next[""] if one]))
        return (" " if self.spaced else "").join(row) + ("." if self.spaced else "。")


@dataclass
class Simulated:
    """A signal: what it scores is drawn by text; excellent is above 0."""

    name: str
    of: Callable[[str, str], float]
    known: dict[tuple[str, str], float] = field(default_factory=dict)

    def label(self, queries: Sequence[str], responses: Sequence[str]) -> list[Opinion]:
        out = []
        for query, text in zip(queries, responses, strict=True):
            score = self.known.setdefault((query, text), self.of(query, text))
            label: Label = 1 if score > 0 else 0
            out.append(Opinion(label, score))
        return out


@dataclass
class World:
    """Three policies that write alike, and two signals that see some of what their texts are worth."""

    task: str
    rng: random.Random
    queries: list[Query]
    written: dict[str, list[str]]
    gain: float = 0.0
    length: float = 0.0

    @classmethod
    def of(cls, task: str, chain: Chain, seed: str) -> World:
        rng = random.Random(seed)
        queries = [Query.of(f"{query.query} {i}") for i, query in enumerate(load_task(task).queries()[:QUERIES])]

        def write(longer: float = 1.0) -> list[str]:
            return [chain.write(rng, max(10, round(rng.gauss(_LENGTH * longer, 5)))) for _ in queries]

        return cls(task, rng, queries, {"base": write(), "sft": write(), "rl": write()})

    def signals(self) -> tuple[Simulated, Simulated]:
        """The texts' worth and the query's ease are drawn once; each signal has noise of its own."""
        worth: dict[tuple[str, str], float] = {}
        ease = {query.query: self.rng.gauss(0, 0.7) for query in self.queries}
        sizes = [len(text) for text in self.written["base"]]
        mean, spread = fmean(sizes), stdev(sizes)
        ours = {(query.query, text) for query, text in zip(self.queries, self.written["rl"], strict=True)}

        def score(query: str, text: str) -> float:
            if (query, text) not in worth:
                worth[query, text] = self.rng.gauss(self.gain * ((query, text) in ours), 1)
            long = self.length * (len(text) - mean) / spread
            return ease[query] + worth[query, text] + long + self.rng.gauss(0, 0.7)

        return Simulated("judge", score), Simulated("rm", score)


def evaluated(task: str, chain: Chain, kind: str, seed: int) -> dict[str, Any]:
    """The evaluation of a set in which one thing is wrong."""
    world, rng = World.of(task, chain, f"{task} {kind} {seed}"), random.Random(f"{kind} {seed}")
    sights: dict[str, Sight] = dict.fromkeys(("judge", "rm"), sight_of(_SEES))
    own: Mapping[str, Sequence[str]] = {}
    corpus = [chain.write(rng, _LENGTH) for _ in range(200)]
    if kind == "better":
        world.gain = 1.0
    elif kind == "length":
        world.written["rl"] = [chain.write(rng, max(10, round(rng.gauss(1.4 * _LENGTH, 5)))) for _ in world.queries]
        world.length = 0.8
    elif kind == "copies":
        world.written["rl"] = [
            rng.choice(corpus)[:-1] + text[: len(text) // 4] if rng.random() < 0.4 else text
            for text in world.written["rl"]
        ]
    elif kind == "collapse":
        few = world.written["rl"][:SERVE_ALL]
        world.written["rl"] = [rng.choice(few) for _ in world.queries]
    elif kind == "phrases":
        texts = [Candidate(query.query, text) for query, text in zip(world.queries, world.written["rl"], strict=True)]
        pool = [Candidate(str(i), text) for i, text in enumerate(chain.good)]
        favourites = damaged("strung", pool, seed=seed)[:SERVE_ALL]
        world.written["rl"] = [
            " ".join(rng.sample([one.response for one in favourites], 3))[: len(text.response)] for text in texts
        ]
        world.gain, sights = 1.5, dict.fromkeys(("judge", "rm"), sight_of(_BLIND))
    judge, rm = world.signals()
    if kind == "query":
        liked = {query.query: rng.gauss(0, 1) for query in world.queries}
        judge = Simulated("judge", lambda query, text: liked[query] + rng.gauss(0, 0.2))
    if kind == "own":
        world.gain = 1.0
        judge = world.signals()[0]
        taste, model = Identity("judge", "taste", "b2", "m", "logprob"), Identity("reward model", "rm", "a1")
        mixture = {"rl": [model, taste], "base": [], "sft": []}
        own = own_signals({"judge": [taste], "rm": [Identity("reward model", "other", "c3")]}, mixture)
        rm = Simulated("rm", lambda query, text: rng.gauss(0, 1))
    result = compare(
        load_task(task),
        _with(world, corpus, task),
        [judge, rm],
        rewards=own,
        sights=sights,
        seed=seed,
    )
    result["overlap"] = _leak(world, rng) if kind == "leak" else {"rows": [], "queries": 0, "left_out": 0}
    return result


def _with(world: World, corpus: Sequence[str], task: str) -> Texts:
    written = {name: [[[text] for text in texts]] for name, texts in world.written.items()}
    return Texts(world.queries, written, corpus, load_task(task).slop())


def _leak(world: World, rng: random.Random) -> dict[str, Any]:
    """Queries in the pairs of the policy's reward, as the manifests of its training and of that say."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        taught = rng.sample(world.queries, LEAKED)
        write_jsonl(home / "pairs.jsonl", [{"query": q.query, "chosen": "x", "rejected": "y"} for q in taught])
        Run.open(home / "rm", command="train rm", settings={}, inputs={"pairs": home / "pairs.jsonl"})
        Run.open(home / "rl", command="train grpo", settings={}, inputs={"reward 1": home / "rm"})
        found = overlap([query.query for query in world.queries], {"rl": home / "rl"})
    n = len(found.taught)
    return {"rows": list(found.rows), "queries": n, "left_out": n}


def raised(result: Mapping[str, Any]) -> set[str]:
    """What the evaluation says before its tables: kinds of faults, of claims that are not open, and a leak."""
    said = {str(fault["kind"]) for fault in result["faults"]}
    said |= {claim["kind"] for claim in claims(result) if claim["kind"] != "open"}
    said |= {"leak"} if result["overlap"]["rows"] else set()
    shown = " ".join([*(found := findings.compared(result)).said, *found.warnings])
    assert all(str(fault["text"]) in shown for fault in result["faults"])
    assert "leak" not in said or f"Leak: {LEAKED} of" in shown
    return said


def found(kind: str, said: set[str]) -> bool:
    """Whether a set is called what it is, and no more than that where nothing is wrong."""
    if kind == "clean":
        return not said
    if kind == "better":
        return said == {"better"}
    if kind == "own":
        return "own" in said and "better" not in said
    if kind == "phrases":
        return bool(said & {"phrases", "collapse"}) and "unqualified" in said and "better" not in said
    return kind in said and (kind != "length" or "better" not in said)


# ---- length control ------------------------------------------------------------------------------------------------


def called_better(shape: str, quality: float, sets: int, seed: int = 0) -> tuple[float, float, float]:
    """Shares of sets in which a longer policy is called better by the raw number, by the words, and called longer."""
    random_, counts = np.random.default_rng(seed), Counter[str]()
    task, queries = load_task("greetings-en"), [Query.of(f"q {i}") for i in range(QUERIES)]
    for number in range(sets):
        lengths = {name: random_.lognormal(math.log(50) + shift, 0.35, QUERIES) for name, shift in _SHIFT.items()}
        written = {
            name: [f"{i} {name} " + "x" * max(1, int(size)) for i, size in enumerate(sizes)]
            for name, sizes in lengths.items()
        }
        ease = {query.query: random_.normal(0, 0.7) for query in queries}

        def score(query: str, text: str, ease: Mapping[str, float] = ease) -> float:
            z = (math.log(len(text)) - math.log(50)) / 0.35
            odds = SHAPES[shape](z) + ease[query] + quality * (" rl " in text)
            return float(random_.random() < 1 / (1 + math.exp(-odds))) - 0.5

        texts = Texts.single(queries, written)
        result = compare(task, texts, [Simulated("judge", score)], sights={"judge": sight_of(_SEES)}, seed=number)
        (row,), (claim,) = result["differences"], claims(result)
        counts["raw"] += row["difference_ci"][0] > 0 and row["difference_p"] <= 0.05
        counts[claim["kind"]] += 1
    return counts["raw"] / sets, counts["better"] / sets, counts["length"] / sets


_SHIFT = {"base": 0.0, "rl": 0.3}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--only", default=",".join(KINDS))
    parser.add_argument("--sets", type=int, default=300, help="of length control, a shape; 0: none")
    given = parser.parse_args()
    seeds = range(given.first, given.first + given.seeds)
    print("| task | planted | called what it is | said |\n|---|---|---:|---|")
    for task in TASKS:
        chain = Chain(task)
        for kind in given.only.split(","):
            said = [raised(evaluated(task, chain, kind, seed)) for seed in seeds]
            right = sum(found(kind, one) for one in said)
            counts = ", ".join(f"{name} {n}" for name, n in Counter(name for one in said for name in one).most_common())
            print(f"| {task} | {kind} | {right} of {len(said)} | {counts} |", flush=True)
    if given.sets:
        print(
            "\n| length effect | quality | better, raw | better, in words | called length |\n|---|---:|---:|---:|---:|"
        )
    for shape in SHAPES if given.sets else ():
        for quality in (0.0, 1.0):
            shares = " | ".join(f"{share:.1%}" for share in called_better(shape, quality, given.sets))
            print(f"| {shape} | {quality} | {shares} |", flush=True)


if __name__ == "__main__":
    main()
