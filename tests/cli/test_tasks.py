"""``inkfire tasks`` from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from inkfire.cli.app import run


def call(monkeypatch: pytest.MonkeyPatch, *args: object) -> int:
    monkeypatch.setattr("sys.argv", ["inkfire", *map(str, args)])
    return run()


def test_list(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(monkeypatch, "tasks", "list", "--json") == 0
    tasks = json.loads(capsys.readouterr().out)["tasks"]
    assert {"greetings-en", "greetings-zh"} <= {task["name"] for task in tasks}
    assert call(monkeypatch, "tasks", "list") == 0
    assert "greetings-zh     zh" in capsys.readouterr().out


def test_show(tiny_task: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(monkeypatch, "tasks", "show", tiny_task, "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["name"], shown["queries"], shown["labelled"], shown["pairs"]) == ("tiny", 8, 16, 8)
    assert call(monkeypatch, "tasks", "show", tiny_task) == 0
    assert "0.30 creativity: Something new." in capsys.readouterr().out
    assert call(monkeypatch, "tasks", "show", "nothing") == 2
    assert "no task 'nothing'" in capsys.readouterr().err


def test_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(monkeypatch, "tasks", "new", tmp_path / "poems", "--json") == 0
    assert json.loads(capsys.readouterr().out)["name"] == "poems"
    assert call(monkeypatch, "tasks", "show", tmp_path / "poems") == 0
    capsys.readouterr()
    assert call(monkeypatch, "tasks", "new", tmp_path / "poems") == 2
    assert "not empty" in capsys.readouterr().err


def test_a_broken_prompt_is_found_before_anything_runs(
    tiny_task: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tiny_task / "prompts" / "reflect.jinja").unlink()
    assert call(monkeypatch, "tasks", "show", tiny_task) == 2
    assert "reflect.jinja: no such prompt" in capsys.readouterr().err
