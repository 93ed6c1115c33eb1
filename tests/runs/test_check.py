"""``inkfire check``: what it counts, where a text stands, whose checks are asked."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from inkfire.errors import DataError, InputError, TaskError
from inkfire.files.jsonl import write_jsonl
from inkfire.runs.check import CheckInputs, check
from inkfire.tasks.task import load_task, new_task

TEXTS = ["May your day be bright.", "or,", "Well done, well done indeed!", "a b c d a b c d a b c d"]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write_jsonl(tmp_path / "texts.jsonl", [{"query": f"q{i // 2}", "response": text} for i, text in enumerate(TEXTS)])
    return tmp_path / "texts.jsonl"


def test_what_fails_is_counted_by_check_and_named_by_its_line(data: Path) -> None:
    found = check(CheckInputs(data=(data,), checks=("length:5..", "finished", "no-repeat")))
    assert (found["n"], found["passed"], found["passed_rate"]) == (4, 2, 0.5)
    assert found["passed_rate_ci"][0] < 0.5 < found["passed_rate_ci"][1]
    assert found["failed"] == {"length:5..": 1, "finished": 2, "no-repeat": 1}
    assert [(row["line"], row["failed"]) for row in found["failures"]] == [
        (2, ["length:5..", "finished"]),
        (4, ["finished", "no-repeat"]),
    ]
    assert json.dumps(found)


def test_a_tasks_own_checks_are_asked_where_none_is_named(data: Path, tmp_path: Path) -> None:
    found = check(CheckInputs(data=(data,), task="greetings-en"))
    assert tuple(found["failed"]) == load_task("greetings-en").checks
    assert tuple(check(CheckInputs(data=(data,), task="greetings-en", checks=("finished",)))["failed"]) == ("finished",)
    new_task(tmp_path / "mine", blank=True)
    assert tuple(check(CheckInputs(data=(data,), task=str(tmp_path / "mine")))["failed"]) == ("finished", "no-repeat")


def test_a_task_runs_no_code(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    new_task(folder, blank=True)
    (folder / "evil.py").write_text("raise SystemExit")
    text = (folder / "task.toml").read_text().replace('["finished", "no-repeat"]', '["python:evil.py:f"]')
    (folder / "task.toml").write_text(text)
    with pytest.raises(TaskError, match="would run a file of the task: name it on the command line"):
        load_task(folder)


def test_what_is_missing_is_said(data: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is nothing to check: name --check"):
        check(CheckInputs(data=(data,)))
    with pytest.raises(InputError, match="needs a model that reads and a task"):
        check(CheckInputs(data=(data,), checks=("fluent",)))
    folder = tmp_path / "bare"
    shutil.copytree(load_task("greetings-en").folder, folder, ignore=shutil.ignore_patterns("*.jsonl"))
    with pytest.raises(DataError, match="has no good texts to measure by: name some with --reference"):
        check(CheckInputs(data=(data,), checks=("fluent",), task=str(folder), base="local/smollm2-135m"))
