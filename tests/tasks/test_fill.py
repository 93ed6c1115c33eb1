"""A task's data from a spreadsheet's exports: what is written, what is set apart, and what is refused unwritten."""

from __future__ import annotations

from pathlib import Path

import pytest

from inkfire.errors import DataError, InputError, TaskError
from inkfire.files.jsonl import read_jsonl
from inkfire.files.reading import Reading
from inkfire.tasks.check import check_task
from inkfire.tasks.fill import FillInputs, fill_task
from inkfire.tasks.task import load_task, new_task

CARDS = Path(__file__).parents[1] / "data" / "shelf-cards"
NAMES = ("query=Ask", "tags=Section", "response=Text", "label=Verdict", "chosen=Better", "rejected=Worse")
READ = Reading(column=NAMES, label=("print=1", "bin=0"))
QUERIES = FillInputs(queries=(CARDS / "queries.csv",), reading=READ)
ALL = FillInputs(
    queries=(CARDS / "queries.csv",), labelled=(CARDS / "rated.csv",), pairs=(CARDS / "pairs.tsv",), reading=READ
)


@pytest.fixture
def task(tmp_path: Path) -> Path:
    new_task(tmp_path / "cards", blank=True)
    return tmp_path / "cards"


def test_three_tables_become_a_whole_task(task: Path) -> None:
    assert fill_task(task, ALL) == {
        "queries.jsonl": 160,
        "held-out.jsonl": 40,
        "labelled.jsonl": 150,
        "pairs.jsonl": 80,
    }
    loaded = load_task(task)
    apart = {row["query"] for row in read_jsonl(task / "held-out.jsonl")}
    asked = {query.query: query.tags for query in loaded.queries()}
    assert not apart & asked.keys()
    assert len(apart | asked.keys()) == 200
    both = apart | asked.keys()  # a cell may hold a delimiter, a line's end and quotes
    assert "love stories that do not end well, same bay, one shelf lower" in both
    assert '"reading for reluctant boys", says the school;\nfind a kinder way to put it' in both
    assert set(asked.values()) >= {("Fiction",), ("Art and music",)}
    assert sum(row.label for row in loaded.labelled()) == 74
    assert all(command["ready"] for command in check_task(task)["commands"].values())


def test_the_same_queries_are_held_out_whatever_their_order(task: Path, tmp_path: Path) -> None:
    fill_task(task, QUERIES)
    first = {row["query"] for row in read_jsonl(task / "held-out.jsonl")}
    again = FillInputs(queries=(task / "held-out.jsonl", task / "queries.jsonl"))
    assert fill_task(task, again, overwrite=True) == {"queries.jsonl": 160, "held-out.jsonl": 40}
    assert {row["query"] for row in read_jsonl(task / "held-out.jsonl")} == first
    whole = FillInputs(queries=(task / "queries.jsonl",), held_out_fraction=0)
    assert fill_task(task, whole, overwrite=True) == {"queries.jsonl": 160}


def test_what_is_there_is_kept_unless_one_says_so(task: Path) -> None:
    fill_task(task, QUERIES)
    before = (task / "queries.jsonl").read_bytes()
    with pytest.raises(TaskError, match=r"queries\.jsonl, held-out\.jsonl already; --yes writes over them"):
        fill_task(task, ALL)
    assert (task / "queries.jsonl").read_bytes() == before
    assert not (task / "labelled.jsonl").exists()


def test_nothing_is_written_where_one_file_cannot_be_read(task: Path) -> None:
    read = Reading(column=NAMES)  # the labels are words that nothing explains
    wrong = FillInputs(queries=ALL.queries, labelled=ALL.labelled, reading=read)
    with pytest.raises(DataError, match=r'rated\.csv:2: label must be 0 or 1, found "bin"'):
        fill_task(task, wrong)
    assert not list(task.glob("*.jsonl"))


@pytest.mark.parametrize(
    ("folder", "inputs", "message"),
    [
        ("cards", FillInputs(), "name what to fill the task with"),
        ("greetings-en", QUERIES, "ships with inkfire and stays as it is"),
        ("nowhere", QUERIES, "no task 'nowhere'.*; inkfire tasks new nowhere --blank begins your own"),
        (".", QUERIES, "has no task.toml; inkfire tasks new DIR --blank"),
    ],
)
def test_what_cannot_be_filled(
    folder: str, inputs: FillInputs, message: str, task: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(task.parent)
    with pytest.raises(InputError, match=message):
        fill_task(Path(folder), inputs)


def test_a_check_names_the_tables_that_lie_there_unread(task: Path) -> None:
    (task / "queries.csv").write_bytes((CARDS / "queries.csv").read_bytes())
    fill_task(task, QUERIES)
    found = {one["where"]: one["message"] for one in check_task(task)["findings"]}
    assert "is not read here; inkfire tasks fill" in found["queries.csv"]
    assert "has tags (Fiction 28" in found["queries.jsonl"]
    assert check_task(task)["slices"] == {}
