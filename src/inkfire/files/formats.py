"""Every supported data format, recognised by content, read into records; errors carry file and line.

Which file holds which rows is told in containers.py, what a row's columns say in columns.py. A row is one of

    {query} · {query, response} · {query, response, label} · {query, chosen, rejected} · {query, response, clicks}
    alpaca       {instruction, input, output}
    sharegpt     {conversations: [{from, value}]}, with {chosen: {from, value}, rejected: {from, value}} a pair
    chat         {messages: [{role, content}]} · {prompt, completion} · with a boolean label: KTO
    pairs        {prompt, chosen, rejected}, of texts or messages, which may hold the prompt (hh, UltraFeedback)
    ratings      {query, response, score} · {query, completions: [{response, score}]} · {query, response_1, score_1, …}
    verl         {prompt: [{role, content}], …}

Each reader takes what its purpose needs from any row that has it; other keys are ignored, but for those that say more
than one query and one answer. For a JSON array or Parquet the "line" of an error is the number of the row, from 1.

>>> [pair.chosen for pair in read_pairs("pairs.jsonl")]                                          # doctest: +SKIP
['愿您的生意如春风拂面……']
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

from inkfire.errors import DataError, InputError
from inkfire.files.columns import Columns, Row, Scored, clicks, ranked, response, tags, text_of
from inkfire.files.containers import rows as rows_of
from inkfire.files.conversations import SYSTEM, Carries, Unfit
from inkfire.files.jsonl import json_kind
from inkfire.files.prefix import say_prefix, shared_prefix
from inkfire.files.reading import AS_IT_STANDS, COLUMNS, Reading
from inkfire.records import Candidate, Example, Labelled, Preference, Query
from inkfire.settings import nearest

T = TypeVar("T")
Files = str | Path | Sequence[str | Path]
"""A file or a data set's folder, or several whose rows follow each other."""

_log = logging.getLogger(__name__)
_NAMED = 30  # columns in an error message
_ENOUGH = 2000  # distinct queries show what all begin with


def read_queries(path: Files, reading: Reading = AS_IT_STANDS) -> list[Query]:
    """The queries of any format that has them, in file order, repeats included."""
    return list(iter_queries(path, reading))


def iter_queries(path: Files, reading: Reading = AS_IT_STANDS) -> Iterator[Query]:
    """Like :func:`read_queries`, one at a time: memory stays flat except for a JSON array."""
    columns = Columns(reading)
    return _convert(path, columns, lambda row: [Query.of(columns.query(row), tags(row))], plain_text=True)


def read_texts(path: Files, reading: Reading = AS_IT_STANDS) -> list[Candidate]:
    """Responses with their queries; labels and scores are ignored."""
    return list(iter_texts(path, reading))


def iter_texts(path: Files, reading: Reading = AS_IT_STANDS) -> Iterator[Candidate]:
    """Like :func:`read_texts`, one at a time."""
    return (text for _, _, text in iter_placed_texts(path, reading))


def iter_placed_texts(path: Files, reading: Reading = AS_IT_STANDS) -> Iterator[tuple[Path, int, Candidate]]:
    """Like :func:`iter_texts`, each with its file and line."""
    columns = Columns(reading)

    def records(row: Row) -> list[Candidate]:
        columns.need(row, "query", "response")
        query, source = columns.query(row), text_of(row, "source", "")
        return [Candidate(query, text, source) for text in columns.texts(row)]

    return placed(path, columns, records)


def read_labelled(path: Files, reading: Reading = AS_IT_STANDS) -> list[Labelled]:
    """Labelled texts. A preference pair gives two: its chosen text labelled 1, then the rejected one labelled 0."""
    columns = Columns(reading)
    return list(_convert(path, columns, columns.labelled))


def read_texts_or_labelled(path: Files, reading: Reading = AS_IT_STANDS) -> list[Candidate] | list[Labelled]:
    """Labelled texts where the first row has a label (or is a pair); then every row must. Else texts alone.

    Raises:
        DataError: also where of several files some begin with a label and some do not.
    """
    columns = Columns(reading)
    labelled = {one: bool({"label", "chosen"} & _first(one, columns).keys()) for one in _each(path)}
    if len(set(labelled.values())) > 1:
        some, others = (next(one for one, has in labelled.items() if has == wanted) for wanted in (True, False))
        raise DataError(f"has no labels, and {some} has; give one kind of them", path=others)
    return read_labelled(path, reading) if all(labelled.values()) else read_texts(path, reading)


