"""Every format is recognised by content; every bad record is named by file and line."""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkfire.errors import DataError
from inkfire.files.formats import (
    iter_queries,
    pair_row,
    read_any,
    read_examples,
    read_labelled,
    read_pairs,
    read_queries,
    read_rated,
    read_texts,
    split_by_query,
)
from inkfire.files.jsonl import write_jsonl
from inkfire.files.reading import Reading
from inkfire.records import Candidate, Example, Labelled, Preference, Query

BARE = {"query": "q", "chosen": "good", "rejected": "bad"}
SHAREGPT = {
    "conversations": [{"from": "human", "value": "q"}],
    "chosen": {"from": "gpt", "value": "good"},
    "rejected": {"from": "gpt", "value": "bad"},
}
TRL = {
    "prompt": [{"role": "user", "content": "q"}],
    "chosen": [{"role": "assistant", "content": "good"}],
    "rejected": [{"role": "assistant", "content": "bad"}],
}
ALPACA = {"instruction": "q", "input": "", "output": "r"}
VERL = {"prompt": [{"content": "q", "role": "user"}], "data_source": "x", "extra_info": {"index": 0}}
TEXT = {"query": "q", "response": "r"}

Write = Callable[[Path, list[dict[str, Any]]], None]


def as_jsonl(path: Path, rows: list[dict[str, Any]]) -> None:
    write_jsonl(path, rows)


