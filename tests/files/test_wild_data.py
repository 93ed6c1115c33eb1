"""Data as people have it: each kind that is about gives the right records, or is refused in words."""

from __future__ import annotations

import contextlib
import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkfire.errors import DataError, InputError
from inkfire.files.formats import (
    read_any,
    read_labelled,
    read_pairs,
    read_queries,
    read_texts,
    read_texts_or_labelled,
)
from inkfire.files.jsonl import write_jsonl
from inkfire.files.reading import Reading
from inkfire.records import Candidate, Labelled, Preference

READERS = [read_any, read_queries, read_texts, read_labelled, read_pairs, read_texts_or_labelled]
ASK = "a wish for Ann, who sails"
PAIR = Preference(ASK, "Fair winds, Ann.", "All the best.")
LABELS = [Labelled(ASK, PAIR.chosen, 1), Labelled(ASK, PAIR.rejected, 0)]


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def assistant(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


def human(text: str) -> dict[str, str]:
    return {"from": "human", "value": text}


def gpt(text: str) -> dict[str, str]:
    return {"from": "gpt", "value": text}


def hh(answer: str, ask: str = ASK) -> str:
    return f"\n\nHuman: {ask}\n\nAssistant: {answer}"


# ---- rows ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": ASK, "chosen": PAIR.chosen, "rejected": PAIR.rejected},
        # UltraFeedback, binarised
        {"prompt": ASK, "score_chosen": 8.5, "score_rejected": 4.0}
        | {"chosen": [user(ASK), assistant(PAIR.chosen)], "rejected": [user(ASK), assistant(PAIR.rejected)]},
        # the same as it was published: messages are the prompt and what was chosen
        {"prompt": ASK, "messages": [user(ASK), assistant(PAIR.chosen)]}
        | {"chosen": [user(ASK), assistant(PAIR.chosen)], "rejected": [user(ASK), assistant(PAIR.rejected)]},
        # an implicit prompt, as messages and as hh's transcripts
        {"chosen": [user(ASK), assistant(PAIR.chosen)], "rejected": [user(ASK), assistant(PAIR.rejected)]},
        {"chosen": hh(PAIR.chosen), "rejected": hh(PAIR.rejected)},
        {"prompt": hh("").rstrip(), "chosen": PAIR.chosen, "rejected": PAIR.rejected},
        {"prompt": ASK, "chosen": [assistant(PAIR.chosen)], "rejected": [assistant(PAIR.rejected)]},
        # sharegpt
        {"conversations": [human(ASK)], "chosen": gpt(PAIR.chosen), "rejected": gpt(PAIR.rejected), "system": ""},
        # ratings
        {"instruction": ASK, "models": ["a", "b"]}
        | {
            "completions": [
                {"response": PAIR.rejected, "overall_score": 2},
                {"response": PAIR.chosen, "overall_score": 7.5},
            ]
        },
        {"prompt": ASK, "responses": [PAIR.chosen, PAIR.rejected], "scores": [0.9, 0.2]},
        {"prompt": ASK, "responses": [PAIR.chosen, None, PAIR.rejected], "scores": [0.9, None, 0.2]},
        {"query": ASK, "response_1": PAIR.rejected, "score_1": "1", "response_2": PAIR.chosen, "score_2": "3"},
        {"query": ASK, "response_a": PAIR.rejected, "rating_a": 1, "response_b": PAIR.chosen, "rating_b": 3},
        # as a spreadsheet heads its columns
        {"Query": ASK, "Chosen": PAIR.chosen, "REJECTED": PAIR.rejected},
        # nulls are absent
        {"query": None, "prompt": [user(ASK)], "response": None, "label": None, "tags": None, "provenance": None}
        | {"chosen": [assistant(PAIR.chosen)], "rejected": [assistant(PAIR.rejected)]},
    ],
)
def test_pairs(tmp_path: Path, row: dict[str, Any]) -> None:
    write_jsonl(tmp_path / "data", [row])
    assert read_pairs(tmp_path / "data") == [PAIR]
    assert [query.query for query in read_queries(tmp_path / "data")] == [ASK]
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "data")
    assert read_pairs(tmp_path / "data") == [PAIR]


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": ASK, "completion": PAIR.chosen},
        {"prompt": [user(ASK)], "completion": [assistant(PAIR.chosen)]},
        {"messages": [user(ASK), assistant(PAIR.chosen)]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": ASK}]}, assistant(PAIR.chosen)]},
        {"conversations": [human(ASK), gpt(PAIR.chosen)]},
        {"messages": {"role": ["user", "assistant"], "content": [ASK, PAIR.chosen]}},
        {"messages": json.dumps([user(ASK), assistant(PAIR.chosen)])},
        {"conversations": [{"from": "User", "value": ASK}, {"from": "AI", "value": PAIR.chosen}]},
        {"instruction": ASK, "input": "", "output": PAIR.chosen, "system": "", "history": []},
        {"instruction": ASK, "input": None, "output": PAIR.chosen},
        {"prompt": hh("").rstrip(), "response": PAIR.chosen},
    ],
)
def test_texts(tmp_path: Path, row: dict[str, Any]) -> None:
    write_jsonl(tmp_path / "data", [row])
    assert read_texts(tmp_path / "data") == [Candidate(ASK, PAIR.chosen)]
    assert read_any(tmp_path / "data") == [(ASK, (PAIR.chosen,))]
    write_jsonl(tmp_path / "data", [row | {"label": True}])
    assert read_texts_or_labelled(tmp_path / "data") == LABELS[:1]


