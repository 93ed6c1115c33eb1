"""``inkfire tasks`` from the command line."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from inkfire.cli.app import run
from inkfire.files.formats import read_texts
from inkfire.files.jsonl import write_jsonl
from inkfire.stress.damage import KINDS


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


def test_a_blank_one_in_another_language(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "tasks", "new", tmp_path / "poems", "--blank", "--language", "fa", "--json") == 0
    made = json.loads(capsys.readouterr().out)
    assert (made["name"], made["language"], made["blank"], made["like"]) == ("poems", "fa", True, None)
    assert call(monkeypatch, "tasks", "new", tmp_path / "haiku", "--from", tmp_path / "poems", "--language", "ja") == 0
    assert f"Next: inkfire tasks fill {tmp_path / 'haiku'} --queries F --labelled F" in capsys.readouterr().out
    assert call(monkeypatch, "tasks", "new", tmp_path / "other", "--like", tmp_path / "poems", "--json") == 0
    assert json.loads(capsys.readouterr().out)["language"] == "fa"
    assert call(monkeypatch, "tasks", "new", tmp_path / "fr", "--from", "greetings-en", "--language", "fr") == 0
    assert "queries.jsonl, labelled.jsonl, pairs.jsonl, good.jsonl: left out, not in fr" in capsys.readouterr().out
    assert call(monkeypatch, "tasks", "show", tmp_path / "fr") == 0
    assert "0 queries, 0 labelled texts, 0 pairs" in capsys.readouterr().out


def test_check(tiny_task: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(monkeypatch, "tasks", "check", tiny_task, "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert result["ok"]
    assert result["commands"]["write"]["ready"]
    (tiny_task / "prompts" / "writer.jinja").write_text("[user]\n{{ querry }}\n")
    assert call(monkeypatch, "tasks", "check", tiny_task) == 2
    out = capsys.readouterr().out
    assert "unknown variable 'querry'; did you mean 'query'?" in out
    assert out.startswith("tiny is ready for ")
    assert re.search(r"^no +write +prompts/writer.jinja \(see above\)$", out, re.M)
    assert call(monkeypatch, "tasks", "check", tiny_task, "--json") == 2
    assert not json.loads(capsys.readouterr().out)["ok"]
    assert call(monkeypatch, "tasks", "check", tiny_task / "nothing") == 2


def test_a_prompt_that_a_command_needs_is_missed_before_anything_runs(
    tiny_task: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("reflect", "verdict", "optimizer", "pairwise"):
        (tiny_task / "prompts" / f"{name}.jinja").unlink()
    assert call(monkeypatch, "tasks", "show", tiny_task) == 0
    queries, labelled = tiny_task / "queries.jsonl", tiny_task / "labelled.jsonl"
    common = ("--task", tiny_task, "--model", "m", "--base-url", "http://127.0.0.1:9/v1", "--out", tmp_path / "out")
    for command, missing in (
        (("curate", "--prompts", queries), "reflect"),
        (("judge", "--mode", "verdict", "--data", labelled), "verdict"),
        (("judge", "--mode", "pairwise", "--data", tiny_task / "pairs.jsonl"), "pairwise"),
        (("judge", "probe", "--data", labelled), "pairwise"),
        (("judge", "attack", "--mode", "debate"), "reflect"),
        (("refine", "--prompts", queries, "--labelled", labelled), "optimizer"),
    ):
        assert call(monkeypatch, *command, *common) == 2
        assert f"{missing}.jinja: no such prompt; it is for inkfire" in capsys.readouterr().err
        assert not (tmp_path / "out").exists()


def test_damage(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    def cli(*args: object) -> tuple[int, dict[str, Any]]:
        return call(monkeypatch, *args, "--json"), json.loads(capsys.readouterr().out)

    out = tmp_path / "damaged.jsonl"
    code, result = cli("tasks", "damage", "greetings-en", "--out", out)
    rows = read_texts(out)
    assert (code, result["rows"], result["texts"]) == (0, len(rows), 86)
    assert result["made"] == dict.fromkeys(KINDS, 86)
    assert set(result["left_out"].values()) == {0}

    texts = tmp_path / "texts.jsonl"
    write_jsonl(texts, [{"query": f"q{i}", "response": f"Word {i}", "label": i % 2} for i in range(6)])
    some = ("tasks", "damage", "greetings-en", "--data", texts, "--kind", "foreign", "--kind", "looped")
    code, result = cli(*some, "--out", tmp_path / "some.jsonl")
    assert (code, result["made"], result["left_out"]) == (0, {"foreign": 3, "looped": 0}, {"foreign": 0, "looped": 3})
    (first, *_) = map(json.loads, (tmp_path / "some.jsonl").read_text().splitlines())
    assert first.keys() == {"query", "response", "kind", "original"}
    assert (first["query"], first["original"]) == ("q1", "Word 1") != (first["query"], first["response"])
    code, result = cli(*some, "--out", tmp_path / "some.jsonl")
    assert (code, "is there already" in result["error"]) == (2, True)
    code, result = cli("tasks", "damage", "greetings-en", "--kind", "swaped", "--out", tmp_path / "x")
    assert (code, result["error"]) == (2, "--kind swaped: unknown kind of damage; did you mean 'swapped'?")
    assert not (tmp_path / "x").exists()