def as_array(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text(" \n" + json.dumps(rows, ensure_ascii=False, indent=2))


def as_parquet(path: Path, rows: list[dict[str, Any]]) -> None:
    pq.write_table(pa.Table.from_pylist(rows), path)


@pytest.mark.parametrize("write", [as_jsonl, as_array, as_parquet])
@pytest.mark.parametrize(
    ("row", "read", "expected"),
    [
        ({"query": "q", "tags": ["spring", "festival"]}, read_queries, [Query.of("q", ("spring", "festival"))]),
        (VERL, read_queries, [Query.of("q")]),
        (ALPACA, read_queries, [Query.of("q")]),
        (ALPACA | {"input": "more"}, read_queries, [Query.of("q\nmore")]),
        (SHAREGPT, read_queries, [Query.of("q")]),
        (TRL, read_queries, [Query.of("q")]),
        (TEXT, read_texts, [Candidate("q", "r")]),
        (TEXT | {"source": "w", "label": 1}, read_texts, [Candidate("q", "r", "w")]),
        (ALPACA, read_texts, [Candidate("q", "r")]),
        (TEXT | {"label": 0, "flaw": "cliché"}, read_labelled, [Labelled("q", "r", 0)]),
        (ALPACA | {"label": 1, "annotator": "ann"}, read_labelled, [Labelled("q", "r", 1, "ann")]),
        (SHAREGPT, read_labelled, [Labelled("q", "good", 1), Labelled("q", "bad", 0)]),
        (BARE, read_pairs, [Preference("q", "good", "bad")]),
        (SHAREGPT, read_pairs, [Preference("q", "good", "bad")]),
        (TRL, read_pairs, [Preference("q", "good", "bad")]),
        (BARE | {"provenance": {"chosen": "w1"}}, read_pairs, [Preference("q", "good", "bad", {"chosen": "w1"})]),
        (TEXT | {"clicks": 7}, read_examples, [Example("q", "r", 7)]),
        (ALPACA, read_examples, [Example("q", "r", 0)]),
    ],
)
def test_formats(tmp_path: Path, write: Write, row: dict[str, Any], read: Any, expected: list[Any]) -> None:
    path = tmp_path / "data"
    write(path, [row, row])
    assert read(path) == expected * 2


def test_plain_text_is_one_query_a_line(tmp_path: Path) -> None:
    path = tmp_path / "queries.txt"
    path.write_bytes("\ufeff生日祝福语\r\n\r\n [笑脸] 祝福 \n生日祝福语".encode())
    assert [q.query for q in read_queries(path)] == ["生日祝福语", "[笑脸] 祝福", "生日祝福语"]


def test_plain_text_may_begin_with_a_bracket(tmp_path: Path) -> None:
    path = tmp_path / "queries.txt"
    path.write_text("[1] 生日祝福语\n")
    assert [q.query for q in read_queries(path)] == ["[1] 生日祝福语"]


def test_our_own_pairs_read_back(tmp_path: Path) -> None:
    pair = Preference("q", "good", "bad", {"judge": "1.5b"})
    messages = [{"role": "user", "content": "an example"}, {"role": "user", "content": "Write for: q"}]
    write_jsonl(tmp_path / "pairs.jsonl", [pair_row(pair, messages)])
    assert read_pairs(tmp_path / "pairs.jsonl") == [pair]
    assert read_queries(tmp_path / "pairs.jsonl") == [Query.of("q")]


def test_any_row_gives_its_query_and_texts(tmp_path: Path) -> None:
    path = tmp_path / "mixed.jsonl"
    write_jsonl(path, [BARE, SHAREGPT, TRL, ALPACA, TEXT | {"label": 1}, {"query": "q"}, VERL])
    both = ("q", ("good", "bad"))
    assert read_any(path) == [both, both, both, ("q", ("r",)), ("q", ("r",)), ("q", ()), ("q", ())]


def test_texts_that_nobody_rated_are_texts_and_nulls_are_none(tmp_path: Path) -> None:
    rows = [{"query": "q", "responses": ["r", None, "s"]}, {"query": "p", "responses": [None]}]
    write_jsonl(tmp_path / "data", rows)
    assert read_texts(tmp_path / "data") == [Candidate("q", "r"), Candidate("q", "s")]
    assert read_any(tmp_path / "data") == [("q", ("r", "s")), ("p", ())]
    with pytest.raises(DataError, match="nothing is preferred"):
        read_pairs(tmp_path / "data")
    write_jsonl(tmp_path / "data", [rows[1] | {"label": 1}])
    with pytest.raises(DataError, match="a label is of one text, the row has 0"):
        read_labelled(tmp_path / "data")


READERS = [read_any, read_queries, read_texts, read_labelled, read_pairs, read_examples]


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("content", ["", " \n\n", "[]", "\ufeff"])
def test_empty_data_sets(tmp_path: Path, read: Any, content: str) -> None:
    path = tmp_path / "data"
    path.write_text(content)
    with pytest.raises(DataError, match="data: the data set is empty"):
        read(path)


@pytest.mark.parametrize("read", READERS)
def test_missing_files(tmp_path: Path, read: Any) -> None:
    with pytest.raises(DataError, match="absent: no such file"):
        read(tmp_path / "absent")
    with pytest.raises(DataError, match="is a folder"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("read", "row", "message"),
    [
        (read_queries, {"text": "x"}, "no 'query'; the row has 'text'; .*--column query=THEIRS"),
        (read_queries, {}, "the row has no keys"),
        (read_queries, {"query": " "}, "the query is empty"),
        (read_queries, {"query": 3}, "query must be a string, found a number"),
        (read_queries, {"query": None}, "no 'query'; the row has no keys"),
        (read_queries, {"query": "q", "tags": {"a": 1}}, "tags must be a list"),
        (read_queries, {"prompt": []}, "prompt has 0 user turns"),
        (read_queries, {"prompt": [{"role": "user"}]}, "a message needs a role and a content"),
        (read_queries, {"prompt": 3}, "prompt must be a list of messages, found a number"),
        (read_queries, {"prompt": ["q"]}, "a message must be an object, found a string"),
        (read_queries, {"conversations": SHAREGPT["conversations"] * 2}, "1 of 2 rows have more than one user turn"),
        (read_texts, {"query": "q"}, "no 'response'; the row has 'query'; .*--column response=THEIRS"),
        (read_texts, BARE, "no 'response'"),
        (read_texts, {"query": "q", "response": None}, "no 'response'; the row has 'query'"),
        (read_labelled, TEXT, "no 'label'; the row has 'query', 'response'; .*--column label=THEIRS"),
        (read_labelled, TEXT | {"label": 2}, "label must be 0 or 1, found 2"),
        (read_labelled, TEXT | {"label": "good"}, 'found "good"; .*--label WORD=1 OTHER=0'),
        (read_labelled, TEXT | {"label": ""}, "the label is empty"),
        (read_labelled, TEXT | {"label": 1.5}, "found 1.5"),
        (read_labelled, TEXT | {"label": None}, "no 'label'; the row has 'query', 'response'; .*--column label=THEIRS"),
        (read_pairs, TEXT, "no 'chosen', 'rejected'; .*--column chosen=THEIRS rejected=THEIRS"),
        (read_pairs, BARE | {"chosen": None}, "no 'chosen'; the row has 'query', 'rejected'"),
        (read_pairs, TRL | {"chosen": TRL["prompt"]}, "chosen must be one text of the assistant"),
        (read_pairs, BARE | {"provenance": "x"}, "provenance must be an object"),
        (read_examples, TEXT | {"clicks": -1}, "clicks must be a whole number"),
        (read_examples, TEXT | {"clicks": "7.5"}, "clicks must be a whole number"),
    ],
)
@pytest.mark.parametrize("write", [as_jsonl, as_array])
def test_bad_rows_are_named(tmp_path: Path, write: Write, read: Any, row: dict[str, Any], message: str) -> None:
    path = tmp_path / "data"
    good = BARE | {"label": 1, "response": "r"}
    write(path, [good, row])
    with pytest.raises(DataError, match=f"data:2: .*{message}"):
        read(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"query": "a"}\n{"query": \n', "data:2: not valid JSON"),
        (b'{"query": "a"}\nplain\n', "data:2: not valid JSON"),
        (b'{"query": "a"}\n["b"]\n', "data:2: expected a JSON object, found a list"),
        (b'[\n{"query": "a"},\n{"query": }\n]', "data:3: not valid JSON"),
        (b'[{"query": "a"}, "b"]', "data:2: expected a JSON object, found a string"),
        (b'["a", "b"]', "data:1: expected a JSON object, found a string"),
        (b'[{"query": "\xff"}]', "data:1: not UTF-8"),
        (b"plain\n\xff\xfe\n", "data:2: not UTF-8"),
        (b"PAR1 and nothing more", "data: not readable as Parquet"),
    ],
)
def test_broken_files_are_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "data"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_queries(path)


