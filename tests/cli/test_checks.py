"""``inkfire check`` and the options of ``train grpo`` that keep a reward honest, from the command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from inkfire.files.jsonl import read_jsonl, write_jsonl

Cli = Callable[..., tuple[int, dict[str, Any], str]]


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    rows = ["Well done!", "or,\nmore \x1b[31m", "May your day be bright."]
    write_jsonl(tmp_path / "texts.jsonl", [{"query": f"q{i}", "response": row} for i, row in enumerate(rows)])
    return tmp_path / "texts.jsonl"


def test_json_is_one_object(cli: Cli, texts: Path) -> None:
    code, found, err = cli("check", "--data", texts, "--check", "length:3..", "--check", "finished", "--json")
    assert (code, err) == (0, "")
    assert {"n": 3, "passed": 2, "failed": {"length:3..": 0, "finished": 1}}.items() <= found.items()
    assert found["passed_rate_ci"][0] < found["passed_rate"] < found["passed_rate_ci"][1]


def test_for_people_the_finding_comes_first_and_each_text_with_its_line(cli: Cli, texts: Path) -> None:
    code, found, _ = cli("check", "--data", texts, "--check", "finished")
    assert code == 0
    assert found["text"].startswith("67 %")
    assert f"{texts}:2: finished: or, more \\x1b[31m\n" in found["text"]


def test_a_check_that_is_none_ends_with_2_and_writes_nothing(cli: Cli, texts: Path, tmp_path: Path) -> None:
    code, _, err = cli("check", "--data", texts, "--check", "finnished")
    assert (code, err) == (2, "Error: check 'finnished': unknown check; did you mean 'finished'?\n")


@pytest.mark.slow
def test_a_shaped_training_is_known_by_its_options(
    cli: Cli, base: str, tiny_task: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("slop.txt").write_text("slop\n")
    train = ("train", "grpo", "--task", tiny_task, "--policy", base, "--out", "rl", "--json", "--max-steps", 1)
    how = ("--max-completion-length", 8, "--start-samples", 8, "--check", "forbid:slop.txt", "--fluency", 1)
    wrong = (*train, "--reward", "share:a", "--check", "forbid:none.txt")
    assert cli(*wrong)[0] == 2
    assert not Path("rl").exists()
    code, found, _ = cli(*train, *how, "--reward", "min(share:a, share:b)", "--novelty", 0.3)
    assert code == 0
    assert (found["start"]["n"], found["start"]["passed"], found["steps"]) == (8, 8, 1)
    assert {"score_first", "failed_last", "fluency_last"} <= found.keys()
    assert len(list(read_jsonl(Path("rl/start.jsonl")))) == 8
    again = cli(*train, *how, "--reward", "min(share:a, share:b)", "--novelty", 0.3)[1]
    assert again["score_last"] == found["score_last"]
    assert cli(*train, *how, "--reward", "min(share:a, share:b)", "--novelty", 0.4)[0] == 2  # another reward
