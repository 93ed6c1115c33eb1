"""``inkfire cost --cascade CHEAP DEAR``: both are asked about labelled texts; half fit the band, half measure it."""

from __future__ import annotations

import dataclasses
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inkfire.errors import InputError
from inkfire.evaluation.cascade import Asked, Cost, fit_band, measure_cascade
from inkfire.files.formats import split_by_query
from inkfire.judge.base import Took, judge_many
from inkfire.judge.calibration import raw_score
from inkfire.judge.spec import JudgeSpec
from inkfire.llm import loop
from inkfire.llm.bill import Bill
from inkfire.llm.entry import Entry
from inkfire.records import Label, Labelled
from inkfire.rewards.threshold import fit_threshold
from inkfire.runs.context import Context
from inkfire.runs.labels import read_given, upstream


@dataclass(frozen=True)
class Answers:
    """One signal's: of each text its score, its label where it says one by itself, and what the text took."""

    name: str
    scores: Sequence[float | None]
    labels: Sequence[Label | None] | None
    spent: Sequence[Cost]
    unscored: Counter[str]

    def said(self, labels: Sequence[int], queries: Sequence[str], fit: Sequence[int], seed: int) -> list[Label | None]:
        """Its labels; of a score that has no threshold, by one that is fitted on the texts numbered in ``fit``."""
        if self.labels is not None:
            return list(self.labels)
        found = fit_threshold([self.scores[i] for i in fit], [labels[i] for i in fit], [queries[i] for i in fit], seed)
        return [None if score is None else int(score >= found["threshold"]) for score in self.scores]  # type: ignore[misc]


def ask(context: Context, signal: str, texts: Sequence[Labelled]) -> Answers:
    """The answers of a saved judge, by its folder, or of any reward that calls no model elsewhere.

    A judge's seconds are those of its replies, one after another, as they were when they came; a reward's are measured
    now, for all texts together.
    """
    folder = Path(signal)
    name = "/".join(folder.absolute().parts[-2:]) if folder.exists() else signal
    if not (folder / "judge.json").is_file():
        reward = context.reward(signal)
        started = time.perf_counter()
        scores = reward.score([text.query for text in texts], [text.response for text in texts])
        each = Cost(seconds=(time.perf_counter() - started) / len(texts))
        cut = reward.threshold
        labels = None if cut is None else [None if s is None else int(s >= cut) for s in scores]
        missing = Counter({"it gave no score": scores.count(None)} if None in scores else {})
        return Answers(name, scores, labels, [each] * len(texts), missing)  # type: ignore[arg-type]
    took: Took = {}
    spec = dataclasses.replace(JudgeSpec.read(folder), took=took)
    with context.judging(name, len(texts), spec.model, spec.mode) as (llm, how):
        verdicts = loop.run(judge_many(context.besides(spec).build(llm), texts, **how))
    own = spec.calibration is not None or spec.mode != "logprob"
    return Answers(
        name,
        [raw_score(verdict) for verdict in verdicts],
        [verdict.label for verdict in verdicts] if own else None,
        [_spent(took.get((text.query, text.response), ())) for text in texts],
        Counter(verdict.unscored for verdict in verdicts if verdict.unscored),
    )


def _spent(entries: Sequence[Entry]) -> Cost:
    return Cost(len(entries), sum(entry.latency for entry in entries), Bill.of(entries))


def cascade(
    context: Context, signals: tuple[str, str], texts: Sequence[Labelled], *, tolerance: float, seed: int
) -> dict[str, Any]:
    """Fit on half of the queries and measure on the others.

    Returns:
        ``cheap`` and ``dear`` (names), ``n_fit``, ``left_out`` texts of queries that one of them learnt from, ``cut``,
        ``width`` (None: everything is asked), ``tolerance``, ``why_unscored`` by signal, and what ``measure_cascade``
        says of the test texts.

    Raises:
        InputError: too few texts are left, or they cannot be split so that both parts have both labels.
    """
    whole = len(texts)
    folders = [Path(signal) for signal in signals if (Path(signal) / "manifest.json").is_file()]
    learnt = read_given(made for folder in folders for made in upstream(folder)).queries
    texts = [text for text in texts if text.query not in learnt]
    if not texts:
        raise InputError(f"{' or '.join(signals)} learnt from the queries of all labelled texts: name others, --data F")
    fit, test = split_by_query(texts, fraction=0.5, seed=seed)
    for part, what in ((fit, "fits"), (test, "tests")):
        if len({row.label for row in part}) < 2:
            raise InputError(
                f"a cascade needs labelled texts of both labels and of several queries; the half that {what} it has "
                f"{len(part)} of one label"
            )
    both = [*fit, *test]
    cheap, dear = (ask(context, signal, both) for signal in signals)
    labels, queries = [row.label for row in both], [row.query for row in both]
    said = dear.said(labels, queries, range(len(fit)), seed)
    rows = [Asked(*row) for row in zip(both, cheap.scores, said, cheap.spent, dear.spent, strict=True)]
    band = fit_band(rows[: len(fit)], tolerance=tolerance, seed=seed)
    found = measure_cascade(rows[len(fit) :], band, seed=seed)
    about: dict[str, Any] = {"cheap": cheap.name, "dear": dear.name, "n_fit": len(fit), "tolerance": tolerance}
    about["left_out"] = whole - len(texts)
    reasons = {"cheap": dict(cheap.unscored), "dear": dict(dear.unscored)}
    return about | {"cut": band.cut, "width": band.width, "why_unscored": reasons} | found
