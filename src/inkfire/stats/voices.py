"""From what raters said to who is compared with whom: a voice is a rater of one file, or of several files each file.

Texts are matched by query and text. A rater's last word on a text counts; a file of several raters speaks with their
most frequent label (none where two are as frequent) or their mean rating.

>>> found = Voices.of({"ann": opinions, "bob": others})                                          # doctest: +SKIP
>>> found.values.shape, found.names                                                              # doctest: +SKIP
((120, 2), ['ann', 'bob'])
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any

import numpy as np

from inkfire.files.opinions import Kind, Opinion
from inkfire.stats.intervals import Floats, clustered_rate

Item = tuple[str, tuple[str, ...]]
"""A query and its text, or the two of a pair, without outer blanks."""
Weights = Mapping[str, float]
_ALIKE = 1e-9


@dataclass(frozen=True)
class Voices:
    """What each of ``names`` gave each of ``items``: matrices (items, names) with NaN where it gave nothing.

    ``values`` are labels, votes or ratings, of a rubric their weighted mean; ``scores`` the same, or what ranks the
    texts more finely; ``dimensions`` the points of each. ``tied`` counts texts on which a voice's raters were split.
    """

    items: list[Item]
    names: list[str]
    kinds: list[Kind]
    values: Floats
    scores: Floats
    dimensions: dict[str, Floats]
    tags: list[tuple[str, ...]]
    tied: int

    @classmethod
    def of(cls, opinions: Mapping[str, Sequence[Opinion]], weights: Weights | None = None) -> Voices:
        """A voice for each of ``opinions``; ``weights`` of a rubric's dimensions (alike, where there are none)."""
        said = {name: _last(each) for name, each in opinions.items()}
        items = list(dict.fromkeys(item for of_voice in said.values() for item in of_voice))
        at = {item: i for i, item in enumerate(items)}
        names = list(said)
        known = {name: kinds_of(each) for name, each in opinions.items()}
        shape = (len(items), len(names))
        values, scores = np.full(shape, np.nan), np.full(shape, np.nan)
        points = {key: np.full(shape, np.nan) for key in _dimensions(opinions.values())}
        tags: list[dict[str, None]] = [{} for _ in items]
        tied = 0
        for column, (name, of_voice) in enumerate(said.items()):
            wanted = weights or dict.fromkeys(_dimensions([opinions[name]]), 1.0)
            for item, each in of_voice.items():
                row = at[item]
                tags[row] |= dict.fromkeys(tag for one in each for tag in one.tags)
                overall = [value for one in each if (value := _overall(one, wanted)) is not None]
                if overall:
                    values[row, column] = _most(overall) if known[name] != "rating" else fmean(overall)
                    tied += bool(np.isnan(values[row, column]))
                    scores[row, column] = fmean(_score(one, wanted) for one in each)
                for key, matrix in points.items():
                    if given := [one.values[key] for one in each if key in one.values]:
                        matrix[row, column] = fmean(given)
        dimensions = points if len(points) > 1 or not {"rating", "label", "vote"} & points.keys() else {}
        return cls(items, names, list(known.values()), values, scores, dimensions, [tuple(each) for each in tags], tied)

    @property
    def queries(self) -> list[str]:
        return [query for query, _ in self.items]

    def labelled(self, excellent: float) -> Voices:
        """With every rating a label: whether it is at least ``excellent``."""
        rated = np.array([kind == "rating" for kind in self.kinds])
        cut = np.where(np.isnan(self.values), np.nan, self.values >= excellent - _ALIKE)
        kinds: list[Kind] = ["label" if kind == "rating" else kind for kind in self.kinds]
        values = np.where(rated[None, :], cut, self.values)
        return Voices(self.items, self.names, kinds, values, self.scores, self.dimensions, self.tags, self.tied)


def kinds_of(opinions: Iterable[Opinion]) -> Kind:
    """What a file's rows are: votes where they are of pairs, labels where any has one, else ratings."""
    kinds = {one.kind for one in opinions if one.values}
    return "vote" if "vote" in kinds else "label" if "label" in kinds else "rating"


def by_rater(opinions: Iterable[Opinion]) -> dict[str, list[Opinion]]:
    """The opinions of each rater. Rows that name none are each another's where they are of one text."""
    met: Counter[Item] = Counter()
    out: dict[str, list[Opinion]] = {}
    for one in opinions:
        name = one.rater
        if not name:
            met[item_of(one)] += 1
            name = f"unnamed {met[item_of(one)]}"
        out.setdefault(name, []).append(one)
    return out


def item_of(opinion: Opinion) -> Item:
    return opinion.query.strip(), tuple(text.strip() for text in opinion.texts)


def repeated(opinions: Mapping[str, Sequence[Opinion]]) -> list[dict[str, Any]]:
    """Of each rater ``n`` texts, median ``seconds`` (None where not said), and of those rated more than once how many
    ``repeats``, with the share that got the ``same`` again (of a rubric, of its dimensions) and ``same_ci``."""
    rows = []
    for name, each in opinions.items():
        hits, clusters, repeats = [], [], 0
        before: dict[Item, Opinion] = {}
        for one in each:
            if not one.values:
                continue
            item = item_of(one)
            if (first := before.get(item)) is not None:
                repeats += 1
                shared = [key for key in one.values if key in first.values]
                hits += [abs(one.values[key] - first.values[key]) < _ALIKE for key in shared]
                clusters += [one.query] * len(shared)
            before[item] = one
        took = [one.seconds for one in each if one.seconds is not None]
        row = {"rater": name, "n": len(before), "seconds": median(took) if took else None, "repeats": repeats}
        rows.append(row | clustered_rate(hits, clusters).named("same"))
    return rows


def _last(opinions: Iterable[Opinion]) -> dict[Item, list[Opinion]]:
    """What each rater said last of each item; nothing of what is missing."""
    found: dict[Item, dict[str, Opinion]] = {}
    for name, each in by_rater(opinions).items():
        for one in each:
            if one.values:
                found.setdefault(item_of(one), {})[name] = one
    return {item: list(of_item.values()) for item, of_item in found.items()}


def _dimensions(opinions: Iterable[Iterable[Opinion]]) -> list[str]:
    return list(dict.fromkeys(key for each in opinions for one in each for key in one.values))


def _overall(opinion: Opinion, weights: Weights) -> float | None:
    """The one value, or the weighted mean of a rubric's; None where a dimension is missing."""
    if opinion.values.keys() <= {"rating", "label", "vote"}:
        return next(iter(opinion.values.values()))
    if not weights.keys() <= opinion.values.keys():
        return None
    return sum(weight * opinion.values[key] for key, weight in weights.items()) / sum(weights.values())


def _score(opinion: Opinion, weights: Weights) -> float:
    if opinion.score is not None:
        return opinion.score
    overall = _overall(opinion, weights)
    return float("nan") if overall is None else overall


def _most(values: Sequence[float]) -> float:
    """The most frequent one; NaN where two are as frequent."""
    (first, n), *others = Counter(values).most_common(2)
    return float("nan") if others and others[0][1] == n else first