@pytest.mark.parametrize(
    ("good", "bad"), [(True, False), (1.0, 0.0), ("1", "0"), ("true", "False"), ("1.0", "0.0"), (1, 0)]
)
def test_labels(tmp_path: Path, good: object, bad: object) -> None:
    rows = [{"prompt": ASK, "completion": PAIR.chosen, "label": good}]
    rows += [{"prompt": ASK, "completion": PAIR.rejected, "label": bad}]
    write_jsonl(tmp_path / "data", rows)
    assert read_labelled(tmp_path / "data") == LABELS


@pytest.mark.parametrize(
    ("good", "bad", "label"),
    [
        ("good", "bad", ("good=1", "bad=0")),
        ("Good", "BAD", ("good=1", "bad=0")),
        (1, -1, ("1=1", "-1=0")),
        (5, 2.0, ("5=1", "2=0")),
        ("a=b", "c", ("a=b=1", "c=0")),
        (False, True, ("true=0", "false=1")),
    ],
)
def test_labels_in_other_words(tmp_path: Path, good: object, bad: object, label: tuple[str, ...]) -> None:
    rows = [{"query": ASK, "response": PAIR.chosen, "label": good}]
    rows += [{"query": ASK, "response": PAIR.rejected, "label": bad}]
    write_jsonl(tmp_path / "data", rows)
    assert read_labelled(tmp_path / "data", Reading(label=label)) == LABELS


def test_columns_by_other_names(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "data", [{"Ask": ASK, "Better": PAIR.chosen, "Worse": PAIR.rejected, "query": "7"}])
    reading = Reading(column=("query=Ask", "chosen=Better", "rejected=Worse"))
    assert read_pairs(tmp_path / "data", reading) == [PAIR]
    with pytest.raises(DataError, match="no 'chosen'"):
        read_pairs(tmp_path / "data")
    with pytest.raises(InputError, match="--column 'quary=Ask': unknown column; did you mean 'query'"):
        read_pairs(tmp_path / "data", Reading(column=("quary=Ask",)))
    wrong = [Reading(column=(one,)) for one in ("Ask", "Ask=query", "query=Ask,response=Better")]
    for reading in (*wrong, Reading(label=("good=2",)), Reading(label=("good",)), Reading(label=("good=print",))):
        with pytest.raises(InputError, match="write"):
            read_labelled(tmp_path / "data", reading)
    write_jsonl(tmp_path / "data", [{"Ask": ASK, "Text": "x", "Verdict": "print"}])
    said = (
        "data:1: no 'response', 'label'; the row has 'Ask', 'Text', 'Verdict', and nothing that --column response=text "
        "names; say what is called otherwise: --column response=THEIRS label=THEIRS"
    )
    with pytest.raises(DataError, match=said):
        read_labelled(tmp_path / "data", Reading(column=("query=Ask", "response=text")))


