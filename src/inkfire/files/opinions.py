"""What raters said of texts, from labelled texts, ratings, verdicts of a judge and votes on pairs.

    {query, response, label}                         a label; a verdict's probability stands beside it
    {query, response, rating} · score · completions  a number
    {query, response, ratings: [2.5, 2]}             a number of each of several raters
    {query, response, points: {rhyme: 3, …}}         points of a rubric; ratings: {…} or the dimensions as columns too
    {query, chosen, rejected, winner}                a vote: chosen, if not said; else chosen, rejected, tie, both bad

``rater`` or ``annotator`` says whose it is, ``seconds`` how long it took, ``tags`` which slices the query is of. A row
without a value (a null, an empty cell, an unscored verdict) is a rating that is missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from inkfire.errors import DataError
from inkfire.files.columns import Columns, Row, number, tags, text_of
from inkfire.files.conversations import Unfit
from inkfire.files.formats import Files, placed
from inkfire.files.jsonl import json_kind
from inkfire.files.reading import AS_IT_STANDS, Reading

Kind = Literal["label", "rating", "vote"]
"""good or bad; a number, or points of a rubric; which of two texts is better."""

WINNERS: Mapping[str, float] = {"chosen": 1.0, "rejected": -1.0, "tie": 0.0, "both bad": 2.0}


@dataclass(frozen=True, slots=True)
class Opinion:
    """What ``rater`` ("" where that is not said) gave a text, or two.

    ``values`` is by the name of what was rated: one, or a rubric's dimensions; empty where it is missing. A vote is 1
    for the first text of two, -1 for the second, 0 for a tie, 2 for both bad. ``score`` ranks texts more finely where
    there is more than a label. ``sources`` are the writers of a pair's texts.
    """

    query: str
    texts: tuple[str, ...]
    kind: Kind
    values: Mapping[str, float]
    rater: str = ""
    score: float | None = None
    seconds: float | None = None
    tags: tuple[str, ...] = ()
    sources: tuple[str, ...] = field(default=())


def read_opinions(path: Files, dimensions: Sequence[str] = (), reading: Reading = AS_IT_STANDS) -> list[Opinion]:
    """The opinions of a file, in its order.

    Args:
        dimensions: columns that are points of a rubric.

    Raises:
        DataError: what is wrong with a row, or that none has a value.
    """
    columns = Columns(reading)
    found = [one for _, line, one in placed(path, columns, lambda row: _opinions(row, columns, dimensions))]
    if not any(one.values for one in found):
        raise DataError(
            "no row says what a text got: label (1 or 0), rating or score (a number), points ({dimension: number}) or "
            "chosen and rejected are needed; say what is called otherwise: --column label=THEIRS",
            path=path if not isinstance(path, Sequence) or isinstance(path, str) else path[0],
        )
    return found


def _opinions(row: Row, columns: Columns, dimensions: Sequence[str]) -> list[Opinion]:
    query, rater = columns.query(row), text_of(row, "rater", "") or text_of(row, "annotator", "")
    about: dict[str, Any] = {"rater": rater, "tags": tags(row)}
    about["seconds"] = number(row["seconds"], "seconds") if row.get("seconds", "") != "" else None
    if {"chosen", "rejected"} & row.keys():
        return [_vote(row, columns, about)]
    if "label" not in row and (answers := columns.answers(row)) is not None:
        return [Opinion(query, (text,), "rating", {"rating": score}, **about) for text, score in answers]
    columns.need(row, "query", "response")
    (text, *more) = columns.texts(row)
    if more:
        raise Unfit(f"a label or rating is of one text, the row has {len(more) + 1}")
    if row.get("label", "") != "":
        kept = number(row["probability"], "probability") if row.get("probability", "") != "" else None
        return [Opinion(query, (text,), "label", {"label": float(columns.label(row))}, score=kept, **about)]
    given = row.get("ratings")
    if isinstance(given, list):
        each = [number(value, "ratings") if value is not None else None for value in given]
        names = [f"{rater or 'reading'} {i}" for i in range(1, len(each) + 1)]
        return [
            Opinion(query, (text,), "rating", {} if value is None else {"rating": value}, **about | {"rater": name})
            for name, value in zip(names, each, strict=True)
        ]
    points = row.get("points", given)
    if points is None and (beside := [name for name in dimensions if name in row]):
        points = {name: row[name] for name in beside}
    if isinstance(points, dict):
        values = {name: number(value, name) for name, value in points.items() if value is not None and value != ""}
        return [Opinion(query, (text,), "rating", values, **about)]
    if "points" in row:
        raise Unfit(f"points must be an object of dimensions and numbers, found {json_kind(points)}")
    named = next((key for key in ("rating", "ratings", "score", "overall_score") if row.get(key, "") != ""), None)
    values = {} if named is None else {"rating": number(row[named], named)}
    return [Opinion(query, (text,), "rating" if values else _missing(row), values, **about)]


def _missing(row: Row) -> Kind:
    return "label" if "unscored" in row or "label" in row else "rating"


def _vote(row: Row, columns: Columns, about: Mapping[str, Any]) -> Opinion:
    """A pair's texts stand in one order, whoever was preferred."""
    pair = columns.pair(row)
    said = row.get("winner", None if "unscored" in row else "chosen")
    if said is not None and str(said).replace("_", " ") not in WINNERS:
        raise Unfit(f"winner must be one of {', '.join(WINNERS)}, found {said!r}")
    won = None if said is None else WINNERS[str(said).replace("_", " ")]
    sides = (pair.chosen, pair.rejected)
    sources = tuple(pair.provenance.get(f"{side}_source", "") for side in ("chosen", "rejected"))
    if sides[0] > sides[1]:
        sides, sources = sides[::-1], sources[::-1]
        won = -won if won in (1.0, -1.0) else won
    return Opinion(pair.query, sides, "vote", {} if won is None else {"vote": won}, sources=sources, **about)
