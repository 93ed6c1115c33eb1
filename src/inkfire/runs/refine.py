"""``inkfire refine``: labelled texts split by query, rounds, and what the new principles are worth.

The labelled texts are split into training, validation and test, no query in two of them. Refinement sees the first two.
The judge before and after is calibrated on the first two (one that writes its verdicts is not, nor one that is to be
uncalibrated) and measured on the third; with nothing accepted, after is before, and nothing is asked again.

    out/principles.toml   S_D in the end                 out/history.jsonl   every proposal and what became of it
    out/flaws.toml        S_G in the end                 out/attacks.jsonl   the forgeries that fooled the judge
    out/hard_negatives.jsonl    the best of those, as labelled texts
    out/counterexamples.jsonl   the texts that rules and proposals name by id in ``because``
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Annotated, Any

from inkfire.errors import InputError
from inkfire.files.formats import read_labelled, read_queries, split_by_query
from inkfire.files.jsonl import write_jsonl
from inkfire.files.reading import AS_IT_STANDS, Data, Reading
from inkfire.judge.answers import VerdictJudge
from inkfire.judge.examples import Examples
from inkfire.judge.logprob import LogprobJudge
from inkfire.judge.principles import Principles, read_principles
from inkfire.judge.spec import JudgeSpec
from inkfire.llm import loop
from inkfire.records import Labelled
from inkfire.refine.contribution import count_tokens
from inkfire.refine.history import Refined
from inkfire.refine.rounds import Refiner
from inkfire.refine.settings import RefineSettings
from inkfire.runs.context import Context, Place, described, named_files, note, opened, with_own_data
from inkfire.settings import option, settings
from inkfire.tasks.task import lasting, load_task
from inkfire.tasks.uses import refine_prompts

TRAINING = 100
"""Texts that training keeps, whatever size validation asks for: enough for a threshold and a dozen errors."""

SHOWN = (
    "n",
    "scored",
    "accuracy",
    "accuracy_ci",
    "balanced_accuracy",
    "auc",
    "auc_ci",
    "auc_within_query",
    "length_auc",
    "doubt",
)


@settings
class RefineInputs:
    """Whose principles, and on which texts."""

    task: str
    """A task's name (inkfire tasks list) or its folder."""
    model: str
    """The judge's: on this machine local/NAME, a .gguf or a policy trained on one; else a model of --base-url."""
    prompts: Data = ()
    """Queries for the Generator, in any format; the task's own if none."""
    labelled: Data = ()
    """Labelled texts, split here by query into training, validation and test; the task's own if none."""
    tested_on: Data = ()
    """Labelled texts of other queries that measure before and after, in place of half of --labelled."""
    principles: Path | None = None
    """Start from this principles.toml, not from the task's own."""
    reading: Annotated[Reading, option("*")] = AS_IT_STANDS
    """How the data is read."""


@dataclass(frozen=True, slots=True)
class Splits:
    """Labelled texts, disjoint by query."""

    training: list[Labelled]
    validation: list[Labelled]
    test: list[Labelled]

    @property
    def fit(self) -> list[Labelled]:
        """What may be fitted on: all but the test texts."""
        return [*self.training, *self.validation]


def split_labelled(
    labelled: Sequence[Labelled], *, seed: int, validation: int | None = None, test: int | None = None
) -> Splits:
    """Half of the queries for the test and half of the others for validation, where no sizes are given.

    Args:
        validation: at most so many texts, if need be more than half of those that are not tested, but ``TRAINING`` of
            them (or half) stay for training.
        test: at most so many texts, and no more than half.

    Raises:
        InputError: fewer than four queries, or a size that holds no query, or no texts of both labels.
    """
    if len({row.query for row in labelled}) < 4:
        raise InputError("refinement needs labelled texts of at least four queries: training, validation and test")
    rest, tested = taken(labelled, 0.5, test, seed)
    return Splits(*training_and_validation(rest, validation, seed), tested)


