"""The rubric of a task: its own dimensions, each rated on one scale, and what a text's ratings come to.

task.toml has two to ten of them and, where it is not 1 to 3, the scale, with the weighted mean from which on a text is
excellent (2 on the scale from 1 to 3, PAPER, evaluation):

    scale = [1, 5]
    excellent = 3.5

    [[rubric]]
    name = "rhyme"
    weight = 0.6
    description = "1: none. 3: pairs of words that rhyme. 5: rhymes that surprise."
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field

from inkfire.errors import InputError
from inkfire.records import Rating
from inkfire.settings import Strict, nearest

MIN_DIMENSIONS, MAX_DIMENSIONS = 2, 10
_COLUMNS = ("query", "response", "label", "points")  # of the files in which ratings stand

Scale = tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(le=100)]]

PAPER_SCALE, PAPER_EXCELLENT = (1, 3), 2.0
_ROUNDING = 1e-9  # of a sum of weights


class Dimension(Strict):
    """One dimension of the rubric; the weights of all sum to 1."""

    name: Annotated[str, Field(pattern=r'^[^\s"\\]([^"\\\n]*[^\s"\\])?$', max_length=40)]
    weight: Annotated[float, Field(gt=0, le=1)]
    description: Annotated[str, Field(min_length=1)]


def check_rubric(rubric: Sequence[Dimension], scale: Scale, excellent: float | None) -> None:
    """
    Raises:
        ValueError: too few or too many dimensions, a name that is there twice or means a column of data, weights that
            do not sum to 1, a scale that does not rise, or ``excellent`` where all texts or none are.
    """
    names = [dimension.name for dimension in rubric]
    if not MIN_DIMENSIONS <= len(names) <= MAX_DIMENSIONS:
        raise ValueError(f"the rubric must have {MIN_DIMENSIONS} to {MAX_DIMENSIONS} dimensions; it has {len(names)}")
    if twice := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
        raise ValueError(f"the rubric has {twice[0]!r} more than once")
    if taken := [name for name in names if name in _COLUMNS]:
        raise ValueError(f"the rubric's {taken[0]!r} is the name of a column of data: call the dimension otherwise")
    total = math.fsum(dimension.weight for dimension in rubric)
    if not math.isclose(total, 1, abs_tol=1e-6):
        raise ValueError(f"the weights of the rubric sum to {total:g}, not to 1")
    if scale[0] >= scale[1]:
        raise ValueError(f"the scale must rise, as [1, 3] does; it is [{scale[0]}, {scale[1]}]")
    if excellent is not None and not scale[0] < excellent <= scale[1]:
        raise ValueError(f"excellent is {excellent:g}: it must be above {scale[0]}, and at most {scale[1]}")


def rating_of(row: Mapping[str, Any], rubric: Sequence[Dimension], scale: Scale) -> Rating:
    """The rating in ``row``: ``{"points": {name: number}}``, or the names beside what else the row has (as earlier
    versions wrote it); whole numbers may be written 2.0.

    Raises:
        InputError: a dimension is missing, or its points are no whole number of the scale.
    """
    given = row["points"] if isinstance(row.get("points"), Mapping) else row
    points: dict[str, int] = {}
    for name in (dimension.name for dimension in rubric):
        if name not in given:
            raise InputError(f"no points for {name!r}{nearest(name, [str(key) for key in given])}")
        number = given[name]
        whole = isinstance(number, int | float) and not isinstance(number, bool) and number == number // 1
        if not whole or not scale[0] <= number <= scale[1]:
            raise InputError(f"{name} must be a whole number from {scale[0]} to {scale[1]}, found {number!r}")
        points[name] = int(number)
    return Rating(points)


def weighted(rating: Rating, rubric: Sequence[Dimension]) -> float:
    """The weighted mean of a rating, on the rubric's scale."""
    return math.fsum(dimension.weight * rating.points[dimension.name] for dimension in rubric)


def reaches(mean: float, excellent: float) -> bool:
    """Whether a weighted mean is at least ``excellent``, sums of weights being what they are."""
    return mean >= excellent - _ROUNDING
