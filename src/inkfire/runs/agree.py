"""``inkfire agree``: do raters agree, and which reward ranks a writer's own texts as they do.

Files are matched by query and text. Rewards are held against the ratings by the correlation within the query, clustered
by query: whether of two texts for one request they prefer the one that people do.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge

from inkfire.errors import InputError
from inkfire.files.formats import check_columns
from inkfire.files.opinions import Opinion, read_opinions
from inkfire.files.reading import AS_IT_STANDS, Data, Reading
from inkfire.records import Query
from inkfire.runs.context import Access
from inkfire.runs.ranks import against
from inkfire.settings import option, settings
from inkfire.stats.intervals import within_cluster_correlation
from inkfire.stats.raters import Level, agreement, alpha_of, apart, compared, confusion
from inkfire.stats.settle import more_clusters
from inkfire.stats.strengths import strengths
from inkfire.stats.voices import Voices, by_rater, item_of, kinds_of, repeated
from inkfire.tasks.slices import slice_of
from inkfire.tasks.task import Task, load_task

NARROW = 0.1
"""Half the width of alpha's interval at which its question counts as settled."""
_SHARED = 0.5  # of two files' range of ratings, below which their scales are not taken for one
_CUT = 60


@settings
class AgreeInputs:
    """What is compared."""

    rewards: Annotated[tuple[str, ...], option("--reward")] = ()
    """A reward's or judge's folder, to rank the rated texts; repeatable."""
    task: str | None = None
    """A task: its slices, its rubric's dimensions and weights, its excellent."""
    excellent: float | None = None
    """Ratings from here on are good: holds ratings against labels."""
    show: Annotated[int, Ge(0)] = 3
    """Texts shown of those that are told apart most, each way."""
    reading: Annotated[Reading, option("*")] = AS_IT_STANDS
    """How the data is read."""


def agree(files: Data, inputs: AgreeInputs, *, access: Access = Access(), seed: int = 0) -> dict[str, Any]:
    """Compare files with each other, the raters of one file, and rewards with what they say.

    Returns:
        ``kappa``, ``alpha`` and ``accuracy`` with ``NAME_ci`` over ``n`` texts that two ``voices`` or more rated, by
        ``slices`` and ``dimensions``; ``pairs`` of voices with confusion; ``files``; ``only`` (voice → texts that no
        other rated); ``raters`` with their repeats; ``disagreements``; ``settle``. With votes on pairs whose writers
        are known, ``strengths``. With rewards, those of :func:`inkfire.runs.ranks.against`.

    Raises:
        DataError, InputError: what is wrong with a file, or that nothing can be compared.
    """
    if inputs.reading.column:
        check_columns(files, inputs.reading)
    task = None if inputs.task is None else load_task(inputs.task)
    dimensions = [one.name for one in task.rubric] if task is not None else []
    opinions = {name: read_opinions(path, dimensions, inputs.reading) for name, path in _named(files).items()}
    everyone = [one for each in opinions.values() for one in each]
    raters = [{"file": name, **row} for name, each in opinions.items() for row in repeated(by_rater(each))]
    result: dict[str, Any] = {"files": [_about(name, each) for name, each in opinions.items()], "raters": raters}
    weights = {one.name: one.weight for one in task.rubric} if task is not None else {}
    spoken = opinions if len(opinions) > 1 else by_rater(everyone)
    voices = Voices.of(spoken, weights)
    _check_overlap(voices, opinions if len(opinions) > 1 else {})
    if inputs.rewards:
        result |= against(voices, inputs.rewards, show=inputs.show, access=access, seed=seed)
    elif len(voices.names) < 2 and not any(row["repeats"] for row in raters):
        raise InputError(
            f"{files[0]} has one rater, and none of its texts twice: there is nothing to compare; name a second file, "
            "or a reward (--reward R)"
        )
    if len(voices.names) > 1:
        result |= _agreement(_of_one_kind(voices, inputs.excellent, task), task, inputs.show, seed)
    votes = [one for one in everyone if one.kind == "vote" and all(one.sources)]
    if votes:
        result["strengths"] = _strengths(votes, seed)
    return result