def training_and_validation(
    rows: Sequence[Labelled], count: int | None, seed: int
) -> tuple[list[Labelled], list[Labelled]]:
    """Both parts of the texts that a refinement may look at; ``count`` as in :func:`split_labelled`.

    Raises:
        InputError: they cannot be split so that both have good and bad texts.
    """
    most = 0.5 if count is None else max(0.5, 1 - TRAINING / len(rows))
    return taken(rows, most, count, seed + 1)


def taken(
    rows: Sequence[Labelled], share: float, count: int | None, seed: int
) -> tuple[list[Labelled], list[Labelled]]:
    """(the rest, what is taken): ``share`` of the queries, of which the first that make at most ``count`` texts.

    Where these have one label only, a query of each label comes before the others.
    """
    rest, held = split_by_query(rows, fraction=share, seed=seed)
    if count is None or len(held) <= count:
        return rest, held
    of_query: dict[str, list[Labelled]] = {}
    for row in held:
        of_query.setdefault(row.query, []).append(row)
    if all(len(texts) > count for texts in of_query.values()):
        raise InputError(f"{count} texts are fewer than one query has; allow more")
    labels = {row.label for row in held}
    covering = [query for query, texts in of_query.items() if {row.label for row in texts} == labels][:1]
    covering = covering or [next(row.query for row in held if row.label == label) for label in labels]
    for order in (list(of_query), sorted(of_query, key=lambda query: query not in covering)):
        sizes = accumulate(len(of_query[query]) for query in order)
        within = {query for query, size in zip(order, sizes, strict=True) if size <= count}
        taken = [row for row in held if row.query in within]
        if {row.label for row in taken} == labels:
            return [row for row in rows if row.query not in within], taken
    raise InputError(f"{count} texts of whole queries cannot be both good and bad ones here; allow more")


@dataclass(frozen=True)
class Refinement:
    """What a run made: the sets and their history, and the judge before and after, calibrated and measured."""

    refined: Refined
    before: JudgeSpec
    after: JudgeSpec

    def to_json(self) -> dict[str, Any]:
        return {
            "detector": self.before.mode,
            "before": _shown(self.before),
            "after": _shown(self.after),
            "accepted": self.refined.accepted,
            "rejected": self.refined.rejected,
            "rounds": len(self.refined.history),
            "attacks": len(self.refined.attacks),
            "hard_negatives": len(self.refined.hard_negatives),
            "stopped": self.refined.stopped,
            "warnings": self.refined.warnings,
            "principles": self.refined.principles.version,
        }

    def write(self, out: Path, task: str) -> None:
        """The files of the module's docstring."""
        self.refined.principles.write(out / "principles.toml", task=task)
        self.refined.flaws.write(out / "flaws.toml", task=task)
        write_jsonl(out / "history.jsonl", self.refined.history)
        write_jsonl(out / "attacks.jsonl", self.refined.attacks)
        write_jsonl(out / "hard_negatives.jsonl", self.refined.hard_negatives)
        write_jsonl(out / "counterexamples.jsonl", self.refined.counterexamples)


async def refine_and_measure(refiner: Refiner, spec: JudgeSpec, test: Sequence[Labelled]) -> Refinement:
    """Refine the principles of ``spec`` (the task's own, when it has none) and measure it before and after.

    Args:
        refiner: its queries that the test texts share are left out; examples are shown to it without those that share a
            query with the validation texts, and as they are while the judge is measured.
    """
    tested = {row.query for row in test}
    refiner = dataclasses.replace(
        refiner,
        queries=[query for query in dict.fromkeys(refiner.queries) if query not in tested],
        principles=spec.principles,
        examples=spec.examples.without({row.query for row in refiner.validation}),
    )
    refined = await refiner.run()
    fit = [*refiner.training, *refiner.validation]

    async def measured(principles: Principles) -> JudgeSpec:
        judge = dataclasses.replace(spec, principles=principles)
        scores = spec.mode == "logprob" and not refiner.settings.uncalibrated
        with refiner.bars("measuring", len(test) + (len(fit) if scores else 0)) as bar:
            common: dict[str, Any] = {
                "task": refiner.task,
                "concurrency": refiner.judged_at_once,
                "advance": lambda verdict: bar.advance(failed=not verdict.scored),
            }
            fitted = await judge.fit(refiner.llm, fit, **common) if scores else judge
            return (await fitted.judge(refiner.llm, test, seed=refiner.seed, **common))[1]

    before = await measured(spec.principles or Principles.of(refiner.task.principles))
    after = await measured(refined.principles) if refined.accepted else before
    return Refinement(refined, before, after)


