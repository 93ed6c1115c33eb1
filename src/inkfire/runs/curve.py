"""``inkfire judge curve``: how many labels a judge needs: accuracy and AUC after a calibration on 10, 20, … of them.

Every text is judged once. The labelled texts are split by query; the test part stays the same, and from the other a
seeded draw of each size fits the calibration, again and again, on the answers that are there already. A number is the
mean over the draws. Its interval holds both sources of chance: which labels were drawn, and which queries the test has
(a bootstrap over queries within each draw, pooled).

    rows = learning_curve(fit, fit_verdicts, test, test_verdicts, sizes=(10, 50))
    rows[0]["labels"], rows[0]["accuracy"], rows[0]["accuracy_ci"]
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge

from inkfire.errors import InputError
from inkfire.files.formats import read_labelled, split_by_query
from inkfire.files.jsonl import write_jsonl
from inkfire.files.reading import AS_IT_STANDS, Data, Reading
from inkfire.judge.base import judge_many
from inkfire.judge.calibration import MIN_LABELS, fit_calibration, raw_score
from inkfire.judge.principles import read_principles
from inkfire.judge.spec import JudgeSettings, JudgeSpec
from inkfire.llm import loop
from inkfire.records import Label, Labelled, Preference, Verdict
from inkfire.rewards.threshold import fit_threshold
from inkfire.runs.context import Context, Place, described, named_files, note, opened, with_own_data
from inkfire.runs.debates import debate_of
from inkfire.runs.judge import choose_examples
from inkfire.settings import option, settings
from inkfire.stats.agreement import resampled_rates
from inkfire.stats.intervals import auc, resampled_auc
from inkfire.stats.twins import NgramPairModel
from inkfire.tasks.task import lasting, load_task

SIZES = (10, 20, 50, 100, 200)
METRICS = ("accuracy", "balanced_accuracy", "auc")
_RESAMPLES = 2000  # over all draws of a size


def learning_curve(
    fit: Sequence[Labelled],
    fitted: Sequence[Verdict],
    test: Sequence[Labelled],
    tested: Sequence[Verdict],
    *,
    sizes: Sequence[int] = SIZES,
    draws: int = 20,
    settings: JudgeSettings = JudgeSettings(),
    seed: int = 0,
) -> list[dict[str, Any]]:
    """One row a size: ``labels``, ``draws``, and accuracy, balanced_accuracy and auc, each with ``NAME_ci``.

    The first row has 0 labels: the uncalibrated judge. ``fitted`` and ``tested`` are uncalibrated verdicts; unscored
    ones are left out. Sizes above what is scored are left out. A draw has the classes in their shares, at least one
    text of each.

    Raises:
        InputError: one class only on either side, or fewer than ten scored texts to draw from.
    """
    pool = [(row, verdict) for row, verdict in zip(fit, fitted, strict=True) if verdict.scored]
    held = [(row, verdict) for row, verdict in zip(test, tested, strict=True) if verdict.scored]
    for name, part in (("drawn from", pool), ("tested on", held)):
        if len({row.label for row, _ in part}) < 2:
            raise InputError(f"the {len(part)} scored texts that are {name} need both classes; label more texts")
    if len(pool) < MIN_LABELS:
        raise InputError(f"{len(pool)} scored texts to draw from are too few; {MIN_LABELS} are needed")
    rows = [_row(0, [_answers([verdict for _, verdict in held])], [row for row, _ in held], seed)]
    for size in sizes:
        if size <= len(pool):
            rng = random.Random(f"{seed} {size}")
            applied = []
            for _ in range(1 if size == len(pool) else draws):
                good, bad = _draw([row.label for row, _ in pool], size, rng)
                drawn = [pool[i] for i in (*good, *bad)]
                calibration = fit_calibration(
                    [verdict for _, verdict in drawn],
                    [row.label for row, _ in drawn],
                    method=settings.calibration_method,
                    cost_false_good=settings.cost_false_good,
                )
                applied.append(_answers([calibration.apply(verdict) for _, verdict in held]))
            rows.append(_row(size, applied, [row for row, _ in held], seed))
    return rows


def reward_curve(
    pool: Sequence[Labelled],
    test: Sequence[Labelled],
    *,
    beside: Sequence[Preference] = (),
    sizes: Sequence[int] = SIZES,
    draws: int = 20,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """The same of a linear reward model that learns from pairs of so many labelled texts (:func:`pairs_of`).

    A row has ``pairs`` too. The threshold is fitted on the texts that it learnt from. The row of 0 labels is there
    where there are pairs ``beside`` them, which are in every row.

    Raises:
        InputError: one class only on either side.
    """
    for name, part in (("drawn from", pool), ("tested on", test)):
        if len({row.label for row in part}) < 2:
            raise InputError(f"the {len(part)} texts that are {name} need both classes; label more texts")
    labels, rows = [row.label for row in pool], []
    for size in (*([0] if beside else []), *sizes):
        if size > len(pool):
            continue
        rng, applied, made = random.Random(f"{seed} {size}"), [], len(beside)
        for number in range(1 if size in (0, len(pool)) else draws):
            good, bad = _draw(labels, size, rng) if size else ([], [])
            drawn = [pool[i] for i in (*good, *bad)]
            pairs = [*beside, *pairs_of(drawn, seed + number)]
            made = len(pairs)
            applied.append(_learnt(pairs, test, seed))
        rows.append(_row(size, applied, test, seed) | {"pairs": made})
    return rows


def pairs_of(texts: Sequence[Labelled], seed: int = 0) -> list[Preference]:
    """A pair for each text of the label that more of them have: its partner answers the same query, if one does.

    Else it is drawn, each in its turn, and its query is left unsaid: a linear model does not look at it.
    """
    good, bad = ([row for row in texts if row.label == label] for label in (1, 0))
    more, fewer = (good, bad) if len(good) >= len(bad) else (bad, good)
    fewer = random.Random(seed).sample(fewer, len(fewer))
    if not fewer:
        return []
    pairs = []
    for number, row in enumerate(more):
        same = [other for other in fewer if other.query == row.query] or fewer
        chosen, rejected = (row, same[number % len(same)])[:: 1 if row.label else -1]
        pairs.append(Preference(row.query, chosen.response, rejected.response))
    return pairs


def _learnt(pairs: Sequence[Preference], test: Sequence[Labelled], seed: int) -> _Answers:
    model = NgramPairModel().fit(pairs)
    known = [Labelled(p.query, text, label) for p in pairs for text, label in _sides(p)]
    scores = model.score([row.query for row in known], [row.response for row in known])
    cut = fit_threshold(scores, [row.label for row in known], seed=seed)["threshold"]
    said = model.score([row.query for row in test], [row.response for row in test])
    return said, [int(score >= cut) for score in said]


def _sides(pair: Preference) -> tuple[tuple[str, Label], tuple[str, Label]]:
    return (pair.chosen, 1), (pair.rejected, 0)


_Answers = tuple[Sequence[float], Sequence[int]]
"""Scores and labels of the test texts."""


def _answers(verdicts: Sequence[Verdict]) -> _Answers:
    scores = [score for verdict in verdicts if (score := raw_score(verdict)) is not None]
    return scores, [int(verdict.label == 1) for verdict in verdicts]


def _draw(labels: Sequence[int], size: int, rng: random.Random) -> tuple[list[int], list[int]]:
    """The numbers of the good and of the bad texts that are drawn."""
    good, bad = ([i for i, given in enumerate(labels) if given == label] for label in (1, 0))
    n_good = min(max(round(size * len(good) / len(labels)), 1, size - len(bad)), size - 1, len(good))
    return rng.sample(good, n_good), rng.sample(bad, size - n_good)


def _row(size: int, applied: Sequence[_Answers], held: Sequence[Labelled], seed: int) -> dict[str, Any]:
    """The mean over the draws (``applied``: the answers of each) and the pooled interval."""
    labels, clusters = [row.label for row in held], [row.query for row in held]
    each = max(_RESAMPLES // len(applied), 50)
    values: list[dict[str, Any]] = []
    resampled: list[dict[str, Any]] = []
    for number, (scores, says) in enumerate(applied):
        whole, rates = resampled_rates(labels, says, clusters, seed + number, each)
        values.append(whole | {"auc": auc(labels, scores)})
        resampled.append(rates | {"auc": resampled_auc(labels, scores, clusters, seed + number, each)})
    out: dict[str, Any] = {"labels": size, "draws": len(applied)}
    for name in METRICS:
        pooled = np.concatenate([of_draw[name] for of_draw in resampled])
        out[name] = float(np.mean([of_draw[name] for of_draw in values]))
        out[f"{name}_ci"] = [float(q) for q in np.nanquantile(pooled, (0.025, 0.975))]
    return out


@settings
class CurveInputs:
    """Whose curve."""

    task: str
    """A task's name (inkfire tasks list) or its folder."""
    model: str
    """On this machine local/NAME, a .gguf or a policy trained on one; else a model of --base-url."""
    data: Data = ()
    """Labelled texts; half of their queries are the test. The task's own if none."""
    sizes: str = "10,20,50,100,200"
    """Numbers of labels."""
    draws: Annotated[int, Ge(1)] = 20
    """Draws of labels a size."""
    principles: Path | None = None
    """A principles.toml; the task's own by default."""
    examples_from: Data = ()
    """Labelled texts of other queries, for --examples."""
    reading: Annotated[Reading, option("*")] = AS_IT_STANDS
    """How the data is read."""


