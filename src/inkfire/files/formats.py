"""Every supported data format, recognised by content, read into records; errors carry file and line.

A file is JSON Lines, a JSON array, Parquet or plain text (one query a line). A row is one of

    {query} · {query, response} · {query, response, label} · {query, chosen, rejected} · {query, response, clicks}
    alpaca       {instruction, input, output}
    sharegpt     {conversations: [{from, value}], chosen: {from, value}, rejected: {from, value}}
    TRL          {prompt: [{role, content}], chosen: [{role, content}], rejected: [{role, content}]}
    verl         {prompt: [{role, content}], …}

Each reader takes what its purpose needs from any row that has it; other keys are ignored. For a JSON array or
Parquet the "line" of an error is the number of the row, from 1.

>>> [pair.chosen for pair in read_pairs("pairs.jsonl")]                                          # doctest: +SKIP
['愿您的生意如春风拂面……']
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

from inkfire.errors import DataError
from inkfire.files.jsonl import json_kind, numbered_lines, open_input, parse_json
from inkfire.records import Candidate, Example, Label, Labelled, Preference, Query

T = TypeVar("T")
Row = dict[str, Any]

_ROLES = {"human": "user", "gpt": "assistant"}  # sharegpt's names


def read_queries(path: str | Path) -> list[Query]:
    """The queries of any format that has them, in file order, repeats included."""
    return list(iter_queries(path))


def iter_queries(path: str | Path) -> Iterator[Query]:
    """Like :func:`read_queries`, one at a time: memory stays flat except for a JSON array."""
    return _convert(path, lambda row: [Query.of(_query(row), _tags(row))], plain_text=True)


def read_texts(path: str | Path) -> list[Candidate]:
    """Responses with their queries; labels are ignored."""
    return list(iter_texts(path))


def iter_texts(path: str | Path) -> Iterator[Candidate]:
    """Like :func:`read_texts`, one at a time."""
    return _convert(path, lambda row: [Candidate(_query(row), _response(row), _text(row, "source", ""))])


def read_labelled(path: str | Path) -> list[Labelled]:
    """Labelled texts. A preference pair gives two: its chosen text labelled 1, then the rejected one labelled 0."""
    return list(_convert(path, _labelled))


def read_texts_or_labelled(path: str | Path) -> list[Candidate] | list[Labelled]:
    """Labelled texts where the first row has a label (or is a pair); then every row must. Else texts alone."""
    first: Row = next(_convert(path, lambda row: [row]))
    return read_labelled(path) if {"label", "chosen"} & first.keys() else read_texts(path)


def read_pairs(path: str | Path) -> list[Preference]:
    """Preference pairs: bare, sharegpt or TRL conversational."""
    return list(iter_pairs(path))


def iter_pairs(path: str | Path) -> Iterator[Preference]:
    """Like :func:`read_pairs`, one at a time."""
    return _convert(path, lambda row: [_pair(row)])


def read_examples(path: str | Path) -> list[Example]:
    """A retrieval corpus; rows without ``clicks`` count as never clicked."""
    return list(_convert(path, lambda row: [Example(_query(row), _response(row), _clicks(row))]))


def read_any(path: str | Path) -> list[tuple[str, tuple[str, ...]]]:
    """(query, its responses) of each row of any format: both texts of a pair, one of a text, none of a query."""
    return list(_convert(path, lambda row: [(_query(row), _responses(row))], plain_text=True))


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


class _Unfit(Exception):
    """A row that lacks what the purpose needs; becomes a DataError with its place."""


def _convert(path: str | Path, records: Callable[[Row], list[T]], *, plain_text: bool = False) -> Iterator[T]:
    empty = True
    for number, row in _rows(path, plain_text=plain_text):
        if not isinstance(row, dict):
            raise DataError(f"expected a JSON object, found {json_kind(row)}", path=path, line=number)
        try:
            yield from records(row)
        except _Unfit as problem:
            raise DataError(str(problem), path=path, line=number) from None
        empty = False
    if empty:
        raise DataError("the data set is empty", path=path)


def _rows(path: str | Path, *, plain_text: bool) -> Iterator[tuple[int, Any]]:
    """(line or row number, JSON value) of a file whose container is recognised by its first bytes."""
    with open_input(path) as file:
        head = file.read(4096).removeprefix(b"\xef\xbb\xbf").lstrip()
    if head[:4] == b"PAR1":
        yield from enumerate(_parquet_rows(path), 1)
    elif head[:1] == b"[" and head[1:].lstrip()[:1] in (b"{", b"[", b'"', b"]", b""):
        yield from enumerate(_array(path), 1)
    elif head[:1] in (b"{", b""):
        for number, line in numbered_lines(path):
            yield number, parse_json(line, path=path, line=number)
    else:
        for number, line in numbered_lines(path):
            if not plain_text:
                raise DataError(
                    "not a JSON object; a file of plain text has queries only, here rows with texts are needed",
                    path=path,
                    line=number,
                )
            yield number, {"query": line}


def _array(path: str | Path) -> list[Any]:
    with open_input(path) as file:
        raw = file.read()
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise DataError("not UTF-8; save the file as UTF-8", path=path, line=line) from None
    rows: list[Any] = parse_json(text, path=path)
    return rows


def _parquet_rows(path: str | Path) -> Iterator[Any]:
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=1024):
                yield from batch.to_pylist()
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError(f"not readable as Parquet: {error}", path=path) from None


def _text(row: Row, key: str, default: str | None = None) -> str:
    value = row.get(key, default)
    if key not in row and default is None:
        raise _Unfit(f"no {key!r}; the row has {_keys(row)}")
    if not isinstance(value, str):
        raise _Unfit(f"{key} must be a string, found {json_kind(value)}")
    return value


def _keys(row: Row) -> str:
    return ", ".join(map(repr, row)) if row else "no keys"


def _query(row: Row) -> str:
    if "query" in row:
        query = _text(row, "query")
    elif "instruction" in row:
        more = _text(row, "input") if row.get("input") else ""
        query = _text(row, "instruction") + (f"\n{more}" if more else "")
    elif "conversations" in row:
        query = _user_turn(row["conversations"], "conversations")
    elif "prompt" in row:
        prompt = row["prompt"]
        query = prompt if isinstance(prompt, str) else _user_turn(prompt, "prompt")
    else:
        raise _Unfit(
            f"no query: one of query, instruction, conversations or prompt is needed; the row has {_keys(row)}"
        )
    if not query.strip():
        raise _Unfit("the query is empty")
    return query


def _user_turn(value: Any, key: str) -> str:
    turns = [content for role, content in _messages(value, key) if role == "user"]
    if len(turns) != 1:
        raise _Unfit(f"{key} has {len(turns)} user turns; a query is exactly one")
    return turns[0]


def _messages(value: Any, key: str) -> list[tuple[str, str]]:
    """(role, content) of a list of messages in either spelling; a single message counts as a list of one."""
    messages = [value] if isinstance(value, dict) else value
    if not isinstance(messages, list):
        raise _Unfit(f"{key} must be a list of messages, found {json_kind(value)}")
    out = []
    for message in messages:
        if not isinstance(message, dict):
            raise _Unfit(f"{key}: a message must be an object, found {json_kind(message)}")
        role = message.get("role", message.get("from"))
        content = message.get("content", message.get("value"))
        if not isinstance(role, str) or not isinstance(content, str):
            raise _Unfit(f"{key}: a message needs a role and a content that are strings")
        out.append((_ROLES.get(role, role), content))
    return out


def _response(row: Row) -> str:
    if "response" in row:
        return _text(row, "response")
    if "output" in row:
        return _text(row, "output")
    raise _Unfit(f"no text: one of response or output is needed; the row has {_keys(row)}")


def _responses(row: Row) -> tuple[str, ...]:
    if "chosen" in row:
        pair = _pair(row)
        return pair.chosen, pair.rejected
    return (_response(row),) if "response" in row or "output" in row else ()


def _labelled(row: Row) -> list[Labelled]:
    if "label" not in row and "chosen" in row:
        pair = _pair(row)
        return [Labelled(pair.query, pair.chosen, 1), Labelled(pair.query, pair.rejected, 0)]
    return [Labelled(_query(row), _response(row), _label(row), _text(row, "annotator", ""))]


def _label(row: Row) -> Label:
    if "label" not in row:
        raise _Unfit(f"no label; the row has {_keys(row)}")
    label = row["label"]
    if type(label) is int and label in (0, 1):
        return 1 if label else 0
    raise _Unfit(f"label must be 0 or 1, found {json.dumps(label, ensure_ascii=False, default=str)[:80]}")


def _pair(row: Row) -> Preference:
    provenance = row.get("provenance") or {}
    if not isinstance(provenance, dict):
        raise _Unfit(f"provenance must be an object, found {json_kind(provenance)}")
    return Preference(
        query=_query(row),
        chosen=_side(row, "chosen"),
        rejected=_side(row, "rejected"),
        # Parquet gives every row every key of the column; those without a value are none of this row's.
        provenance={key: str(value) for key, value in provenance.items() if value is not None},
    )


def _side(row: Row, key: str) -> str:
    if key not in row:
        raise _Unfit(f"no {key!r}: a preference pair is needed; the row has {_keys(row)}")
    if isinstance(row[key], str):
        return _text(row, key)
    messages = _messages(row[key], key)
    if [role for role, _ in messages] != ["assistant"]:
        raise _Unfit(f"{key} must be one text of the assistant, with the query in prompt or conversations")
    return messages[0][1]


def _tags(row: Row) -> tuple[str, ...]:
    tags = row.get("tags") or []
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise _Unfit("tags must be a list of strings")
    return tuple(tags)


def _clicks(row: Row) -> int:
    clicks = row.get("clicks") or 0
    if type(clicks) is not int or clicks < 0:
        raise _Unfit(f"clicks must be a whole number from 0, found {json.dumps(clicks, default=str)[:80]}")
    return clicks
