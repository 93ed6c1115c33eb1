"""The run of ``inkfire refine``: labelled texts split by query, rounds, and what the new principles are worth.

The labelled texts are split into training, validation and test, no query in two of them. Refinement sees the first two.
The judge before and after is calibrated on the first two and measured on the third; with nothing accepted, after is
before, and nothing is asked again.

    out/principles.toml   S_D in the end                 out/history.jsonl   every proposal and what became of it
    out/flaws.toml        S_G in the end                 out/attacks.jsonl   the texts that fooled the judge
    out/hard_negatives.jsonl    the best of those, as labelled texts
    out/counterexamples.jsonl   the texts that rules and proposals name by id in ``because``
"""

from __future__ import annotations

import dataclasses
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

from inkfire.errors import InputError
from inkfire.files.formats import read_labelled, read_queries, split_by_query
from inkfire.files.jsonl import write_jsonl
from inkfire.files.run import Run
from inkfire.judge.examples import Choice, Examples
from inkfire.judge.judging import Access, finish, fit_judge, lasting, read_back
from inkfire.judge.logprob import LogprobJudge
from inkfire.judge.principles import Principles, read_principles
from inkfire.judge.spec import SavedJudge, save_judge
from inkfire.llm import loop
from inkfire.llm.base import LLM
from inkfire.llm.ledger import Ledger
from inkfire.llm.progress import Bars, no_bars
from inkfire.records import Labelled
from inkfire.refine.contribution import count_tokens
from inkfire.refine.rounds import Note, Refined, RefineSettings, refine
from inkfire.runs.progress import Progress
from inkfire.tasks.task import Task, load_task

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
        InputError: fewer than four queries, or a size below that of the first query.
    """
    if len({row.query for row in labelled}) < 4:
        raise InputError("refinement needs labelled texts of at least four queries: training, validation and test")
    rest, tested = _taken(labelled, 0.5, test, seed)
    most = 0.5 if validation is None else max(0.5, 1 - TRAINING / len(rest))
    return Splits(*_taken(rest, most, validation, seed + 1), tested)


def _taken(
    rows: Sequence[Labelled], share: float, count: int | None, seed: int
) -> tuple[list[Labelled], list[Labelled]]:
    """(the rest, what is taken): ``share`` of the queries, of which the first that make at most ``count`` texts."""
    rest, held = split_by_query(rows, fraction=share, seed=seed)
    if count is None or len(held) <= count:
        return rest, held
    of_query = Counter(row.query for row in held)
    sizes = accumulate(of_query.values())
    within = {query for query, size in zip(of_query, sizes, strict=True) if size <= count}
    if not within:
        raise InputError(f"{count} texts are fewer than one query has; allow more")
    return [row for row in rows if row.query not in within], [row for row in held if row.query in within]


@dataclass(frozen=True)
class Refinement:
    """What a run made: the sets and their history, and the judge before and after, calibrated and measured."""

    refined: Refined
    before: SavedJudge
    after: SavedJudge

    def to_json(self) -> dict[str, Any]:
        return {
            "before": _shown(self.before),
            "after": _shown(self.after),
            "accepted": self.refined.accepted,
            "rejected": self.refined.rejected,
            "rounds": len(self.refined.history),
            "attacks": len(self.refined.attacks),
            "hard_negatives": len(self.refined.hard_negatives),
            "stopped": self.refined.stopped,
            "principles": self.refined.principles.version,
        }

    def write(self, out: Path, task: str) -> None:
        """The files of the module's docstring."""
        self.refined.principles.write(out / "principles.toml", task=task)
        self.refined.flaws.write(out / "flaws.toml", task=task)
        write_jsonl(out / "history.jsonl", self.refined.history)
        write_jsonl(out / "attacks.jsonl", self.refined.attacks)
        write_jsonl(out / "hard_negatives.jsonl", (one.to_json() for one in self.refined.hard_negatives))
        write_jsonl(out / "counterexamples.jsonl", self.refined.counterexamples)