def test_ratings_of_one_answer_a_row(tmp_path: Path) -> None:
    scores = {"x": 2.0, "y": 5.0, "z": 2.0}
    rows = [{"query": query, "response": text, "score": scores[text]} for text in "xyz" for query in ("q", "r")]
    write_jsonl(tmp_path / "data", rows)
    assert read_pairs(tmp_path / "data") == [Preference(q, "y", text) for q in ("q", "r") for text in "xz"]
    assert len(read_texts(tmp_path / "data")) == 6
    write_jsonl(tmp_path / "data", [row for row in rows if row["response"] != "y"])
    with pytest.raises(DataError, match="no two answers to one query have different scores"):
        read_pairs(tmp_path / "data")


@pytest.mark.parametrize("one_a_row", [True, False])
def test_answers_that_are_all_rated_alike_are_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, one_a_row: bool
) -> None:
    rated = {"a": [1, 1], "b": [1, 2], "c": [3, 3, 3]}
    rows: list[dict[str, Any]] = [
        {"query": query, "responses": [f"{i}" for i in range(len(scores))], "scores": scores}
        for query, scores in rated.items()
    ]
    if one_a_row:
        rows = [{"query": q, "response": f"{i}", "score": x} for q, s in rated.items() for i, x in enumerate(s)]
    write_jsonl(tmp_path / "data", rows)
    assert read_pairs(tmp_path / "data") == [Preference("b", "1", "0")]
    assert "data: 2 of 3 rated queries have no two answers of different scores" in caplog.text


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"prompt": ASK, "responses": ["a", "b"], "scores": [1]}, "responses has 2 answers and 1 scores"),
        ({"prompt": ASK, "responses": ["a"], "scores": ["much"]}, 'must be a number, found "much"'),
        ({"prompt": ASK, "completions": [{"x": 1}]}, "completions: an answer needs a text"),
        ({"prompt": "other", "chosen": [user(ASK), assistant("x")], "rejected": "y"}, "chosen answers another query"),
        ({"chosen": "x", "rejected": "y"}, "no 'query'; .*--column query=THEIRS"),
        ({"chosen": hh("a"), "rejected": hh("b", "another")}, "rejected answers another query"),
        ({"messages": [assistant("x")], "chosen": "a", "rejected": "b"}, "messages has 0 user turns"),
    ],
)
def test_what_is_no_pair(tmp_path: Path, row: dict[str, Any], message: str) -> None:
    write_jsonl(tmp_path / "data", [row])
    with pytest.raises(DataError, match=f"data:1: .*{message}"):
        read_pairs(tmp_path / "data")


# ---- what carries more ---------------------------------------------------------------------------------------------

SYSTEM = {"role": "system", "content": "Answer in French."}