def refine(inputs: RefineInputs, settings: RefineSettings, place: Place) -> dict[str, Any]:
    """``inkfire refine``: the fields of its ``--json``. A run that was stopped goes on from what the ledger has."""
    task = load_task(inputs.task)
    detector = settings.detector
    task.require(*refine_prompts(detector))
    inputs = with_own_data(inputs, task, prompts="queries", labelled="labelled")
    queries = [query.query for query in read_queries(inputs.prompts, inputs.reading)]
    splits = _splits(inputs, settings, place.seed)
    start = read_principles(inputs.principles) if inputs.principles else None
    shown = Examples(tuple(splits.fit), settings.examples, settings.examples_choice, place.seed)
    if settings.examples:
        task.check_examples(detector)
        shown.without({row.query for row in splits.validation})  # refuses too small a pool before anything runs
    spec = JudgeSpec(lasting(inputs.task), inputs.model, detector, start, shown)
    author = settings.author_model or inputs.model

    def work(context: Context) -> dict[str, Any]:
        limits = {name: context.access.at_once(name, "verdict") for name in dict.fromkeys((spec.model, author))}
        models = {name: context.model(name, concurrency=limit) for name, limit in limits.items()}
        refiner = Refiner(
            task,
            models[spec.model],
            queries,
            splits.training,
            splits.validation,
            settings,
            author=models[author],
            concurrency=max(limits.values()),
            seed=place.seed,
            note=note,
            bars=context.bars,
        )
        made = loop.run(_with_tokens(refiner, spec, splits.test))
        made.write(context.run.out, task.name)
        made.after.save(context.run.out)
        return made.to_json()

    about = described(inputs, settings, task=task.name, task_version=task.version)
    with opened("refine", place, settings=about, files=named_files(inputs)) as context:
        return context.once("refine", lambda: work(context))


def _splits(inputs: RefineInputs, settings: RefineSettings, seed: int) -> Splits:
    """The labelled texts in their parts, of which training has no more than ``settings.training``."""
    splits = _parts(inputs, settings, seed)
    rows, most = splits.training, settings.training
    if most is None or most >= len(rows):
        return splits
    drawn = random.Random(seed).sample(rows, len(rows))
    good, bad = ([row for row in drawn if row.label == label] for label in (1, 0))
    n_good = min(max(1, round(most * len(good) / len(rows))), most - 1)
    return dataclasses.replace(splits, training=[*good[:n_good], *bad[: most - n_good]])


def _parts(inputs: RefineInputs, settings: RefineSettings, seed: int) -> Splits:
    labelled = read_labelled(inputs.labelled, inputs.reading)
    if not inputs.tested_on:
        return split_labelled(labelled, seed=seed, validation=settings.validation, test=settings.test)
    test = read_labelled(inputs.tested_on, inputs.reading)
    if shared := {row.query for row in labelled} & {row.query for row in test}:
        raise InputError(f"--labelled and --tested-on share the query {min(shared)!r}; split them by query")
    return Splits(*training_and_validation(labelled, settings.validation, seed), test)


async def _with_tokens(refiner: Refiner, spec: JudgeSpec, test: Sequence[Labelled]) -> Refinement:
    """The refinement, with what each rule costs in the prompt."""
    made = await refine_and_measure(refiner, spec, test)
    # Without examples: they cost the same whatever the rules are.
    kind = LogprobJudge if spec.mode == "logprob" else VerdictJudge
    counted = await count_tokens(kind(refiner.task, refiner.llm, made.refined.principles), refiner.validation[0])
    refined = dataclasses.replace(made.refined, principles=counted)
    return dataclasses.replace(made, refined=refined, after=dataclasses.replace(made.after, principles=counted))


def _shown(judge: JudgeSpec) -> dict[str, Any]:
    measured = judge.measured or {}
    return {name: measured.get(name) for name in SHOWN}
