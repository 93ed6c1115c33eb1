"""Seconds of ``inkfire evaluate`` and ``inkfire report`` where every text and every verdict is there already.

    python benchmarks/bench_evaluate.py

Four policies (files of texts) with 200 texts each, by a judge, a rubric, a reward model and length. The judge is an
endpoint (the tests' stub): the first comparison asks it, the second, in a folder of its own, finds all in the ledger
and is the one that is timed, start of Python and imports included.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from endpoint import endpoint

from inkfire.files.jsonl import write_jsonl
from inkfire.records import to_json
from inkfire.tasks.task import load_task

MARK = " ~"  # by which the stub knows a good text


def timed(*words: object) -> float:
    begun = time.perf_counter()
    command = [sys.executable, "-m", "inkfire", *map(str, words), "--json"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.stdout or done.stderr}")
    result = json.loads(done.stdout)
    print(f"  {words[0]}: {time.perf_counter() - begun:.1f} s, {result.get('calls', 0)} calls", flush=True)
    return time.perf_counter() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default="greetings-en")
    parser.add_argument("--queries", type=int, default=200)
    options = parser.parse_args()
    task, draw = load_task(options.task), random.Random(0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        queries = [f"{task.queries()[i % 60].query} ({i})" for i in range(options.queries)]
        write_jsonl(folder / "prompts.jsonl", [{"query": query} for query in queries])
        texts = [row.response for row in task.labelled()]
        rows = [to_json(row) for row in task.labelled()]
        write_jsonl(folder / "labelled.jsonl", [r | {"response": r["response"] + MARK * r["label"]} for r in rows])
        policies: list[object] = []
        for policy in ("base", "sft", "rm-rl", "judge-rl"):
            rows = [
                {"query": q, "response": f"{draw.choice(texts)} {draw.choice(texts)[:40]}{MARK * draw.randrange(2)}"}
                for q in queries
            ]
            write_jsonl(folder / f"{policy}.jsonl", rows)
            policies += ["--policy", f"{policy}={folder / policy}.jsonl"]
        with endpoint(folder / "requests.jsonl", mark=MARK) as served:
            asked = ("--task", task.name, "--model", "stub", "--base-url", served.url)
            timed("judge", *asked, "--data", folder / "labelled.jsonl", "--out", folder / "judge")
            timed("train", "rm", "--task", task.name, "--out", folder / "rm")
            signals: list[object] = []
            for signal in (f"judge={folder / 'judge'}", "rubric", f"rm={folder / 'rm'}", "length"):
                signals += ["--signal", signal]
            words = ("evaluate", *asked, "--prompts", folder / "prompts.jsonl", *policies, *signals)
            timed(*words, "--out", folder / "first")
            again = timed(*words, "--out", folder / "again")
        drawn = timed("report", folder / "again")
    print(f"evaluate: {again:.1f} s, report: {drawn:.1f} s")


if __name__ == "__main__":
    main()