def read_pairs(path: Files, reading: Reading = AS_IT_STANDS) -> list[Preference]:
    """Preference pairs; of answers that are rated, every two of one query whose scores differ."""
    return list(iter_pairs(path, reading))


def iter_pairs(path: Files, reading: Reading = AS_IT_STANDS) -> Iterator[Preference]:
    """Like :func:`read_pairs`, one at a time; rows of one rated answer each become pairs at the end.

    Raises:
        DataError: also where no two answers to one query have different scores.
    """
    columns = Columns(reading)
    rated: dict[str, Scored] = {}
    found = queries = tied = 0

    def records(row: Row) -> list[Preference]:
        nonlocal queries, tied
        if not {"chosen", "rejected"} & row.keys():
            if (answers := columns.answers(row)) is not None:
                pairs = ranked(columns.query(row), answers)
                queries, tied = queries + 1, tied + (not pairs)
                return pairs
            if (one := columns.rated(row)) is not None:
                rated.setdefault(columns.query(row), []).append(one)
                return []
        return [columns.pair(row)]

    for pair in _convert(path, columns, records):
        found += 1
        yield pair
    for query, answers in rated.items():
        pairs = ranked(query, answers)
        queries, tied, found = queries + 1, tied + (not pairs), found + len(pairs)
        yield from pairs
    if found and tied:
        said = "%s: %d of %d rated queries have no two answers of different scores, and make no pair"
        _log.warning(said, _each(path)[0], tied, queries)
    if not found and _each(path):
        raise DataError("no two answers to one query have different scores: nothing is preferred", path=_each(path)[0])


def read_writers(path: Files, reading: Reading = AS_IT_STANDS) -> dict[tuple[str, str], str]:
    """(query, text) → its writer, of the rows of texts that have a ``source``."""
    columns = Columns(reading)

    def records(row: Row) -> list[Candidate]:
        source = row.get("source")
        if not isinstance(source, str) or "chosen" in row:
            return []
        return [Candidate(columns.query(row), text, source) for text in columns.texts(row)]

    return {(text.query, text.response): text.source for text in _convert(path, columns, records)}


def iter_ratings(
    path: Files, rating: Callable[[Row], T], reading: Reading = AS_IT_STANDS
) -> Iterator[tuple[str, str, str, T]]:
    """(query, response, annotator, ``rating`` of the row) of rows that each hold what one person gave one text.

    Raises:
        DataError: also where ``rating`` refuses a row (an InputError).
    """
    columns = Columns(reading)

    def records(row: Row) -> list[tuple[str, str, str, T]]:
        (text, *more) = columns.texts(row)
        if more:
            raise Unfit("a rating is of one text, the row has several")
        try:
            return [(columns.query(row), text, text_of(row, "annotator", ""), rating(row))]
        except InputError as problem:
            raise Unfit(str(problem)) from None

    return _convert(path, columns, records)


def read_rated(path: Files, reading: Reading = AS_IT_STANDS) -> list[tuple[str, str, float]]:
    """(query, response, rating) of rows with one rated answer or several; a text that is rated twice has the mean."""
    columns = Columns(reading)
    found: dict[tuple[str, str], list[float]] = {}
    rows = _convert(path, columns, lambda row: [(columns.query(row), *one) for one in columns.scored(row)])
    for query, text, rating in rows:
        found.setdefault((query, text), []).append(rating)
    return [(query, text, sum(rated) / len(rated)) for (query, text), rated in found.items()]


def read_examples(path: Files, reading: Reading = AS_IT_STANDS) -> list[Example]:
    """A retrieval corpus; rows without ``clicks`` count as never clicked."""
    columns = Columns(reading)

    def records(row: Row) -> list[Example]:
        columns.need(row, "query", "response")
        query = columns.query(row)
        return [Example(query, text, clicks(row)) for text in columns.texts(row)]

    return list(_convert(path, columns, records))


