"""Alarms, tested as one tests a detector: are texts that turn bad seen, and are good ones left in peace?

    python benchmarks/bench_alarms.py [--first 0] [--seeds 20]

Synthetic rollouts of both greetings tasks: 20 steps of 32 of the task's good texts. From a known step on (7 to 10, by
seed) they turn in one way, all at once or, text by text, over eight steps:

    longer    sentences of other texts behind them      foreign   another query's text
    cut       broken off within a clause                phrase    one phrase before all of them
    looped    a clause over and over                    emoji     four emoji behind them
    strung    clauses, or favourite phrases, of others

A detection is an alarm within eight steps of the onset and none before it; on sequences that do not turn, any alarm is
a false one. The rules were fixed on seeds 100 to 105.
"""

from __future__ import annotations

import argparse
import random
from collections import Counter
from collections.abc import Sequence

from inkfire.records import Candidate, Rollout
from inkfire.stress.damage import beside_damaged
from inkfire.tasks.task import load_task
from inkfire.training.alarms import Alarm, Watch

TASKS = ("greetings-zh", "greetings-en")
STEPS, TEXTS, WITHIN = 20, 32, 8
TURNS = ("longer", "cut", "looped", "strung", "foreign", "phrase", "emoji")
_PHRASE = {"greetings-zh": "如春风般温暖，", "greetings-en": "Like a warm spring breeze, "}
_EMOJI = "🎉🎂✨🌸🎁🌟💐🥳"


def turned(kind: str, texts: Sequence[Candidate], task: str, rng: random.Random) -> dict[Candidate, Candidate]:
    """A text → the same, turned; those that cannot be turned in this way are missing."""
    if kind in ("cut", "looped", "strung", "foreign"):
        return dict(beside_damaged(kind, texts, seed=rng.randrange(1000)))
    out = {}
    for text in texts:
        if kind == "longer":
            other = rng.choice([one for one in texts if one.query != text.query]).response
            said = text.response + (" " if task.endswith("en") else "") + other
        elif kind == "phrase":
            said = _PHRASE[task] + text.response
        else:
            said = text.response + "".join(rng.sample(_EMOJI, 4))
        out[text] = Candidate(text.query, said)
    return out


def sequence(task: str, kind: str | None, gradual: bool, seed: int) -> tuple[list[list[Rollout]], int]:
    """The steps of a synthetic training, and the step of the onset."""
    rng = random.Random(f"{task} {kind} {gradual} {seed}")
    good = load_task(task).good_texts()
    texts = [Candidate(text.query, text.response) for text in good]
    onset = rng.randint(7, 10)
    bad = {} if kind is None else turned(kind, texts, task, rng)
    steps = []
    for step in range(1, STEPS + 1):
        share = 0.0 if step < onset else min(1.0, (step - onset + 1) / WITHIN) if gradual else 1.0
        drawn = rng.sample(texts, TEXTS)
        written = [bad.get(text, text) if rng.random() < share else text for text in drawn]
        steps.append([Rollout(step, text.query, text.response) for text in written])
    return steps, onset


def alarms(steps: Sequence[Sequence[Rollout]]) -> list[Alarm]:
    watch = Watch()
    return [alarm for step in steps for alarm in watch.see(step)]


def detected(task: str, kind: str, gradual: bool, seed: int) -> tuple[int | None, str]:
    """Steps from the onset to the first alarm, and its name; None for a late, an early or no one."""
    steps, onset = sequence(task, kind, gradual, seed)
    first = next(iter(alarms(steps)), None)
    if first is None or not onset <= first.step <= onset + WITHIN:
        return None, "none" if first is None else f"{first.what} at {first.step - onset:+d}"
    return first.step - onset, first.what


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=20)
    given = parser.parse_args()
    seeds = range(given.first, given.first + given.seeds)
    print("| task | texts turn | | detected | steps to the alarm, mean | first alarm |\n|---|---|---|---:|---:|---|")
    for task in TASKS:
        for kind in TURNS:
            for gradual in (False, True):
                found = [detected(task, kind, gradual, seed) for seed in seeds]
                took = [steps for steps, _ in found if steps is not None]
                mean = f"{sum(took) / len(took):.1f}" if took else ""
                names = ", ".join(f"{name} {n}" for name, n in Counter(name for _, name in found).most_common())
                speed = "gradually" if gradual else "at once"
                print(f"| {task} | {kind} | {speed} | {len(took)} of {len(found)} | {mean} | {names} |", flush=True)
        rung = [alarms(sequence(task, None, False, seed)[0]) for seed in seeds]
        names = ", ".join(f"{one.what} at {one.step}" for of in rung for one in of)
        print(f"| {task} | not at all | | {sum(map(bool, rung))} of {len(rung)} alarm | | {names} |", flush=True)


if __name__ == "__main__":
    main()