async def refine_and_measure(
    task: Task,
    llm: LLM,
    queries: Sequence[str],
    splits: Splits,
    *,
    judge: SavedJudge,
    author: LLM | None = None,
    settings: RefineSettings = RefineSettings(),
    note: Note = lambda message: None,
    bars: Bars = no_bars,
) -> Refinement:
    """Refine the principles of ``judge`` (the task's own, when it has none) and measure it before and after.

    Args:
        queries: what the Generator writes for; those of the test texts are left out.
        judge: with examples, it shows them as they are while it is measured, and without those that share a query with
            the validation texts while it is refined.
        author: the model that writes attacks, reflections and rules, by default ``llm``.
    """
    tested = {row.query for row in splits.test}
    refined = await refine(
        task,
        llm,
        [query for query in dict.fromkeys(queries) if query not in tested],
        splits.training,
        splits.validation,
        settings=settings,
        start=judge.principles,
        examples=judge.examples.without({row.query for row in splits.validation}),
        author=author,
        note=note,
        bars=bars,
    )

    async def measured(principles: Principles) -> SavedJudge:
        with bars("measuring", len(splits.fit) + len(splits.test)) as bar:
            return await fit_judge(
                dataclasses.replace(judge, mode="logprob", principles=principles),
                task,
                llm,
                fit=splits.fit,
                test=splits.test,
                seed=settings.seed,
                concurrency=settings.judged_at_once(judge.model),
                advance=lambda verdict: bar.advance(failed=not verdict.scored),
            )

    before = await measured(judge.principles or Principles.of(task.principles))
    after = await measured(refined.principles) if refined.accepted else before
    return Refinement(refined, before, after)


def refine_data(
    *,
    task: str,
    model: str,
    prompts: Path,
    labelled: Path,
    out: Path,
    author_model: str | None = None,
    principles: Path | None = None,
    validation: int | None = None,
    test: int | None = None,
    examples: int = 0,
    examples_choice: Choice = "nearest",
    settings: RefineSettings = RefineSettings(),
    access: Access = Access(),
    note: Note = lambda message: None,
) -> dict[str, Any]:
    """``inkfire refine``: the fields of its ``--json``. A run that was stopped goes on from what the ledger has.

    Args:
        author_model: writes attacks, reflections and rules; by default ``model``, which judges.
        examples: labelled texts shown before each text, chosen from all but the test texts.
    """
    loaded = load_task(task)
    queries = [query.query for query in read_queries(prompts)]
    splits = split_labelled(read_labelled(labelled), seed=settings.seed, validation=validation, test=test)
    start = read_principles(principles) if principles else None
    shown = Examples(tuple(splits.fit), examples, examples_choice, settings.seed)
    if examples:
        loaded.check_examples("logprob")
        shown.without(
            {row.query for row in splits.validation}
        )  # refuses a pool that is too small, before anything runs
    inputs = {"prompts": prompts, "labelled": labelled, "principles": principles}
    settled = dataclasses.asdict(settings)
    del settled["concurrency"], settled["seed"]
    run = Run.open(
        out,
        command="refine",
        settings={
            "task": loaded.name,
            "task_version": loaded.version,
            "model": model,
            "author_model": author_model,
            "validation": validation,
            "test": test,
            "examples": examples,
            "examples_choice": examples_choice,
        }
        | settled,
        inputs={name: path for name, path in inputs.items() if path is not None},
        seed=settings.seed,
    )
    if (done := read_back(run, "refine", access)) is not None:
        return done
    started = time.monotonic()
    with access.ledger(run) as ledger:
        judge = SavedJudge(lasting(task), model, "logprob", start, shown)
        made = loop.run(_refine(loaded, queries, splits, judge, author_model or model, settings, access, ledger, note))
        stats = ledger.stats()
    made.write(out, loaded.name)
    save_judge(out, made.after)
    return finish(run, "refine", made.to_json(), stats, started)


async def _refine(
    task: Task,
    queries: Sequence[str],
    splits: Splits,
    judge: SavedJudge,
    author_model: str,
    settings: RefineSettings,
    access: Access,
    ledger: Ledger,
    note: Note,
) -> Refinement:
    from inkfire.models.open import open_model

    limits = {name: access.at_once(name, "verdict") for name in dict.fromkeys((judge.model, author_model))}
    settings = dataclasses.replace(settings, concurrency=max(limits.values()))

    def bars(label: str, total: int) -> Progress:
        return Progress(label, total, stats=ledger.stats)

    async with AsyncExitStack() as stack:
        opened = {
            name: await stack.enter_async_context(
                open_model(name, ledger=ledger, base_url=access.base_url, concurrency=limit)
            )
            for name, limit in limits.items()
        }
        llm, author = opened[judge.model], opened[author_model]
        made = await refine_and_measure(
            task, llm, queries, splits, judge=judge, author=author, settings=settings, note=note, bars=bars
        )
        # Without examples: they cost the same whatever the rules are.
        counted = await count_tokens(LogprobJudge(task, llm, made.refined.principles), splits.validation[0])
    refined = dataclasses.replace(made.refined, principles=counted)
    return dataclasses.replace(made, refined=refined, after=dataclasses.replace(made.after, principles=counted))


def _shown(judge: SavedJudge) -> dict[str, Any]:
    measured = judge.measured or {}
    return {name: measured.get(name) for name in SHOWN}
