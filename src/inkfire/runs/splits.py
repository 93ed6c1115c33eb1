"""What each stage may look at. Splits are disjoint by query, and the queries of the comparison are seen by no stage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inkfire.errors import InputError
from inkfire.files import formats
from inkfire.files.jsonl import write_jsonl
from inkfire.judge.calibration import MIN_LABELS
from inkfire.records import Candidate, Example, Labelled, Preference, Query, to_json
from inkfire.runs.context import named_files
from inkfire.runs.recipe import Recipe
from inkfire.tasks.task import GOOD, Task


@dataclass(frozen=True)
class Splits:
    """``train`` queries are written for in GRPO, ``curated`` ones in curation, ``held_out`` ones in the comparison,
    ``validation`` ones while GRPO trains.

    ``fit`` labelled texts calibrate and refine the judge, ``test`` ones measure it. ``pairs`` train the reward
    model. ``examples`` are good texts for retrieval, ``good`` ones for SFT where the recipe names them or the task's
    good.jsonl has them.
    """

    train: list[Query]
    held_out: list[Query]
    validation: list[Query]
    fit: list[Labelled]
    test: list[Labelled]
    pairs: list[Preference]
    examples: list[Example]
    curated: list[Query]
    good: list[tuple[str, str]] | None

    @property
    def good_texts(self) -> list[tuple[str, str]]:
        """(query, text) of every good text a training stage may imitate, without repeats."""
        if self.good is not None:
            return self.good
        good = [(row.query, row.response) for row in (*self.fit, *self.test) if row.label == 1]
        return list(dict.fromkeys(good + [(pair.query, pair.chosen) for pair in self.pairs]))

    def write(self, folder: Path) -> None:
        """The files that the stages read."""
        parts: dict[str, Sequence[Any]] = {
            "train_queries": self.train,
            "curated_queries": self.curated,
            "held_out_queries": self.held_out,
            "validation_queries": self.validation,
            "fit": self.fit,
            "test": self.test,
            "labelled": [*self.fit, *self.test],
            "pairs": self.pairs,
            "examples": self.examples,
        }
        for name, records in parts.items():
            write_jsonl(folder / f"{name}.jsonl", map(to_json, records))
        write_jsonl(folder / "good.jsonl", ({"query": query, "response": text} for query, text in self.good_texts))


def make_splits(recipe: Recipe, task: Task, seed: int) -> Splits:
    """Read the recipe's data (or the task's) and split it.

    Raises:
        InputError: too few queries to hold any out, too few labelled texts, or one class of them only.
    """
    data, how = recipe.data, recipe.reading
    formats.check_columns(list(named_files(data).values()), how)
    queries = formats.read_queries(data.queries, how) if data.queries else task.queries()
    labelled = formats.read_labelled(data.labelled, how) if data.labelled else task.labelled()
    pairs = formats.read_pairs(data.pairs, how) if data.pairs else task.pairs()
    share = min(1.0, (recipe.judge.labelled or len(labelled)) / len(labelled))
    judged = formats.split_by_query(labelled, fraction=share, seed=seed, both_labels=False)[1]
    test, fit = formats.split_by_query(judged, fraction=recipe.judge.fit_fraction, seed=seed)
    for name, part in (("fit", fit), ("test", test)):
        if len({row.label for row in part}) < 2:
            raise InputError(f"the {name} half of the labelled texts has one class only; label more texts of both")
    if len(fit) < MIN_LABELS:
        raise InputError(
            f"{len(fit)} labelled texts are there to calibrate the judge and {MIN_LABELS} are needed: label more, or "
            "raise judge.labelled or judge.fit_fraction"
        )
    used = {row.query for row in labelled} | {pair.query for pair in pairs}
    fresh = [query for query in {q.query: q for q in queries}.values() if query.query not in used]
    held_out = _stratified(fresh, recipe.evaluate.queries, task, seed)
    if len(held_out) == len(fresh):
        raise InputError(
            f"{len(fresh)} queries are free for {recipe.evaluate.queries} held-out ones and nothing is left to "
            "train on; add queries that have no labelled text, or lower evaluate.queries"
        )
    kept_apart = {query.query for query in held_out}
    free = [query for query in fresh if query.query not in kept_apart]
    validation = _stratified(free, recipe.grpo.validation, task, seed)
    kept_apart |= {query.query for query in validation}
    train = [query for query in free if query.query not in kept_apart]
    if not train:
        raise InputError(
            f"{len(free)} queries are free for {recipe.grpo.validation} to validate on and nothing is left to train "
            "on; lower grpo.validation"
        )
    if data.examples:
        examples = formats.read_examples(data.examples, how)
    else:
        examples = [Example(row.query, row.response) for row in fit if row.label == 1]
    measured = kept_apart | {row.query for row in labelled}
    curated = train
    if data.curate_queries:
        named = formats.read_queries(data.curate_queries, how)
        curated = [query for query in {q.query: q for q in named}.values() if query.query not in measured]
        if not curated:
            raise InputError("data.curate_queries: every query of it has a labelled text or is held out; name others")
    good = _good(recipe, task)
    if good is not None:
        good = [text for text in good if text[0] not in kept_apart]
        if not good:
            raise InputError("data.good: no text of it is for a query that is not held out; name others")
    return Splits(train, held_out, validation, fit, test, pairs, examples, curated, good)


def _good(recipe: Recipe, task: Task) -> list[tuple[str, str]] | None:
    """(query, text) for SFT: the recipe's, or else the task's good.jsonl. None where there is none, and where the
    recipe has labelled texts or pairs of its own: their good ones are learnt from."""
    data = recipe.data
    texts: Sequence[Candidate | Example] = []
    if data.good:
        texts = formats.read_texts(data.good, recipe.reading)
    elif task.has(GOOD) and not (data.labelled or data.pairs):
        texts = task.good_texts()
    else:
        return None
    return list(dict.fromkeys((text.query, text.response) for text in texts))


def _stratified(queries: list[Query], n: int, task: Task, seed: int) -> list[Query]:
    """``n`` queries (or all there are), as evenly from the task's slices as they allow, chosen by the seed."""
    groups: dict[str, list[Query]] = {}
    for query in queries:
        groups.setdefault(task.slice_of(query), []).append(query)
    chosen: list[Query] = []
    for i, group in enumerate(sorted(groups.values(), key=len)):
        share = min(len(group), (n - len(chosen)) // (len(groups) - i))
        chosen += formats.split_by_query(group, fraction=share / len(group), seed=seed)[1] if share else []
    return chosen