@pytest.mark.parametrize(
    ("row", "what"),
    [
        ({"messages": [user("a"), assistant("b"), user("c"), assistant("d")]}, "more than one user turn"),
        ({"conversations": [human("a"), gpt("b"), human("c"), gpt("d")]}, "more than one user turn"),
        ({"prompt": [user("a"), assistant("b"), user("c")]}, "more than one user turn"),
        ({"prompt": hh("b\n\nHuman: c\n\nAssistant:"), "response": "x"}, "more than one user turn"),
        ({"prompt": [user("a"), assistant("b")], "completion": "x"}, "a history"),
        ({"conversations": [human("a"), gpt("b")], "chosen": gpt("x"), "rejected": gpt("y")}, "a history"),
        (
            {"prompt": "a", "messages": [user("a"), assistant("b"), user("c"), assistant("d")]},
            "more than one user turn",
        ),
        ({"instruction": "a", "output": "b", "history": [["c", "d"]]}, "a history"),
        ({"instruction": "a", "output": "b", "system": "Answer in French."}, "a system turn"),
        ({"messages": [SYSTEM, user("a"), assistant("b")]}, "a system turn"),
        ({"conversations": [{"from": "system", "value": "s"}, human("a"), gpt("b")]}, "a system turn"),
        ({"prompt": [SYSTEM, user("a")]}, "a system turn"),
    ],
)
def test_it_is_refused_with_the_number_of_rows(tmp_path: Path, row: dict[str, Any], what: str) -> None:
    fine = {"instruction": "a", "output": "b"}
    write_jsonl(tmp_path / "data", [fine, row, fine, row, row])
    for read in (read_queries, read_any):
        with pytest.raises(DataError, match=f"data:2: 3 of 5 rows have {what}; nothing is cut off"):
            read(tmp_path / "data")


def test_kinds_are_counted_apart(tmp_path: Path) -> None:
    rows = [{"messages": [SYSTEM, user("a")]}, {"messages": [user("a")]}, {"messages": [user("a"), user("b")]}, {}]
    write_jsonl(tmp_path / "data", rows)
    with pytest.raises(DataError, match="1 of 4 rows have more than one user turn, 1 of 4 rows have a system turn"):
        read_queries(tmp_path / "data")


def test_a_pair_with_two_turns_is_refused(tmp_path: Path) -> None:
    long = hh("b\n\nHuman: c\n\nAssistant: ")
    write_jsonl(tmp_path / "data", [{"chosen": hh("x"), "rejected": hh("y")}, {"chosen": long + "x", "rejected": long}])
    with pytest.raises(DataError, match="1 of 2 rows have more than one user turn"):
        read_pairs(tmp_path / "data")


def test_one_system_turn_that_all_have_can_be_dropped(tmp_path: Path) -> None:
    rows = [{"messages": [SYSTEM, user(str(i)), assistant("b")]} for i in range(3)]
    write_jsonl(tmp_path / "data", rows)
    with pytest.raises(DataError, match=r"3 of 3 rows have a system turn; .*--system drop leaves it out"):
        read_texts(tmp_path / "data")
    assert [text.query for text in read_texts(tmp_path / "data", Reading(system="drop"))] == ["0", "1", "2"]
    write_jsonl(tmp_path / "data", [*rows, {"messages": [user("3"), assistant("b")]}])
    with pytest.raises(DataError, match=r"data:4: --system drop"):
        read_texts(tmp_path / "data", Reading(system="drop"))
    with pytest.raises(DataError, match=r"3 of 4 rows have a system turn; .*not all the same one"):
        read_texts(tmp_path / "data")


# ---- a prefix ------------------------------------------------------------------------------------------------------


def test_a_prefix_that_all_queries_share_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    wrap = "You are a writer. It's for a card:\nWrite about "
    asks = ["the sea", "a bee", "Ann's boat", "the gate", "tea"]
    write_jsonl(tmp_path / "data", [{"prompt": [user(f"{wrap}{ask}")]} for ask in asks])
    read_queries(tmp_path / "data")
    read_queries(tmp_path / "data")
    (said,) = caplog.messages
    assert said.endswith(r"--strip-prefix $'You are a writer. It\'s for a card:\nWrite about '")
    caplog.clear()
    assert [query.query for query in read_queries(tmp_path / "data", Reading(strip_prefix=wrap))] == asks
    assert caplog.messages == []