def test_plain_text_is_refused_where_texts_are_needed(tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_text("生日祝福语\n")
    with pytest.raises(DataError, match="data:1: not a JSON object; a file of plain text has queries only"):
        read_pairs(path)


@given(content=st.binary(max_size=60) | st.text('[]{}":,\n queryab0', max_size=60).map(str.encode))
def test_any_bytes_give_records_or_a_data_error(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("wild") / "data"
    path.write_bytes(content)
    for read in READERS:
        with contextlib.suppress(DataError):
            assert len(read(path)) > 0


anything = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
wild_rows = st.dictionaries(
    st.sampled_from(["query", "response", "label", "prompt", "conversations", "chosen", "rejected", "clicks", "tags"]),
    anything
    | st.lists(anything, max_size=2)
    | st.lists(st.dictionaries(st.sampled_from(["role", "content", "from", "value"]), anything), max_size=2),
)


@given(rows=st.lists(wild_rows, min_size=1, max_size=3))
def test_any_rows_give_records_or_a_data_error(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]]
) -> None:
    path = tmp_path_factory.mktemp("wild") / "data"
    write_jsonl(path, rows)
    for read in READERS:
        with contextlib.suppress(DataError):
            assert len(read(path)) >= len(rows)


def test_queries_stream(tmp_path: Path) -> None:
    path = tmp_path / "queries.jsonl"
    path.write_text('{"query": "a"}\nbroken\n')
    assert next(iter_queries(path)).query == "a"


@given(
    rows=st.lists(st.builds(Candidate, st.text(max_size=3), st.text(max_size=1)), max_size=30),
    fraction=st.floats(0.05, 0.95),
    seed=st.integers(0, 3),
)
def test_splits_are_disjoint_by_query(rows: list[Candidate], fraction: float, seed: int) -> None:
    rest, held_out = split_by_query(rows, fraction=fraction, seed=seed)
    assert Counter(rest + held_out) == Counter(rows)
    assert not {row.query for row in rest} & {row.query for row in held_out}
    queries = {row.query for row in rows}
    if len(queries) > 1:
        assert rest
        assert held_out
        assert abs(len({row.query for row in held_out}) - fraction * len(queries)) <= 1
    again = split_by_query(rows[::-1], fraction=fraction, seed=seed)
    assert Counter(again[1]) == Counter(held_out)