def _agreement(voices: Voices, task: Task | None, show: int, seed: int) -> dict[str, Any]:
    """Of voices that say things of one kind."""
    level: Level = "ordinal" if voices.kinds[0] == "rating" else "nominal"
    queries = voices.queries
    out: dict[str, Any] = {"voices": voices.names, "kind": voices.kinds[0], "level": level}
    out |= agreement(voices.values, queries, level, seed)
    if level == "ordinal":
        nominal = agreement(voices.values, queries, "nominal", seed)
        out |= {f"alpha_nominal{end}": nominal[f"alpha{end}"] for end in ("", "_ci")}
    lone = (~np.isnan(voices.values)).sum(axis=1) == 1
    alone = [int((lone & ~np.isnan(column)).sum()) for column in voices.values.T]
    out["only"] = dict(zip(voices.names, alone, strict=True))
    out["tied"] = voices.tied
    out["pairs"] = [_pair(voices, a, b, level, seed) for a, b in combinations(range(len(voices.names)), 2)]
    out["dimensions"] = {
        name: agreement(points, queries, "ordinal", seed) for name, points in voices.dimensions.items()
    }
    out["slices"] = {
        name: agreement(voices.values[rows], [queries[i] for i in rows], level, seed)
        for name, rows in _slices(voices, task).items()
    }
    out["disagreements"] = _disagreements(voices, show)
    out["warnings"] = _scales(voices) if level == "ordinal" else []
    return out | {"settle": _settle(voices, out, level, seed)}


def _pair(voices: Voices, a: int, b: int, level: Level, seed: int) -> dict[str, Any]:
    """Two voices beside each other, and how far they rank the texts of a query alike."""
    values, scores = voices.values[:, [a, b]], voices.scores[:, [a, b]]
    both = np.flatnonzero((~np.isnan(scores)).sum(axis=1) == 2)
    queries = [voices.queries[i] for i in both]
    ranked = within_cluster_correlation(scores[both, 0].tolist(), scores[both, 1].tolist(), queries, seed)
    found = agreement(values, voices.queries, level, seed) | ranked.named("correlation")
    names = {"a": voices.names[a], "b": voices.names[b]}
    return names | found | {"confusion": confusion(*values.T)}


def _slices(voices: Voices, task: Task | None) -> dict[str, list[int]]:
    """Slice → rows: the tags of the rows, and the task's slices."""
    rows: dict[str, list[int]] = {}
    for i, (query, tags) in enumerate(zip(voices.queries, voices.tags, strict=True)):
        named = [slice_of(Query.of(query, tags), task.slices)] if task is not None and task.slices else []
        for name in dict.fromkeys([*named, *tags]):
            rows.setdefault(name, []).append(i)
    return rows


def _disagreements(voices: Voices, show: int) -> list[dict[str, Any]]:
    """The texts that one voice puts furthest above another, for both of each pair of voices, the furthest first."""
    out = []
    for a, b in combinations(range(len(voices.names)), 2):
        scores = voices.scores
        for higher, lower, rows in zip((a, b), (b, a), apart(scores[:, a], scores[:, b], show), strict=True):
            for i in rows:
                query, texts = voices.items[i]
                row: dict[str, Any] = {"higher": voices.names[higher], "lower": voices.names[lower], "query": query}
                row |= {"response": texts[0]} if len(texts) == 1 else {"responses": list(texts)}
                out.append(row | {"scores": [float(scores[i, higher]), float(scores[i, lower])]})
    return out


def _settle(voices: Voices, found: Mapping[str, Any], level: Level, seed: int) -> dict[str, Any] | None:
    """How many more queries would show that they agree, where that is open, or narrow alpha down to ±0.1."""
    if found["alpha"] is None:
        return None
    values, queries = compared(voices.values, voices.queries)
    of_weights, width = alpha_of(values, queries, level)
    low, high = found["alpha_ci"]
    shown = low > 0 or high < 0
    needed = more_clusters(of_weights, found["queries"], half_width=NARROW if shown else None, seed=seed, width=width)
    texts = found["n"] / found["queries"]
    question = "alpha" if shown else "chance"
    return {"question": question, "queries": needed, "texts": None if needed is None else math.ceil(needed * texts)}


