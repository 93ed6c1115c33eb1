"""README.md of a curation: the dataset card that the Hugging Face hub reads, with what a user of the pairs must know.

It is made of the run folder alone (manifest, result, pairs, transcripts), in one pass over each file, and carries no
times: the same replies give the same card.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

from inkfire.files.formats import iter_pairs
from inkfire.files.jsonl import atomic, read_jsonl
from inkfire.files.run import Run, before_named
from inkfire.records import Query
from inkfire.settings import from_json
from inkfire.stats import intervals
from inkfire.stats.audit import audit
from inkfire.tasks.slices import Slice, coverage, say_coverage

CARD = "README.md"
AUDITED = 2000
"""Pairs that are audited at most, spread evenly over the file: the audit holds them in memory."""

_SIZES = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M"))


def write_card(run: Run, result: Mapping[str, Any]) -> None:
    """Write README.md into the folder of a curation whose other files are written."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("inkfire.runs"), undefined=StrictUndefined, trim_blocks=True, keep_trailing_newline=True
    )
    environment.globals.update(pct=_percent, num=_number, between=_between, share=_share)
    settings = run.manifest["settings"]
    card = environment.get_template("card.md.jinja").render(
        result=result,
        settings=settings,
        debate={name: before_named(settings, name) for name in ("depth", "k_search", "k_final")},
        version=run.manifest["inkfire"],
        seed=run.manifest["seed"],
        inputs=run.manifest["inputs"],
        writers=[
            f"{spec['model']}, prompt {spec['prompt']}, temperature {spec['temperature']:g}"
            for spec in settings["writers"]
        ],
        size=next((name for bound, name in _SIZES if result["pairs"] < bound), "n>10M"),
        **_debates(run.out / "transcripts.jsonl"),
        **_pairs(run.out / "pairs.jsonl", result["pairs"], run.manifest["seed"]),
        **_covered(run.out / "pairs.jsonl", result["pairs"], settings.get("slices", {})),
    )
    with atomic(run.out / CARD) as file:
        file.write(card.encode("utf-8", "replace"))


def _debates(path: Path) -> dict[str, Any]:
    """How Judge and Reflect agreed, and which side the verdict was with."""
    both: Counter[str] = Counter({f"{judge}-{reflect}": 0 for judge in (0, 1) for reflect in (0, 1)})
    heard: Counter[int] = Counter()
    silent = 0
    for row in read_jsonl(path):
        if row["judge"] is not None and row["reflect"] is not None:
            both[f"{row['judge']['judge']}-{row['reflect']['judge']}"] += 1
        if row["positive"] is not None and row["negative"] is not None and row["label"] is not None:
            heard[row["label"]] += 1
            silent += not (row["positive"] or row["negative"])
    n, same = both.total(), both["0-0"] + both["1-1"]
    spoken = heard.total()
    sides = {"n": spoken, "good": heard[1] / spoken, "good_ci": intervals.wilson(heard[1], spoken)} if spoken else None
    return {
        "both": both,
        "audited": n,
        "agreement": same / n if n else None,
        "agreement_ci": intervals.wilson(same, n) if n else None,
        "kappa": _kappa(both) if n else None,
        "sides": sides,
        "silent": silent,
    }


def _kappa(both: Mapping[str, int]) -> float | None:
    """Cohen's kappa (1960) of a two by two table; None when both only ever gave one and the same label."""
    n = sum(both.values())
    judge, reflect = (both["1-0"] + both["1-1"]) / n, (both["0-1"] + both["1-1"]) / n
    chance = judge * reflect + (1 - judge) * (1 - reflect)
    return None if chance == 1 else ((both["0-0"] + both["1-1"]) / n - chance) / (1 - chance)


def _pairs(path: Path, n: int, seed: int) -> dict[str, Any]:
    """Lengths of all pairs, and the audit of a share of them."""
    if not n:
        return {"lengths": None, "findings": [], "sampled": ""}
    step = -(-n // AUDITED)
    lengths: dict[str, Counter[int]] = {"chosen": Counter(), "rejected": Counter()}
    audited = []
    for number, pair in enumerate(iter_pairs(path)):
        lengths["chosen"][len(pair.chosen)] += 1
        lengths["rejected"][len(pair.rejected)] += 1
        if number % step == 0:
            audited.append(pair)
    sampled = f" ({len(audited)} pairs, each {step}th, stand for all)" if step > 1 else ""
    return {
        "lengths": {name: _distribution(counts) for name, counts in lengths.items()},
        "findings": audit(pairs=audited, seed=seed)["findings"],
        "sampled": sampled,
    }


def _covered(path: Path, n: int, slices: Mapping[str, Any]) -> dict[str, Any]:
    """Whose texts the pairs are made of, and which of the task's occasions."""
    sides: dict[str, Counter[str]] = {}
    queries: dict[str, None] = {}
    for pair in iter_pairs(path) if n else ():
        queries[pair.query] = None
        for side in ("chosen", "rejected"):
            if writer := pair.provenance.get(f"{side}_source"):
                sides.setdefault(writer, Counter())[side] += 1
    known = {name: from_json(one, Slice) for name, one in slices.items()}
    occasions = coverage(map(Query.of, queries), known) if known and queries else None
    most_first = dict(sorted(sides.items(), key=lambda item: (-item[1].total(), item[0])))
    return {
        "sides_of": most_first,
        "occasions": occasions and say_coverage(occasions),
        "missing": occasions and occasions["missing"],
    }


def _distribution(counts: Counter[int]) -> dict[str, float]:
    """Mean and quantiles of values that are counted: the smallest value with that share at or below it."""
    n, values = counts.total(), sorted(counts)
    up_to = list(accumulate(counts[value] for value in values))
    quantiles = {"p5": 0.05, "median": 0.5, "p95": 0.95}
    mean = sum(value * count for value, count in counts.items()) / n
    return {"mean": mean} | {name: values[bisect_left(up_to, q * n)] for name, q in quantiles.items()}


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _between(interval: Sequence[float] | None) -> str:
    return "" if interval is None else f" (95 % interval {100 * interval[0]:.1f} to {100 * interval[1]:.1f} %)"


def _share(value: float | None, interval: Sequence[float] | None) -> str:
    return "" if value is None else f": {_percent(value)}{_between(interval)}"