def test_queries_that_begin_in_their_own_way_are_let_be(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    asks = ["a wish for Ann", "a wish for Bo", "a card for Cy", "thanks to Di", "a wish for Ed"]
    write_jsonl(tmp_path / "data", [{"query": ask} for ask in asks])
    read_queries(tmp_path / "data")
    write_jsonl(tmp_path / "data", [{"query": "the very same long query", "response": str(i)} for i in range(9)])
    read_texts(tmp_path / "data")
    assert caplog.messages == []


# ---- tables --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("bom", ["", "\ufeff"])
@pytest.mark.parametrize("delimiter", [",", ";", "|", "\t"])
def test_tables(tmp_path: Path, delimiter: str, bom: str, end: str) -> None:
    cells = [["query", "chosen", "rejected"], ['"a ""wish"", for; Ann\t"', f'"two{end}lines"', "y"], ["q", "x", ""]]
    text = end.join(delimiter.join(line) for line in cells) + end
    (tmp_path / "data").write_bytes((bom + text).encode())
    wanted = [Preference('a "wish", for; Ann\t', f"two{end}lines", "y"), Preference("q", "x", "")]
    assert read_pairs(tmp_path / "data") == wanted


@pytest.mark.parametrize(
    "text",
    [
        'sep=;\r\nquery;chosen;rejected\r\n"q, a; b";x;y\r\n',  # as spreadsheets write it
        'query, chosen, rejected\n"q, a; b", x, y\n',  # as people do
        'query,chosen,rejected\r"q, a; b",x,y\r',
        ',Query,Chosen,Rejected\n0,"q, a; b",x,y\n',  # with the numbers of a data frame
    ],
)
def test_tables_as_other_programs_write_them(tmp_path: Path, text: str) -> None:
    (tmp_path / "data").write_bytes(text.encode())
    assert read_pairs(tmp_path / "data") == [Preference("q, a; b", "x", "y")]


def test_a_column_of_queries_is_a_table(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("query\na wish, for Ann\nthis|that\n")
    assert [query.query for query in read_queries(tmp_path / "data")] == ["a wish, for Ann", "this|that"]


def test_a_comment_before_json_is_no_query(tmp_path: Path) -> None:
    (tmp_path / "data").write_text('// my data\n{"query": "q"}\n')
    with pytest.raises(DataError, match="data:2: a JSON object, in a file whose first line is none"):
        read_queries(tmp_path / "data")


def test_cells_are_what_their_column_needs(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("query,response,label,tags,clicks\nq,r,1,spring|feast,7\nq,s,0,,\n")
    assert read_labelled(tmp_path / "data") == [Labelled("q", "r", 1), Labelled("q", "s", 0)]
    assert [query.tags for query in read_queries(tmp_path / "data")] == [("spring", "feast"), ()]
    (tmp_path / "data").write_text(
        """messages\n"[{'role': 'user', 'content': 'q'}]"\n"[{""role"": ""user"", ""content"": ""r""}]"\n"""
    )
    assert [query.query for query in read_queries(tmp_path / "data")] == ["q", "r"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("data", "query,chosen,rejected\nq,x,y\nq,x\n", "data:3: 2 cells, the header has 3"),
        ("data", 'query,chosen,rejected\n"two\nlines",x,y\n"q,x,y\n', "data:4: not a whole table: unexpected end"),
        (
            "data",
            "prompt,chosen,rejected\n[{'role': 'user'} {'role': 'x'}],x,y\n",
            "data:2: .*prompt was a list of objects",
        ),
        (
            "data",
            "messages,chosen,rejected\nwords,x,y\n",
            "data:2: messages must be a list of messages, found a string",
        ),
        ("data", "query,chosen,chosen\nq,x,y\n", "data:1: two columns are called 'chosen'"),
        ("data", "Ask,Good,Bad\nq,x,y\n", "data:2: no 'query', 'chosen', 'rejected'; the row has 'Ask', 'Good', 'Bad'"),
        ("data", "Ask\tGood one\nwhat, now\tx\n", "data:2: no 'query', 'chosen'"),
        (
            "data",
            '"What they asked for","The better one","The other one"\n"q","x","y"\n',
            "data:2: no 'query', 'chosen'",
        ),
        ("data.csv", "a wish, for Ann\n", "the data set is empty"),
        ("data.csv.gz", "a wish\nanother\n", "data.csv.gz:2: no 'query', 'chosen'"),
        ("data", "| query | chosen |\n|---|:--|\n| q | x |\n", "data:2: a table in Markdown"),
        (
            "data",
            'query\tchosen\trejected\nq\t"Hi" she said\ty\n',
            "data:2: not a whole table: .*write quotes in it twice",
        ),
    ],
)
def test_a_table_is_never_plain_text(tmp_path: Path, name: str, text: str, message: str) -> None:
    raw = text.encode()
    (tmp_path / name).write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
    with pytest.raises(DataError, match=message):
        read_pairs(tmp_path / name)
    if "'Ask'" in message:
        with pytest.raises(DataError, match=r"no 'query'; the row has 'Ask', 'Good', 'Bad'; .*: --column query="):
            read_queries(tmp_path / name)


@pytest.mark.parametrize(
    "lines",
    [
        ["a wish for Ann, who sails", "a wish for Bo, who bakes"],
        ["thanks; really", "sorry; truly"],
        ["Birthday, of course", "Easter"],
        ['"Quoted" words', "给外婆的祝福，八十大寿"],
    ],
)
def test_plain_text_stays_plain_text(tmp_path: Path, lines: list[str]) -> None:
    (tmp_path / "data").write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert [query.query for query in read_queries(tmp_path / "data")] == lines


@given(text=st.text('",;\t\n\rab query{[', max_size=60))
def test_any_table_gives_records_or_a_data_error(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.mktemp("wild") / "data.csv"
    path.write_bytes(f"query,chosen,rejected\n{text}".encode())
    for read in READERS:
        with contextlib.suppress(DataError):
            assert len(read(path)) > 0


cells = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)


@given(
    rows=st.lists(st.tuples(cells.map(lambda text: f"q{text}"), cells, cells), min_size=1), mark=st.sampled_from(",;\t")
)
def test_what_is_written_as_a_table_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, str]], mark: str
) -> None:
    import csv

    path = tmp_path_factory.mktemp("wild") / "data"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter=mark).writerows([("prompt", "chosen", "rejected"), *rows])
    assert [(pair.query, pair.chosen, pair.rejected) for pair in read_pairs(path)] == rows


