"""A transformer reward model beside the linear one and "the longer wins", where length cannot help.

    python benchmarks/bench_transformer.py --base local/qwen2.5-coder-0.5b --pairs reward_data_train.json

A random half of the queries that have a pair of like length, or one whose chosen text is the shorter, is the test, with
all their pairs; the pairs of the other half, and others of other queries up to ``--train`` pairs, are what every model
learns from. Trained by the command that a user types, plain and with ``--length-debias``; a model that lies in OUT is
not trained again. A row has accuracies with intervals clustered by query, the correlation of score and log length, and
the paired difference to the linear model of the same kind on pairs of like length.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import time
from pathlib import Path

from inkfire.files.formats import read_pairs
from inkfire.files.jsonl import write_jsonl
from inkfire.records import Preference, to_json
from inkfire.rewards.load import load_reward
from inkfire.stats.intervals import bootstrap_mean_difference
from inkfire.stats.length import length_correlation
from inkfire.stats.twins import like_length, pair_slices

SLICES = ("accuracy", "accuracy_length_matched", "accuracy_chosen_shorter")


def telling(pair: Preference) -> bool:
    """Whether length cannot help: of like length, or the shorter one chosen."""
    return like_length(pair) or len(pair.chosen) < len(pair.rejected)


def split(pairs: list[Preference], n: int, n_test: int) -> tuple[list[Preference], list[Preference]]:
    """(to learn from, test), disjoint by query."""
    draw = random.Random(0)
    queries = sorted({p.query for p in pairs if telling(p)})
    draw.shuffle(queries)
    tested, kept = set(queries[: len(queries) // 2]), set(queries[len(queries) // 2 :])
    test = [p for p in pairs if p.query in tested]
    told, others = [p for p in test if telling(p)], [p for p in test if not telling(p)]
    train = [p for p in pairs if p.query in kept and telling(p)][: n * 2 // 3]
    rest = [p for p in pairs if p.query not in tested and p.query not in kept]
    train += draw.sample(rest, min(len(rest), n - len(train)))
    draw.shuffle(train)
    return train, told + draw.sample(others, min(len(others), max(0, n_test - len(told))))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default="greetings-zh")
    parser.add_argument("--base", default="local/qwen2.5-coder-0.5b")
    parser.add_argument("--pairs", type=Path, required=True)
    parser.add_argument("--train", type=int, default=480, help="pairs to learn from")
    parser.add_argument("--test", type=int, default=450, help="pairs of the test, at most")
    parser.add_argument("--out", type=Path, default=Path("runs/bench-transformer"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    train, test = split(read_pairs(args.pairs), args.train, args.test)
    write_jsonl(args.out / "train.jsonl", map(to_json, train))
    queries = [p.query for p in test for _ in range(2)]
    texts = [text for p in test for text in (p.chosen, p.rejected)]
    matched = [i for i, p in enumerate(test) if like_length(p)]
    print(f"{len(train)} pairs to learn from, {len(test)} to test on", flush=True)
    print("| model |", " | ".join([*SLICES, "longer wins", "length correlation", "over linear, like length", "s"]), "|")
    print("|---" * 8, "|", sep="")
    right: dict[str, list[float]] = {}
    for kind in ("linear", "transformer"):
        for debias in ((), ("--length-debias",)):
            name = "-".join([kind, *("debiased" for _ in debias)])
            folder, begun = args.out / name, time.perf_counter()
            words = ["train", "rm", "--task", args.task, "--pairs", args.out / "train.jsonl", "--kind", kind, *debias]
            words += ["--base", args.base, "--epochs", 1] if kind == "transformer" else []
            words += ["--test-fraction", 0.08, "--qualify", 0, "--out", folder]
            subprocess.run([sys.executable, "-m", "inkfire", *map(str, words)], check=True, stdout=subprocess.DEVNULL)
            took = time.perf_counter() - begun
            scores = load_reward(folder).score(queries, texts)
            both = list(zip(scores[::2], scores[1::2], strict=True))
            found = pair_slices(test, both)
            right[name] = [float(a is not None and b is not None and a > b) for a, b in both]
            cells = [f"{found[s]:.3f} [{found[f'{s}_ci'][0]:.3f}, {found[f'{s}_ci'][1]:.3f}]" for s in SLICES]
            twin = right[name.replace("transformer", "linear")]
            gain = bootstrap_mean_difference(
                [right[name][i] for i in matched], [twin[i] for i in matched], [test[i].query for i in matched], 0
            )
            lengths = length_correlation(scores, texts, queries)
            cells += [f"{found['longer_wins']:.3f}"]
            cells += [f"{x.estimate:+.2f} [{x.low:+.2f}, {x.high:+.2f}]" for x in (lengths, gain)]
            print("|", " | ".join([name, *cells, f"{took:.0f}"]), "|", flush=True)
    print(f"like length {found['n_length_matched']}, chosen shorter {found['n_chosen_shorter']} pairs of the test")


if __name__ == "__main__":
    main()
