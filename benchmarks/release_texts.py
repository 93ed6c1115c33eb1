"""Labelled texts of the paper's data release, split by query: what the judge benchmarks judge.

    python benchmarks/release_texts.py runs/release-texts

writes those on which docs/judge.md measures examples: fit.jsonl (100 texts), test.jsonl (400), matched.jsonl (200
further ones, length-matched) and pool.jsonl (600 to choose examples from), no query in two of them.

The release is the folder that INKFIRE_RELEASE_DATA names (``inkfire data pull greetings-zh`` fetches it). A chosen text
is labelled good, a rejected one bad; one pair a query is taken, so that no query is in two parts.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
from pathlib import Path

from inkfire.files.formats import read_pairs
from inkfire.files.jsonl import write_jsonl
from inkfire.records import Labelled, Preference, to_json
from inkfire.stats.twins import LENGTH_MATCHED


def release_pairs(seed: int) -> list[Preference]:
    """One pair a query, in an order that the seed decides. Leaves the process where there is no release."""
    folder = os.environ.get("INKFIRE_RELEASE_DATA")
    if not folder:
        print("skipped: INKFIRE_RELEASE_DATA does not name the folder of the paper's data release")
        sys.exit(0)
    by_query = {pair.query: pair for pair in read_pairs(Path(folder) / "reward_data_train.json")}
    pairs = sorted(by_query.values(), key=lambda pair: pair.query)
    random.Random(seed).shuffle(pairs)
    return pairs


def matched(pair: Preference) -> bool:
    """Whether its texts are about equally long, so that length says nothing."""
    low, high = LENGTH_MATCHED
    return low * len(pair.rejected) <= len(pair.chosen) <= high * len(pair.rejected)


def texts_of(pairs: list[Preference]) -> list[Labelled]:
    return [
        text
        for pair in pairs
        for text in (Labelled(pair.query, pair.chosen, 1), Labelled(pair.query, pair.rejected, 0))
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    pairs = release_pairs(seed=0)
    parts = {"fit": pairs[:50], "test": pairs[50:250], "matched": [pair for pair in pairs[400:] if matched(pair)][:100]}
    taken = {pair.query for part in parts.values() for pair in part}
    parts["pool"] = [pair for pair in pairs if pair.query not in taken][:300]
    for name, part in parts.items():
        write_jsonl(out / f"{name}.jsonl", map(to_json, texts_of(part)))


if __name__ == "__main__":
    main()