# ---- containers ----------------------------------------------------------------------------------------------------

ROW = {"query": ASK, "chosen": PAIR.chosen, "rejected": PAIR.rejected}


def test_gzip(tmp_path: Path) -> None:
    raw = json.dumps(ROW).encode() + b"\n"
    (tmp_path / "data").write_bytes(gzip.compress(raw))
    assert read_pairs(tmp_path / "data") == [PAIR]
    (tmp_path / "data").write_bytes(gzip.compress(raw)[:-9])
    with pytest.raises(DataError, match="damaged gzip file"):
        read_pairs(tmp_path / "data")
    pq.write_table(pa.Table.from_pylist([ROW]), tmp_path / "table")
    (tmp_path / "data").write_bytes(gzip.compress((tmp_path / "table").read_bytes()))
    assert read_pairs(tmp_path / "data") == [PAIR]


@pytest.mark.parametrize("indent", [None, 2])
def test_json_that_is_one_object(tmp_path: Path, indent: int | None) -> None:
    for value in ({"version": 1, "data": [ROW, ROW]}, ROW | {"extra": [{"a": 1}]}):
        (tmp_path / "data").write_text(json.dumps(value, indent=indent))
        assert read_pairs(tmp_path / "data") == [PAIR] * (2 if "data" in value else 1)