def read_any(path: Files, reading: Reading = AS_IT_STANDS) -> list[tuple[str, tuple[str, ...]]]:
    """(query, its responses) of each row of any format: both texts of a pair, one of a text, none of a query."""
    columns = Columns(reading)

    def records(row: Row) -> list[tuple[str, tuple[str, ...]]]:
        if "chosen" in row:
            pair = columns.pair(row)
            return [(pair.query, (pair.chosen, pair.rejected))]
        has = response(row) is not None or columns.answers(row) is not None
        return [(columns.query(row), tuple(columns.texts(row) if has else ()))]

    return list(_convert(path, columns, records, plain_text=True))


def check_columns(path: Files, reading: Reading) -> None:
    """Whether each column that is called otherwise is there, in a row of one of the files.

    Raises:
        InputError: one is in none.
    """
    there: dict[str, None] = {}
    for one in _each(path) if reading.column else ():
        with contextlib.suppress(DataError):  # who reads it says it
            for _, _, row in rows_of(one, known=_known(reading), split=reading.split, plain_text=True):
                there |= dict.fromkeys(row if isinstance(row, dict) else ())
                if there.keys() >= set(reading.names.values()):
                    return
    for ours, theirs in reading.names.items():
        if there and theirs not in there:
            names = list(there)[:_NAMED]
            raise InputError(f"--column {ours}={theirs}: no row has a column {theirs!r}{nearest(theirs, names)}")


def pair_row(pair: Preference, messages: Sequence[Mapping[str, Any]]) -> Row:
    """A pair as TRL's conversational preference; ``messages`` is what the policy is asked for its query.

    The columns ``query`` and ``provenance`` are ours: trainers ignore them.
    """
    return {
        "prompt": [dict(message) for message in messages],
        "chosen": [{"role": "assistant", "content": pair.chosen}],
        "rejected": [{"role": "assistant", "content": pair.rejected}],
        "query": pair.query,
        "provenance": dict(pair.provenance),
    }


class HasQuery(Protocol):
    @property
    def query(self) -> str: ...


Q = TypeVar("Q", bound=HasQuery)


def split_by_query(
    rows: Iterable[Q], *, fraction: float, seed: int, both_labels: bool = True
) -> tuple[list[Q], list[Q]]:
    """(the rest, the held-out rows): the second list has ``fraction`` of the distinct queries, none in both.

    Queries are ranked by a hash of (seed, query), so that neither the order of the rows nor repeats matter. With
    0 < fraction < 1 and at least two queries neither list is empty, and where the rows have both labels (attribute
    ``label``) so do both lists.

    Args:
        both_labels: False where one list is thrown away, which needs none.

    Raises:
        DataError: the rows have both labels, but too few queries of one of them for both lists.
    """
    rows = list(rows)
    ranked = sorted({row.query for row in rows}, key=lambda query: _hash(seed, query))
    count = round(fraction * len(ranked))
    if 0 < fraction < 1 and len(ranked) > 1:
        count = min(max(count, 1), len(ranked) - 1)
    held_out = set(ranked[:count])
    if both_labels and 0 < fraction < 1:
        labels: dict[str, set[Any]] = {query: set() for query in ranked}
        for row in rows:
            labels[row.query].add(getattr(row, "label", None))
        if set().union(*labels.values()) >= {0, 1}:
            held_out = _both_labels(labels, count)
    return [r for r in rows if r.query not in held_out], [r for r in rows if r.query in held_out]