def test_splits_depend_on_the_seed() -> None:
    rows = [Query.of(str(i)) for i in range(50)]
    assert split_by_query(rows, fraction=0.5, seed=0) != split_by_query(rows, fraction=0.5, seed=1)


def labelled(**labels: str) -> list[Labelled]:
    """Texts of queries: ``a="01"`` is a bad and a good text of query a."""
    return [Labelled(query, label, 1 if label == "1" else 0) for query, given in labels.items() for label in given]


@given(
    classes=st.lists(st.sampled_from(["0", "1", "01", "00", "110"]), min_size=1, max_size=12),
    fraction=st.floats(0.05, 0.95),
    seed=st.integers(0, 9),
)
def test_both_parts_have_both_labels_or_it_is_said_why_not(classes: list[str], fraction: float, seed: int) -> None:
    rows = labelled(**{f"q{i}": given for i, given in enumerate(classes)})
    plain = split_by_query(rows, fraction=fraction, seed=seed, both_labels=False)
    of = [sum(label in given for given in classes) for label in "01"]
    if not all(of):
        assert split_by_query(rows, fraction=fraction, seed=seed) == plain
    elif min(of) < 2:
        with pytest.raises(DataError, match=f"{of[1]} queries have good texts, {of[0]} have bad ones"):
            split_by_query(rows, fraction=fraction, seed=seed)
    else:
        parts = split_by_query(rows, fraction=fraction, seed=seed)
        assert all({row.label for row in part} == {0, 1} for part in parts)
        assert not {row.query for row in parts[0]} & {row.query for row in parts[1]}
        assert sorted(map(repr, [*parts[0], *parts[1]])) == sorted(map(repr, rows))
        assert abs(len({row.query for row in parts[1]}) - fraction * len(classes)) <= 2
        if all({row.label for row in part} == {0, 1} for part in plain):
            assert parts == plain  # what was a split before is the same one
        again = split_by_query(rows[::-1] * 2, fraction=fraction, seed=seed)
        assert {row.query for row in again[1]} == {row.query for row in parts[1]}


def test_rare_good_queries_are_shared_out() -> None:
    """Labels that are one with the queries: four good queries of forty, in each part about half of them."""
    rows = labelled(**{f"q{i}": "1" if i < 4 else "0" for i in range(40)})
    repaired = 0
    for seed in range(60):
        plain = split_by_query(rows, fraction=0.5, seed=seed, both_labels=False)
        if all({row.label for row in part} == {0, 1} for part in plain):
            continue
        repaired += 1
        parts = split_by_query(rows, fraction=0.5, seed=seed)
        assert [sum(row.label for row in part) for part in parts] == [2, 2]
        assert len(parts[1]) == 20
    assert repaired


def test_the_release_reads(release_data: Path) -> None:
    assert len(read_pairs(release_data / "reward_data_train.json")) == 6310
    assert len(read_texts(release_data / "sft_data.json")) == 4000
    assert len(read_queries(release_data / "grpo_train.parquet")) == 3200
    assert len(read_queries(release_data / "random_query.txt")) == 10000


def test_ratings_of_one_text_or_several_in_a_row_are_one_number_a_text(tmp_path: Path) -> None:
    path = tmp_path / "rated.jsonl"
    rows = [
        {"query": "q", "response": "a", "rating": 2, "annotator": "ann"},
        {"query": "q", "response": "a", "rating": 5, "annotator": "bob"},
        {"query": "p", "completions": [{"response": "b", "score": 1}, {"response": "c", "score": 4}]},
        {"query": "o", "response_1": "d", "score_1": 3},
    ]
    write_jsonl(path, rows)
    assert read_rated(path) == [("q", "a", 3.5), ("p", "b", 1.0), ("p", "c", 4.0), ("o", "d", 3.0)]
    write_jsonl(path, [{"query": "q", "response": "a", "grade": 2}])
    with pytest.raises(DataError, match=r"no 'score'; the row has .*--column score=THEIRS"):
        read_rated(path)
    assert read_rated(path, Reading(column=("score=grade",))) == [("q", "a", 2.0)]