@pytest.mark.parametrize("columns", [{}, {"tags": [["a"], ["b"]]}])
def test_json_of_columns(tmp_path: Path, columns: dict[str, Any]) -> None:
    rows = [ROW, ROW | {"query": "q"}]
    lists = {name: [row[name] for row in rows] for name in ROW} | columns
    for value in (lists, {name: {str(i): cell for i, cell in enumerate(cells)} for name, cells in lists.items()}):
        (tmp_path / "data").write_text(json.dumps(value))
        assert [pair.query for pair in read_pairs(tmp_path / "data")] == [ASK, "q"]


def test_json_of_several_parts(tmp_path: Path) -> None:
    (tmp_path / "data").write_text(json.dumps({"train": [ROW, ROW], "test": [ROW]}))
    assert len(read_pairs(tmp_path / "data", Reading(split="train"))) == 2
    with pytest.raises(DataError, match="data: has several parts; choose one with --split: train, test"):
        read_pairs(tmp_path / "data")


def test_a_number_that_is_none_is_a_null(tmp_path: Path) -> None:
    rows = [{"query": "q", "response": "r", "label": 1.0, "score": float("nan")}, {"query": "q", "response": "s"}]
    pq.write_table(pa.Table.from_pylist([rows[0], rows[1] | {"label": float("nan"), "score": 1.0}]), tmp_path / "data")
    assert len(read_texts(tmp_path / "data")) == 2
    with pytest.raises(DataError, match="data:2: no 'label'"):
        read_labelled(tmp_path / "data")


def arrow(path: Path, rows: list[dict[str, Any]], *, stream: bool = True) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pylist(rows)
    new = pa.ipc.new_stream if stream else pa.ipc.new_file
    with new(path, table.schema) as writer:
        writer.write_table(table)


def saved(folder: Path, rows: list[dict[str, Any]]) -> None:
    """What ``Dataset.save_to_disk`` leaves."""
    names = [f"data-{i:05}-of-{len(rows):05}.arrow" for i in range(len(rows))]
    for name, row in zip(names, rows, strict=True):
        arrow(folder / name, [row])
    state = {"_data_files": [{"filename": name} for name in names], "_fingerprint": "x", "_split": None}
    (folder / "state.json").write_text(json.dumps(state))
    (folder / "dataset_info.json").write_text(json.dumps({"features": {}}))


