"""``inkfire audit`` from the command line."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from inkfire.cli.app import run
from inkfire.files.jsonl import write_jsonl


def call(monkeypatch: pytest.MonkeyPatch, *args: object) -> int:
    monkeypatch.setattr("sys.argv", ["inkfire", *map(str, args)])
    return run()


def test_json_is_one_object(
    tiny_task: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pairs, labelled = tiny_task / "pairs.jsonl", tiny_task / "labelled.jsonl"
    assert call(monkeypatch, "audit", "--pairs", pairs, "--against", labelled, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["n"], found["overlap_exact"], found["overlap_query"], found["duplicates"]) == (8, 8, 8, 0)
    wanted = {"longer_wins", "length_auc", "length_best_accuracy", "ngram_accuracy", "ngram_auc", "findings"}
    assert wanted <= found.keys()
    assert {"longer_wins_ci", "length_auc_ci", "ngram_accuracy_ci", "ngram_auc_ci"} <= found.keys()


def test_for_people(tiny_task: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(monkeypatch, "audit", "--labelled", tiny_task / "labelled.jsonl") == 0
    out = capsys.readouterr().out
    assert out.startswith(
        "The good texts are mostly those that are long (AUC 0.97 (0.79 to 1.00) on 16 texts): a judge"
    )
    assert "rows that repeat an earlier one" in out
    assert "shorter" not in out  # there are no pairs
    assert "None" not in out


def test_queries_alone_can_be_compared_with(
    tiny_task: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "queries.txt").write_text("a wish for Easter\n")
    call(monkeypatch, "audit", "--pairs", tiny_task / "pairs.jsonl", "--against", tmp_path / "queries.txt", "--json")
    found = json.loads(capsys.readouterr().out)
    assert (found["overlap_exact"], found["overlap_query"]) == (0, 1)


def test_wrong_input_exits_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_jsonl(tmp_path / "bad.jsonl", [{"query": "q", "response": "r", "label": 1}, {"query": "q", "label": "1"}])
    assert call(monkeypatch, "audit") == 2
    assert "--pairs" in capsys.readouterr().err
    assert call(monkeypatch, "audit", "--labelled", tmp_path / "bad.jsonl") == 2
    assert "bad.jsonl:2: no 'response'" in capsys.readouterr().err
    assert call(monkeypatch, "audit", "--pairs", tmp_path / "absent.jsonl") == 2
    assert "absent.jsonl: no such file" in capsys.readouterr().err


def test_who_wrote_what_and_which_occasions(
    tiny_task: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    toml = (tiny_task / "task.toml").read_text(encoding="utf-8")
    words = '[slices.festival]\ndescription = "F"\nwords = ["Diwali", "Easter", "Holi"]\n'
    toml = toml.replace('[slices]\nfestival = "Festivals of the year"', f"{words}\n[slices]")
    (tiny_task / "task.toml").write_text(toml, encoding="utf-8")
    rows = [
        ("a wish for Easter", "big", 1),
        ("a DIWALI card", "small", 0),
        ("for Easter, too", "big", 1),
        ("a car", "", 0),
    ]
    texts = ({"query": q, "response": f"A text {q}", "source": who, "label": label} for q, who, label in rows)
    write_jsonl(tmp_path / "rows.jsonl", texts)
    assert call(monkeypatch, "audit", "--labelled", tmp_path / "rows.jsonl", "--task", tiny_task, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["occasions"] == {
        "n": 4, "slices": {"festival": 3, "other": 1}, "words": {"Easter": 2, "Diwali": 1}, "missing": ["Holi"],
    }  # fmt: skip
    assert {name: row["n_labelled"] for name, row in found["slices"].items()} == {"festival": 3, "other": 1}
    assert "Of 3 occasions that the task lists 2 are named (most often Easter 2, Diwali 1)." in found["findings"][-1]
    assert found["writers"]["big"]["good_share"] == 1.0
    assert call(monkeypatch, "audit", "--labelled", tmp_path / "rows.jsonl") == 0
    out = capsys.readouterr().out
    assert re.search(r"big +2 +100 %", out)
    assert re.search(r"distinct-1 +0\.545 +0\.556", out)
    assert "writer's name gives" not in out  # of four texts nothing is shown


def test_a_name_that_gives_the_label_away_is_said_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = ({"query": f"q{n}", "response": f"text {n}", "label": n % 2, "source": "ab"[n % 2]} for n in range(40))
    write_jsonl(tmp_path / "rows.jsonl", texts)
    assert call(monkeypatch, "audit", "--labelled", tmp_path / "rows.jsonl") == 0
    said = capsys.readouterr().out.partition("\n\n")[0]
    assert "The writer's name gives the label away: alone it has an AUC of 1.00 (" in said
