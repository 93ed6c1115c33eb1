"""What a rater is asked: which of two texts is better, or the points of one on each dimension of a task's rubric.

A form is a file of the set that is rated (form.json), so that a task that changes later changes no vote.

>>> Form("rubric", title="Wishes", rubric=(Dimension(name="rhyme", weight=1.0, description="…"),)).points({"rhyme": 2})
{'rhyme': 2}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

from pydantic import TypeAdapter, ValidationError

from inkfire.errors import InputError
from inkfire.evaluation.ballots import CHOICES, LONGEST_NOTE, Choice, Vote
from inkfire.records import Rating
from inkfire.tasks.rubric import PAPER_EXCELLENT, PAPER_SCALE, Dimension, rating_of, weighted

Mode = Literal["pairwise", "rubric"]


@dataclass(frozen=True)
class Form:
    """``title``, ``description`` and ``language`` are the task's; without a task (pairs alone) they are empty."""

    mode: Mode
    title: str = ""
    description: str = ""
    language: str = ""
    scale: tuple[int, int] = PAPER_SCALE
    excellent: float | None = None
    rubric: tuple[Dimension, ...] = ()

    @classmethod
    def of(cls, mode: Mode, about: Mapping[str, Any], excellent: float | None) -> Self:
        """Of what a task says of itself (``Task.about``, or the template on a policy's card).

        Raises:
            InputError: points are asked for, and the task has no rubric.
        """
        rubric = about.get("rubric", ()) if mode == "rubric" else ()
        if mode == "rubric" and not rubric:
            raise InputError("nothing says what to rate a text by: name a task with a rubric, --task T")
        scale = tuple(about.get("scale", PAPER_SCALE))
        texts = {name: str(about.get(name, "")) for name in ("title", "description", "language")}
        if excellent is None and scale == PAPER_SCALE:
            excellent = PAPER_EXCELLENT
        return cls.read({"mode": mode, **texts, "scale": scale, "excellent": excellent, "rubric": list(rubric)})

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> Self:
        """
        Raises:
            InputError: it is none.
        """
        try:
            return TypeAdapter(cls).validate_python(dict(data))
        except ValidationError as problem:
            first = problem.errors()[0]
            raise InputError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None

    def to_json(self) -> dict[str, Any]:
        out: dict[str, Any] = TypeAdapter(type(self)).dump_python(self, mode="json")
        return out

    def points(self, row: Mapping[str, Any]) -> dict[str, int]:
        """The points in a row.

        Raises:
            InputError: a dimension is missing, or its points are no whole number of the scale.
        """
        return rating_of({"points": row}, self.rubric, self.scale).points

    def weighted(self, points: Mapping[str, int]) -> float:
        return weighted(Rating(dict(points)), self.rubric)

    def check(self, vote: Vote) -> None:
        """Whether a vote answers what this form asks.

        Raises:
            InputError: it does not, or its note is too long.
        """
        if len(vote.note) > LONGEST_NOTE:
            raise InputError(f"the note has {len(vote.note):,} characters; {LONGEST_NOTE:,} are the most")
        if self.mode == "rubric":
            if vote.points is None or vote.choice is not None:
                raise InputError("points are asked for")
            self.points(vote.points)
        elif vote.choice not in CHOICES or vote.points is not None:
            raise InputError(f"a choice is asked for: {', '.join(CHOICES)}")

    def choice(self, word: object) -> Choice | None:
        """The choice that a word is; None where it is none."""
        return next((choice for choice in CHOICES if choice == word), None)
