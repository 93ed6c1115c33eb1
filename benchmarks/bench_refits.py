"""Does the interval of an ablation's reward model know what other pairs to learn from would have made of it?

    python benchmarks/bench_refits.py --pairs reward_data_train.json

Again and again a linear reward model learns from a few pairs, drawn from a file, of which a share have the right side
chosen; it is asked about the same held-out pairs. Printed is the spread of what comes of it beside the error that the
refits without each group of queries give (``evaluation/ablation.py``), and how often its interval holds the mean.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path
from statistics import fmean, stdev

from inkfire.evaluation.ablation import GROUPS, Seen, described, group_of
from inkfire.files.formats import read_pairs
from inkfire.records import Preference
from inkfire.stats.twins import NgramPairModel

SCENES = ((20, 0.5), (20, 0.8), (60, 0.6))
"""Pairs that are learnt from, and the share of them that are the right way round."""


def right(learnt: list[Preference], held_out: list[Preference]) -> list[float | None]:
    model, queries = NgramPairModel().fit(learnt), [pair.query for pair in held_out]
    good = model.score(queries, [pair.chosen for pair in held_out])
    bad = model.score(queries, [pair.rejected for pair in held_out])
    return [float(a > b) for a, b in zip(good, bad, strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=Path, required=True)
    parser.add_argument("--held-out", type=int, default=400)
    parser.add_argument("--draws", type=int, default=40)
    options = parser.parse_args()
    rng = random.Random(0)
    pairs = read_pairs((options.pairs,))
    rng.shuffle(pairs)
    held_out, pool = pairs[: options.held_out], pairs[options.held_out :]
    for n, share in SCENES:
        found: list[tuple[float, float, float]] = []
        for _ in range(options.draws):
            drawn = rng.sample(pool, n)
            learnt = [p if rng.random() < share else Preference(p.query, p.rejected, p.chosen) for p in drawn]
            without = [[pair for pair in learnt if group_of(pair.query) != group] for group in range(GROUPS)]
            row = described(Seen(held_out=held_out, models=[right(part, held_out) for part in (learnt, *without)]))
            found.append((row["rm_accuracy"], *row["rm_accuracy_ci"]))
        mean, spread = fmean(one for one, _, _ in found), stdev(one for one, _, _ in found)
        reach = fmean((high - low) / 2 for _, low, high in found)
        held = fmean(low <= mean <= high for _, low, high in found)
        print(
            f"{n} pairs, {share:.0%} right: accuracy {mean:.3f}, sd {spread:.3f}; half of the interval {reach:.3f}, it "
            f"holds the mean in {held:.0%} of {options.draws} draws"
        )


if __name__ == "__main__":
    main()
