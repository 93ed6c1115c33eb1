"""What people say of texts: ratings by the task's rubric, one row a text and rater.

    {"query": "…", "response": "…", "annotator": "ann", "points": {"language": 3, "creativity": 2, …}}

A text is excellent when the mean over its raters of their weighted points is at least the task's ``excellent`` (PAPER,
evaluation: 2 of 1 to 3). Who rated a text twice has changed their mind: the later row counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from inkfire.files.formats import Files, iter_ratings
from inkfire.files.reading import AS_IT_STANDS, Reading
from inkfire.records import Label, Rating
from inkfire.tasks.task import Task


@dataclass(frozen=True)
class Rated:
    """A text's ``raters``, the ``mean`` of their weighted points and of each dimension's, and the label by that mean.
    ``tied``: as many of them find it excellent as do not."""

    label: Label
    mean: float
    raters: int
    tied: bool
    dimensions: dict[str, float]

    @classmethod
    def of(cls, ratings: Iterable[Rating], task: Task) -> Rated:
        given = list(ratings)
        each = [task.weighted(rating) for rating in given]
        mean = fmean(each)
        found = sum(task.is_excellent(one) for one in each)
        dimensions = {one.name: fmean(rating.points[one.name] for rating in given) for one in task.rubric}
        return cls(1 if task.is_excellent(mean) else 0, mean, len(given), 2 * found == len(given), dimensions)


People = dict[tuple[str, str], Rated]
"""By query and response, without outer blanks."""


def read_people(path: Files, task: Task, reading: Reading = AS_IT_STANDS) -> People:
    """The rated texts of a file, or of several.

    Raises:
        DataError: a row without the points of a dimension, or with others than the scale's; file and line are named.
        TaskError: the task does not say what is excellent.
    """
    task.check_excellent()
    given: dict[tuple[str, str], dict[str, Rating]] = {}
    for number, (query, response, annotator, rating) in enumerate(iter_ratings(path, task.rating, reading)):
        of_text = given.setdefault((query.strip(), response.strip()), {})
        of_text[annotator or f"row {number}"] = rating
    return {text: Rated.of(ratings.values(), task) for text, ratings in given.items()}


def summary(rated: Iterable[Rated]) -> dict[str, Any]:
    """Of some texts: ``n``, how many ``ties``, ``raters`` (so many raters → texts), ``mean`` and that of each of the
    ``dimensions``, over texts."""
    texts = list(rated)
    out: dict[str, Any] = {"n": len(texts), "ties": sum(one.tied for one in texts)}
    out["raters"] = {str(raters): n for raters, n in sorted(Counter(one.raters for one in texts).items())}
    names = texts[0].dimensions if texts else {}
    out["mean"] = fmean(one.mean for one in texts) if texts else None
    return out | {"dimensions": {name: fmean(one.dimensions[name] for one in texts) for name in names}}