def curve(inputs: CurveInputs, settings: JudgeSettings, place: Place) -> dict[str, Any]:
    """``inkfire judge curve``: out/curve.jsonl, and the fields of the command's ``--json``.

    Half of the queries of ``data`` are the test. Examples, where they are asked for, come from ``examples_from``: their
    labels are known in every row, and are counted in ``example_labels``.

    Raises:
        InputError: anything about the inputs that the user must change.
    """
    sizes = _sizes(inputs.sizes)
    task = load_task(inputs.task)
    settings = settings.check(task, inputs.model)
    inputs = with_own_data(inputs, task, data="labelled")
    fit, test = split_by_query(read_labelled(inputs.data, inputs.reading), fraction=0.5, seed=place.seed)
    if not fit or len({row.label for row in fit}) < 2 or len({row.label for row in test}) < 2:
        raise InputError(
            f"{inputs.data[0]}: labelled texts of both classes and of several queries are needed; half are the test"
        )
    if settings.examples and not inputs.examples_from:
        raise InputError("the labels of a curve are drawn anew in each row: name others, --examples-from F")
    known = {row.query for row in (*fit, *test)}
    rules = read_principles(inputs.principles) if inputs.principles else None
    examples = choose_examples(settings, inputs, [], known, place.seed)
    debate = debate_of(settings, task, (), inputs.reading, known)
    spec = JudgeSpec(lasting(inputs.task), inputs.model, settings.mode, rules, examples, settings.votes, **debate)

    def work(context: Context) -> dict[str, Any]:
        if left_out := [size for size in sizes if size > len(fit)]:
            note(f"{len(fit)} labels are there to draw from: no row for {', '.join(map(str, left_out))}")
        both = [*fit, *test]
        with context.judging("judge", len(both), spec.model, spec.mode) as (llm, how):
            verdicts = loop.run(judge_many(context.besides(spec).build(llm), both, **how))
        fitted, tested = verdicts[: len(fit)], verdicts[len(fit) :]
        rows = learning_curve(
            fit, fitted, test, tested, sizes=sizes, draws=inputs.draws, settings=settings, seed=place.seed
        )
        write_jsonl(context.run.path("curve.jsonl"), rows)
        result: dict[str, Any] = {
            "n": len(test),
            "n_fit": len(fit),
            "unscored": sum(not verdict.scored for verdict in verdicts),
            "example_labels": len(examples.pool),
            "labels": [row["labels"] for row in rows],
        }
        for row in rows:
            result |= {f"{name}_{row['labels']}": row[name] for name in METRICS}
            result |= {f"{name}_{row['labels']}_ci": row[f"{name}_ci"] for name in METRICS}
        return result

    about = described(inputs, settings, task=task.name, task_version=task.version, sizes=list(sizes))
    with opened("judge curve", place, settings=about, files=named_files(inputs)) as context:
        return context.once("curve", lambda: work(context))


def _sizes(text: str) -> list[int]:
    """``10,20,50`` → its numbers, rising."""
    try:
        sizes = sorted({int(part) for part in text.split(",")})
    except ValueError:
        raise InputError(f"--sizes {text!r}: write numbers of labels, as in 10,20,50") from None
    if sizes[0] < MIN_LABELS:
        raise InputError(f"--sizes {text!r}: a calibration needs at least {MIN_LABELS} labels")
    return sizes