def test_a_saved_data_set(tmp_path: Path) -> None:
    saved(tmp_path / "one", [ROW, ROW | {"query": "q"}])
    assert [pair.query for pair in read_pairs(tmp_path / "one")] == [ASK, "q"]
    arrow(tmp_path / "file.arrow", [ROW], stream=False)
    assert read_pairs(tmp_path / "file.arrow") == [PAIR]
    for split in ("train", "test"):
        saved(tmp_path / "dict" / split, [ROW | {"query": split}])
    (tmp_path / "dict" / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    with pytest.raises(DataError, match="several parts; choose one with --split: train, test"):
        read_pairs(tmp_path / "dict")
    assert [pair.query for pair in read_pairs(tmp_path / "dict", Reading(split="test"))] == ["test"]
    with pytest.raises(DataError, match="no part 'tset'"):
        read_pairs(tmp_path / "dict", Reading(split="tset"))


def test_a_damaged_saved_data_set(tmp_path: Path) -> None:
    saved(tmp_path, [ROW])
    (tmp_path / "data-00000-of-00001.arrow").write_bytes(b"\xff\xff\xff\xff\x00")
    with pytest.raises(DataError, match="not readable as Arrow"):
        read_pairs(tmp_path)
    for state in ({"_data_files": [{"filename": "../x.arrow"}]}, {}):
        (tmp_path / "state.json").write_text(json.dumps(state))
        with pytest.raises(DataError, match="names no files"):
            read_pairs(tmp_path)
    (tmp_path / "state.json").write_text('{"_indices_files": [{"filename": "indices.arrow"}]}')
    with pytest.raises(DataError, match="flatten_indices"):
        read_pairs(tmp_path)


def test_a_folder_of_files(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "README.md").write_text("A card.")
    for name in ("train-00000-of-00002", "train-00001-of-00002", "validation-00000-of-00001"):
        pq.write_table(pa.Table.from_pylist([ROW | {"query": name}]), tmp_path / "data" / f"{name}.parquet")
    read = [pair.query for pair in read_pairs(tmp_path, Reading(split="train"))]
    assert read == ["train-00000-of-00002", "train-00001-of-00002"]
    with pytest.raises(DataError, match="choose one with --split: train, validation"):
        read_pairs(tmp_path)
    (tmp_path / "data" / "validation-00000-of-00001.parquet").unlink()
    assert [pair.query for pair in read_pairs(tmp_path)] == read


def test_a_runs_folder_is_no_data_set(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "pairs.jsonl", [ROW])
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(DataError, match="is a folder of a run; name the file in it"):
        read_pairs(tmp_path)


def test_files_add_up(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_jsonl(tmp_path / name, [ROW | {"query": name}])
    assert [pair.query for pair in read_pairs([tmp_path / "a", tmp_path / "b"])] == ["a", "b"]
    write_jsonl(tmp_path / "c", [{"query": "q", "response": "r"}])
    with pytest.raises(DataError, match=r"c: has no labels, and .*a has"):
        read_texts_or_labelled([tmp_path / "a", tmp_path / "c"])


# ---- encodings -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "codec", "name"),
    [
        ("query\n给外婆的八十大寿祝福，祝您生日快乐\n", "gb18030", "GB18030"),
        ("query\n給外婆的八十大壽祝福，祝您生日快樂\n", "big5", "Big5"),
        ("query\nお誕生日おめでとうございます。楽しい一年を。\n", "shift_jis", "Shift_JIS"),
        ("query\n생일 축하합니다 할머니 건강하세요\n", "euc_kr", "EUC-KR"),
        ("query\nС днём рождения, дорогая бабушка\n", "cp1251", "WINDOWS-1251"),
        ("query\nAlles Gute für Jürgen, schöne Grüße\n", "cp1252", "WINDOWS-1252"),
        ("query\nGrüße\n", "utf-16", "UTF-16"),
        ("query\nGruss\n", "utf-16-le", "UTF-16LE"),
        ("query\nGruss\n", "utf-16-be", "UTF-16BE"),
    ],
)
@pytest.mark.parametrize("kind", ["table", "json", "lines"])
def test_other_encodings_are_named_with_the_fix(tmp_path: Path, text: str, codec: str, name: str, kind: str) -> None:
    if kind == "json":
        text = json.dumps({"query": text}, ensure_ascii=False) + "\n"
    if kind == "lines":
        text = text.removeprefix("query\n")
    (tmp_path / "data").write_bytes(text.encode(codec))
    with pytest.raises(DataError, match=f"data:.*not UTF-8.*it looks like {name}: iconv -f {name} -t UTF-8 data"):
        read_queries(tmp_path / "data")


def test_the_line_of_a_table_that_is_no_utf8_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"query,response\n" + b"q,r\n" * 1500 + "Grüße,r\n".encode("cp1252") + b"q,r\n" * 9)
    with pytest.raises(DataError, match=r"data:1502: not UTF-8; .*WINDOWS-1252"):
        read_queries(tmp_path / "data")


@given(raw=st.binary(max_size=80))
def test_any_bytes_look_like_something(raw: bytes) -> None:
    from inkfire.files.encoding import looks_like

    assert looks_like(raw)


@pytest.mark.parametrize(
    ("magic", "what"),
    [
        (b"PK\x03\x04..", "zip or Excel"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1", "old Excel"),
        (b"BZh9..", "bzip2"),
        (b"\xfd7zXZ\0", "xz"),
    ],
)
def test_other_packings_are_named(tmp_path: Path, magic: bytes, what: str) -> None:
    (tmp_path / "data").write_bytes(magic)
    with pytest.raises(DataError, match=what):
        read_queries(tmp_path / "data")
