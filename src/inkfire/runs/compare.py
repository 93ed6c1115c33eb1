"""The run behind ``inkfire judge --mode pairwise``: preference pairs, each compared in both orders.

    out/comparisons.jsonl   one line a pair, in the order of the data

A judge that prefers a place and not a text makes a tie, which counts as half right. How often that happens is the rate
of order flips. Beside the accuracy stands what length alone gets right.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from inkfire.errors import ModelCallError
from inkfire.files.formats import read_pairs
from inkfire.files.jsonl import write_jsonl
from inkfire.files.run import Run
from inkfire.judge.answers import Comparison, PairwiseJudge
from inkfire.judge.guard import GuardedPairwise
from inkfire.judge.judging import Access, finish, read_back
from inkfire.judge.principles import read_principles
from inkfire.llm import loop, stream
from inkfire.llm.ledger import Ledger
from inkfire.records import Preference
from inkfire.runs.judge import JudgeSettings, choose_examples
from inkfire.runs.progress import Progress
from inkfire.stats.twins import LENGTH_MATCHED, rate
from inkfire.tasks.task import load_task

_RIGHT = {"a": 1.0, "tie": 0.5, "b": 0.0}


def measure_pairs(pairs: Sequence[Preference], comparisons: Sequence[Comparison]) -> dict[str, Any]:
    """How often the judge prefers what the data prefers; ``a`` of a comparison is the pair's chosen text.

    ``accuracy`` (a tie is half right), ``accuracy_decided`` of the ``decided`` pairs, ``ties``, ``order_flip_rate``,
    ``first_place_rate`` of the flips; the accuracies of ``n_length_matched`` pairs; and ``longer_wins``, the length
    twin. Intervals are clustered by query. Unscored pairs are counted and left out.
    """
    rows = [(pair, said) for pair, said in zip(pairs, comparisons, strict=True) if said.winner is not None]
    low, high = LENGTH_MATCHED
    matched = [row for row in rows if low * len(row[0].rejected) <= len(row[0].chosen) <= high * len(row[0].rejected)]
    out: dict[str, Any] = {"n": len(pairs), "scored": len(rows), "unscored": len(pairs) - len(rows)}
    out |= _accuracies(rows, "")
    queries, places = [pair.query for pair, _ in rows], [said.place for _, said in rows]
    flipped = [(place == 1, query) for place, query in zip(places, queries, strict=True) if place is not None]
    out |= {"ties": sum(said.winner == "tie" for _, said in rows)}
    out |= rate("order_flip_rate", [place is not None for place in places], queries)
    out |= rate("first_place_rate", [first for first, _ in flipped], [query for _, query in flipped])
    out |= {"n_length_matched": len(matched)} | _accuracies(matched, "_length_matched")
    return out | rate("longer_wins", [len(pair.chosen) > len(pair.rejected) for pair, _ in rows], queries)


def _accuracies(rows: Sequence[tuple[Preference, Comparison]], suffix: str) -> dict[str, Any]:
    decided = [row for row in rows if row[1].winner != "tie"]
    out: dict[str, Any] = {f"decided{suffix}": len(decided)}
    for name, part in ((f"accuracy{suffix}", rows), (f"accuracy_decided{suffix}", decided)):
        right = [_RIGHT[said.winner or "tie"] for _, said in part]
        out |= rate(name, right, [pair.query for pair, _ in part])
    return out


def compare_data(
    *,
    task: str,
    model: str,
    data: Path,
    out: Path,
    settings: JudgeSettings = JudgeSettings(),
    principles: Path | None = None,
    examples_from: Path | None = None,
    access: Access = Access(),
    seed: int = 0,
    note: Callable[[str], None] = lambda message: None,
) -> dict[str, Any]:
    """Compare the texts of each pair of ``data``: the fields of :func:`measure_pairs` and what it cost.

    Raises:
        InputError: anything about the inputs that the user must change.
    """
    loaded = load_task(task)
    if settings.examples:
        loaded.check_examples("pairwise")
    pairs = read_pairs(data)
    rules = read_principles(principles) if principles else None
    examples = choose_examples(settings, examples_from, [], {pair.query for pair in pairs}, seed, note)
    inputs = {"data": data, "principles": principles, "examples_from": examples_from}
    shown = {"examples": settings.examples, "examples_choice": settings.examples_choice}
    run = Run.open(
        out,
        command="judge pairwise",
        settings={"task": loaded.name, "task_version": loaded.version, "model": model} | shown,
        inputs={name: path for name, path in inputs.items() if path is not None},
        seed=seed,
    )
    if (done := read_back(run, "pairwise", access)) is not None:
        return done
    started = time.monotonic()

    async def compared(ledger: Ledger) -> list[Comparison]:
        from inkfire.models.open import open_model

        at_once = access.at_once(model, "pairwise")
        async with open_model(model, ledger=ledger, base_url=access.base_url, concurrency=at_once) as llm:
            judge = GuardedPairwise(PairwiseJudge(loaded, llm, rules, examples))
            with Progress("compare", len(pairs), stats=ledger.stats) as progress:
                return await compare_all(
                    judge, pairs, concurrency=at_once, advance=lambda said: progress.advance(failed=said.winner is None)
                )

    with access.ledger(run) as ledger:
        comparisons = loop.run(compared(ledger))
        stats = ledger.stats()
    write_jsonl(run.path("comparisons.jsonl"), map(_row, pairs, comparisons))
    result = measure_pairs(pairs, comparisons)
    return finish(run, "pairwise", result, stats, started)


class Compares(Protocol):
    """A judge of two texts: ``PairwiseJudge``, or what stands before one."""

    async def compare(self, query: str, a: str, b: str) -> Comparison: ...


async def compare_all(
    judge: Compares,
    pairs: Sequence[Preference],
    *,
    concurrency: int,
    advance: Callable[[Comparison], None] = lambda said: None,
) -> list[Comparison]:
    """The comparisons of (chosen, rejected), in the order of the pairs."""

    async def one(pair: Preference) -> Comparison:
        try:
            return await judge.compare(pair.query, pair.chosen, pair.rejected)
        except ModelCallError as error:
            return Comparison(None, unscored=str(error))

    comparisons = []
    async for said in stream.ordered(one, pairs, limit=concurrency):
        comparisons.append(said)
        advance(said)
    return comparisons


def _row(pair: Preference, said: Comparison) -> Mapping[str, Any]:
    """One line of comparisons.jsonl: ``winner`` is ``chosen``, ``rejected``, ``tie`` or null."""
    names = {"a": "chosen", "b": "rejected", "tie": "tie"}
    return {
        "query": pair.query,
        "chosen": pair.chosen,
        "rejected": pair.rejected,
        "winner": said.winner and names[said.winner],
        "place": said.place,
        "reason": said.reason,
        "unscored": said.unscored,
    }
