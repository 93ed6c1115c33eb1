"""What each signal sees: rewards and judges by kind of damage, with intervals, by the commands that a user types.

    python benchmarks/bench_qualification.py --task greetings-zh --pairs reward_data_train.json --ratings rated.jsonl

Every signal is shown the same ``--texts`` good texts of the task and the same texts damaged in six ways; with
``--ratings`` also a policy's rated texts. ``rank`` and ``tournament`` look at groups: each good text, of as many
queries as there are, stands beside all that damage makes of it. Judges are first measured on the task's own labelled
texts or pairs. A signal whose result lies in OUT is read back, and a judge's replies are in its ledger: a run that was
stopped goes on. ``--only`` names the signals to measure now. Peer: length, in each row.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import readers

from inkfire.files.reading import Reading
from inkfire.runs.damage import good_texts
from inkfire.runs.qualify import Exam, read_ratings
from inkfire.stress.damage import KINDS
from inkfire.tasks.task import load_task

JUDGE, BASE = "local/qwen2.5-coder-1.5b", "local/qwen2.5-coder-0.5b"
FROZEN = {"fluency": readers.fluencies, "relevance": readers.relevances}
GROUPED = {"rank": "rank", "tournament": "pairwise"}
SIGNALS = (
    *("linear", "transformer", "judge", "judge-nearest", "checklist", *GROUPED),
    *("fluency", "relevance", "judge+linear", "min"),
)


def inkfire(*words: object, task: str) -> dict[str, Any]:
    """What a command says with --json."""
    command = [sys.executable, "-m", "inkfire", *map(str, words), "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "INKFIRE_TASK": task})
    result: dict[str, Any] = json.loads(done.stdout)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {result.get('error', done.returncode)}")
    return result


def made(name: str, args: argparse.Namespace) -> str:
    """The reward by its name, trained or judged first where it is not there."""
    out, task = args.out, args.task
    if name in ("judge+linear", "min"):
        judge, linear = made("judge", args), made("linear", args)
        return f"min({judge}, {linear})" if name == "min" else f"1*{judge} + 0.1*{linear}"
    folder = out / name
    if name in ("linear", "transformer"):
        pairs: Sequence[object] = () if args.pairs is None else ("--pairs", args.pairs)
        more: Sequence[object] = () if name == "linear" else ("--base", BASE, "--epochs", 1)
        words = ("train", "rm", "--task", task, *pairs, "--kind", name, *more)
    else:
        words = ("judge", "--task", task, "--model", args.judge)
        words += {
            "judge-nearest": ("--examples", 4),
            "checklist": ("--mode", "checklist", "--author-model", args.author or args.judge),
        }.get(name, ())
        words += ("--mode", GROUPED[name]) if name in GROUPED else ()
    if not (folder / ("reward.json" if name in ("linear", "transformer") else "judge.json")).is_file():
        inkfire(*words, "--qualify", 0, "--out", folder, task=task)
    return f"{name}:{folder}" if name in GROUPED else str(folder)


def measured(name: str, args: argparse.Namespace) -> dict[str, Any]:
    """What it sees: read back where it was measured."""
    kept = args.out / f"{name}.json"
    if not kept.is_file():
        task = load_task(args.task)
        if name in FROZEN:  # in one process: many texts at once
            rated = read_ratings(() if args.ratings is None else (args.ratings,), Reading())
            exam = Exam.of(args.texts, rated, good_texts(task.labelled()))
            os.environ["INKFIRE_TASK"] = args.task
            kept.write_text(json.dumps(exam.taken(FROZEN[name], seed=0)))
            return measured(name, args)
        ratings: Sequence[object] = () if args.ratings is None else ("--ratings", args.ratings)
        data = ("--data", task.data_file("labelled"), *ratings, "--qualify", args.texts, "--force")
        kept.write_text(json.dumps(inkfire("score", "--reward", made(name, args), *data, task=args.task)))
    result: dict[str, Any] = json.loads(kept.read_text())
    return result


def cell(row: dict[str, Any], name: str) -> str:
    if row.get(name) is None:
        return "–"
    low, high = row[f"{name}_ci"]
    return f"{row[name]:.2f} [{low:.2f}, {high:.2f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default="greetings-zh")
    parser.add_argument("--pairs", type=Path, help="pairs of the reward models; the task's own if none")
    parser.add_argument("--ratings", type=Path, help="rated texts of a policy")
    parser.add_argument("--texts", type=int, default=40)
    parser.add_argument("--judge", default=JUDGE, help="the model of every judge")
    parser.add_argument("--author", help="the model that writes checklists; the judge's own if none")
    parser.add_argument("--only", nargs="*", choices=SIGNALS, default=SIGNALS)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    args.out = args.out or Path("runs/bench-qualification") / args.task
    args.out.mkdir(parents=True, exist_ok=True)
    print("| signal |", " | ".join(KINDS), "| within the query |")
    print("|---" * (len(KINDS) + 2), "|", sep="")
    result: dict[str, Any] = {}
    for name in args.only:
        result = measured(name, args)
        cells = [cell(result["qualified"][kind], "auc") for kind in KINDS]
        print("|", " | ".join([name, *cells, cell(result.get("within_query") or {}, "correlation")]), "|", flush=True)
    lengths = [cell(result["qualified"][kind], "length_auc") for kind in KINDS]
    print("|", " | ".join(["length", *lengths, ""]), "|")


if __name__ == "__main__":
    main()