def _scales(voices: Voices) -> list[str]:
    """Voices whose ratings hardly share a range: kappa, alpha and accuracy would compare different units."""
    given = [(name, column[~np.isnan(column)]) for name, column in zip(voices.names, voices.values.T, strict=True)]
    ranges = [(name, column.min(), column.max()) for name, column in given if len(column)]
    out = []
    for (a, low, high), (b, other_low, other_high) in combinations(ranges, 2):
        shared = min(high, other_high) - max(low, other_low)
        if shared < _SHARED * (max(high, other_high) - min(low, other_low)):
            out.append(
                f"{a} rates from {low:g} to {high:g} and {b} from {other_low:g} to {other_high:g}: if these are two "
                "scales, only the correlation within the query means something"
            )
    return out


def _strengths(votes: Sequence[Opinion], seed: int) -> dict[str, Any]:
    """How strong each writer is by the votes; both bad prefers neither and says nothing."""
    last = {(name, item_of(one)): one for name, each in by_rater(votes).items() for one in each}
    said = [one for one in last.values() if one.values and abs(one.values["vote"]) <= 1]
    won = [(one.sources[0], one.sources[1], (1 + one.values["vote"]) / 2) for one in said]
    told = [i for i, (first, second, _) in enumerate(won) if first != second]
    return strengths([won[i] for i in told], [said[i].query for i in told], seed) if told else {}


# ---- what cannot be compared ---------------------------------------------------------------------------------------


def _of_one_kind(voices: Voices, excellent: float | None, task: Task | None) -> Voices:
    """With ratings as labels, where that is asked for or others have labels.

    Raises:
        InputError: nothing says which ratings are good, or votes on pairs stand beside texts.
    """
    if excellent is not None:
        voices = voices.labelled(excellent)
    kinds = dict(zip(voices.kinds, voices.names, strict=True))
    if len(kinds) > 1 and task is not None:
        task.check_excellent()
        voices = voices.labelled(task.excellent_from or 0.0)
        kinds = dict(zip(voices.kinds, voices.names, strict=True))
    if len(kinds) > 1:
        told = " and ".join(f"{name} has {kind}s" for kind, name in kinds.items())
        fix = (
            "say which ratings are good: --excellent 3, or --task T whose rubric has it" if "vote" not in kinds else ""
        )
        raise InputError(f"{told}; " + (fix or "votes on pairs are compared with votes alone"))
    return voices


def _check_overlap(voices: Voices, files: Mapping[str, Sequence[Opinion]]) -> None:
    """Whether two files have a text in common.

    Raises:
        InputError: none do; what they have instead is said.
    """
    if not files or (~np.isnan(voices.scores)).sum(axis=1).max(initial=0) > 1:
        return
    (a, first), (b, second), *_ = files.items()
    queries = [{one.query.strip() for one in each} for each in (first, second)]
    counts = f"{a} and {b} have no text in common (texts are matched by query and text)"
    if {kinds_of(first), kinds_of(second)} >= {"vote"} and kinds_of(first) != kinds_of(second):
        raise InputError(f"{counts}: one has votes on pairs, the other single texts")
    if shared := queries[0] & queries[1]:
        example = next(iter(sorted(shared)))
        texts = [next(" ".join(one.texts) for one in each if one.query.strip() == example) for each in (first, second)]
        raise InputError(
            f"{counts}: {len(shared)} queries are in both, with other texts; to {example[:_CUT]!r} one has "
            f"{texts[0][:_CUT]!r}, the other {texts[1][:_CUT]!r}"
        )
    raise InputError(
        f"{counts}, nor a query: {len(queries[0])} queries like {first[0].query[:_CUT]!r} in one, "
        f"{len(queries[1])} like {second[0].query[:_CUT]!r} in the other"
    )


def _named(files: Data) -> dict[str, Path]:
    """The files by what tells them apart: their names, or else their paths."""
    names = [path.name for path in files]
    named = {path.name if names.count(path.name) == 1 else str(path): path for path in files}
    if len(named) < len(files):
        raise InputError(f"{files[0]} and the others: a file is named twice; it agrees with itself")
    return named


def _about(name: str, opinions: Sequence[Opinion]) -> dict[str, Any]:
    """Of a file: its rows, texts and raters, how many rows have no value, and what they are."""
    return {
        "file": name,
        "kind": kinds_of(opinions),
        "rows": len(opinions),
        "texts": len({item_of(one) for one in opinions}),
        "raters": len(by_rater(opinions)),
        "missing": sum(not one.values for one in opinions),
    }
