"""``inkfire judge --mode pairwise``: preference pairs, each compared in both orders.

out/comparisons.jsonl   one line a pair, in the order of the data
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from inkfire.errors import InputError
from inkfire.files.formats import read_pairs
from inkfire.files.jsonl import write_jsonl
from inkfire.judge.base import compare_many
from inkfire.judge.guard import GuardedPairwise
from inkfire.judge.principles import read_principles
from inkfire.judge.ranking import PairwiseJudge, measure_pairs
from inkfire.judge.spec import JudgeSettings
from inkfire.llm import loop
from inkfire.records import Comparison, Preference
from inkfire.runs.context import Context, Place, described, named_files, opened
from inkfire.runs.judge import JudgeInputs, choose_examples
from inkfire.tasks.task import load_task


def compare(inputs: JudgeInputs, settings: JudgeSettings, place: Place) -> dict[str, Any]:
    """Compare the texts of each pair of ``data``: the fields of :func:`measure_pairs` and what it cost.

    Raises:
        InputError: anything about the inputs that the user must change.
    """
    if inputs.calibration or settings.cost_false_good is not None or settings.votes > 1:
        raise InputError("--mode pairwise has nothing to calibrate and no votes: leave these options out")
    task = load_task(inputs.task)
    if settings.examples:
        task.check_examples("pairwise")
    pairs = read_pairs(inputs.data, inputs.reading)
    rules = read_principles(inputs.principles) if inputs.principles else None
    examples = choose_examples(settings, inputs, [], {pair.query for pair in pairs}, place.seed)
    about = described(inputs, task=task.name, task_version=task.version)
    del about["calibration_fraction"]
    about |= {"examples": settings.examples, "examples_choice": settings.examples_choice}

    def work(context: Context) -> dict[str, Any]:
        concurrency = context.access.at_once(inputs.model, "pairwise")
        llm = context.model(inputs.model, concurrency=concurrency)
        judge = GuardedPairwise(PairwiseJudge(task, llm, rules, examples))
        with context.bars("compare", len(pairs)) as bar:
            said = loop.run(
                compare_many(
                    judge, pairs, concurrency=concurrency, advance=lambda one: bar.advance(failed=one.winner is None)
                )
            )
        write_jsonl(context.run.path("comparisons.jsonl"), map(_row, pairs, said))
        return measure_pairs(pairs, said)

    with opened("judge pairwise", place, settings=about, files=named_files(inputs)) as context:
        return context.once("pairwise", lambda: work(context))


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
