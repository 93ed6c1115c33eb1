"""What a full debate costs and is worth beside a short one: the same labelled texts, the same model.

    python benchmarks/bench_debate_depth.py --model local/qwen2.5-coder-1.5b --out runs/bench-depth

``--texts`` of the task's labelled texts (half of them good, of as many queries as there are) are judged at both depths
by the command that a user types, with examples of the task's other queries: accuracy with its interval, tokens and
seconds a text, and their ratios, full over short. The replies are in the folder's ledger: what was stopped goes on,
and its seconds are then only those of the calls that were left.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from inkfire.files.jsonl import write_jsonl
from inkfire.records import Labelled, to_json
from inkfire.tasks.task import load_task


def sample(labelled: list[Labelled], n: int, seed: int) -> list[Labelled]:
    """``n`` texts, half good and half bad, each query once as long as there are queries."""
    rows = random.Random(seed).sample(labelled, len(labelled))
    chosen: list[Labelled] = []
    for once in (True, False):
        for row in rows:
            room = sum(one.label == row.label for one in chosen) < n // 2
            new = row not in chosen and (not once or all(one.query != row.query for one in chosen))
            chosen += [row] if room and new else []
    return chosen


def judged(depth: str, texts: Path, options: argparse.Namespace) -> dict[str, Any]:
    """The result of ``inkfire judge --mode debate``, with ``tokens_a_text`` and ``seconds_a_text``."""
    out = options.out / depth
    command = [sys.executable, "-m", "inkfire", "judge", "--mode", "debate", "--depth", depth, "--task", options.task]
    command += ["--model", options.model, "--data", str(texts), "--calibration-fraction", "0", "--seed", "0"]
    command += ["--base-url", options.base_url] if options.base_url else []
    command += ["--corpus", str(options.out / "good.jsonl"), "--out", str(out), "--json"]
    started = time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    seconds = time.perf_counter() - started
    result: dict[str, Any] = json.loads(done.stdout)
    with contextlib.closing(sqlite3.connect(options.out / ".inkfire" / "ledger.sqlite")) as ledger:
        [(tokens,)] = ledger.execute(
            "SELECT sum(prompt_tokens + completion_tokens) FROM replies WHERE run = ?", [depth]
        )
    return result | {"tokens_a_text": tokens / result["n"], "seconds_a_text": seconds / result["n"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--base-url")
    parser.add_argument("--task", default="greetings-zh")
    parser.add_argument("--texts", type=int, default=24)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    task = load_task(options.task)
    texts = sample(task.labelled(), options.texts, seed=0)
    queries = {row.query for row in texts}
    options.out.mkdir(parents=True, exist_ok=True)
    write_jsonl(options.out / "texts.jsonl", map(to_json, texts))
    write_jsonl(options.out / "good.jsonl", (to_json(one) for one in task.good_texts() if one.query not in queries))
    found = {depth: judged(depth, options.out / "texts.jsonl", options) for depth in ("short", "full")}
    print(f"{len(texts)} texts of {options.task}, {options.model}, uncalibrated")
    for depth, row in found.items():
        low, high = row["accuracy_ci"]
        print(
            f"  {depth:5}  accuracy {row['accuracy']:.3f} [{low:.3f}, {high:.3f}]  says good {row['says_good']:.2f}  "
            f"unscored {row['unscored']}  {row['tokens_a_text']:.0f} tokens  {row['seconds_a_text']:.1f} s a text"
        )
    for name in ("tokens_a_text", "seconds_a_text"):
        print(f"  {name}: full / short = {found['full'][name] / found['short'][name]:.2f}")


if __name__ == "__main__":
    main()