def _both_labels(labels: Mapping[str, set[Any]], count: int) -> set[str]:
    """The first ``count`` queries where these and the rest have both labels; else a share of each class of queries.

    ``labels`` of each query, in the order of their ranks. A class is the labels that a query's texts have: either
    alone, or both.
    """
    ranked = list(labels)
    if all({0, 1} <= set().union(*map(labels.__getitem__, part)) for part in (ranked[:count], ranked[count:])):
        return set(ranked[:count])
    both, good, bad = ([q for q in ranked if labels[q] & {0, 1} == kind] for kind in ({0, 1}, {1}, {0}))
    enough = [{query} for query in both] + [set(pair) for pair in zip(good, bad, strict=False)]
    if len(enough) < 2:  # no two disjoint sets of queries that have both labels
        raise DataError(
            f"labelled texts of {len(ranked)} queries cannot be split by query into two parts that both have good and "
            f"bad ones: {len(both) + len(good)} queries have good texts, {len(both) + len(bad)} have bad ones, "
            f"{len(both)} of them both; label texts of more queries"
        )
    held, kept = enough[:2]
    others: list[tuple[float, str]] = []  # a query with how far down its class it stands
    for kind in (both, good, bad):
        free = [query for query in kind if query not in held | kept]
        others += [((i + 0.5) / len(free), query) for i, query in enumerate(free)]
    others.sort(key=lambda other: other[0])
    return held | {query for _, query in others[: max(count - len(held), 0)]}


def _hash(seed: int, query: str) -> bytes:
    return hashlib.sha256(f"{seed}\0{query}".encode("utf-8", "surrogatepass")).digest()


def _each(path: Files) -> list[Path]:
    return [Path(path)] if isinstance(path, (str, Path)) else [Path(one) for one in path]


def _known(reading: Reading) -> set[str]:
    return {*COLUMNS, *reading.names.values()}


def _numbered(path: Path, columns: Columns, *, plain_text: bool = False) -> Iterator[tuple[Path, int, Row]]:
    how = columns.reading
    for file, number, raw in rows_of(path, known=_known(how), split=how.split, plain_text=plain_text):
        if not isinstance(raw, dict):
            raise DataError(f"expected a JSON object, found {json_kind(raw)}", path=file, line=number)
        yield file, number, columns.row(raw)


def _first(path: Path, columns: Columns) -> Row:
    for _, _, row in _numbered(path, columns):
        return row
    raise DataError("the data set is empty", path=path)


def _convert(
    path: Files, columns: Columns, records: Callable[[Row], list[T]], *, plain_text: bool = False
) -> Iterator[T]:
    return (record for _, _, record in placed(path, columns, records, plain_text=plain_text))


def placed(
    path: Files, columns: Columns, records: Callable[[Row], list[T]], *, plain_text: bool = False
) -> Iterator[tuple[Path, int, T]]:
    """Each record that ``records`` makes of a row, with its file and line."""
    queries: set[str] = set()
    for one in _each(path):
        rows = _numbered(one, columns, plain_text=plain_text)
        number = 0
        for number, (file, line, row) in enumerate(rows, 1):
            try:
                found = records(row)
            except Carries as what:
                carried, more = _carried(rows, records)
                carried[str(what)] += 1
                raise DataError(_refusal(carried, number + more, columns), path=file, line=line) from None
            except Unfit as problem:
                raise DataError(str(problem), path=file, line=line) from None
            yield from ((file, line, record) for record in found)
            if len(queries) < _ENOUGH and found:
                queries.add(found[0][0] if isinstance(found[0], tuple) else getattr(found[0], "query", ""))
        if not number:
            raise DataError("the data set is empty", path=one)
    if (prefix := shared_prefix(queries)) is not None:
        say_prefix(str(_each(path)[0]), prefix)


def _carried(rows: Iterator[tuple[Path, int, Row]], records: Callable[[Row], list[Any]]) -> tuple[Counter[str], int]:
    """Of the rows that are left: how many carry more than a query and a text, by what it is; and how many there are."""
    carried: Counter[str] = Counter()
    count = 0
    for _, _, row in rows:
        count += 1
        try:
            records(row)
        except Carries as what:
            carried[str(what)] += 1
        except Unfit:
            continue
    return carried, count


def _refusal(carried: Counter[str], count: int, columns: Columns) -> str:
    said = ", ".join(f"{rows} of {count} rows have {what}" for what, rows in carried.items())
    if carried.keys() != {SYSTEM}:
        fix = "keep the rows of one query and one answer, or write what the answer needs into the query"
    elif len(columns.met) == 1:
        fix = "all rows have the same one: --system drop leaves it out"
    else:
        fix = "they have not all the same one: keep the rows of one, or write it into the query"
    return f"{said}; nothing is cut off unsaid: {fix}. This is the first of them"
