"""``inkfire cost`` as it is typed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from inkfire.files.jsonl import read_json, write_jsonl

Cli = Callable[..., tuple[int, dict[str, Any], str]]


@pytest.fixture
def rm(cli: Cli, tiny_task: Path, tmp_path: Path) -> Path:
    out = tmp_path / "rm"
    assert cli("train", "rm", "--task", tiny_task, "--qualify", 0, "--out", out, "--json")[0] == 0
    return out


def test_a_reward_model_alone(cli: Cli, rm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    code, shown, _ = cli("cost", rm)
    assert code == 0
    assert "Strategy A (rm/rm): AUC " in shown["text"]
    assert "for 0 human labels, 0 calls and " in shown["text"]
    assert "s a text (p50, p95)" in shown["text"]
    assert "Nothing is kept" in shown["text"]
    assert not (tmp_path / "cost").exists()
    code, result, _ = cli("cost", rm, "--out", tmp_path / "kept", "--json")
    assert (code, result["rewards"][0]["pairs_given"], result["plot"]) == (0, 8, "cost.svg")
    assert read_json(tmp_path / "kept" / "stages" / "cost.json") == result
    assert (tmp_path / "kept" / "cost.svg").read_text().startswith("<?xml")
    assert cli("report", tmp_path / "kept")[0] == 0


def test_a_cascade_of_two_reward_models(cli: Cli, rm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [
        {"query": f"q{i}", "response": t, "label": y} for i in range(20) for t, y in (("A window.", 1), ("Luck.", 0))
    ]
    write_jsonl(tmp_path / "labelled.jsonl", rows)
    monkeypatch.setenv("COLUMNS", "200")
    code, shown, _ = cli("cost", "--cascade", rm, "share:w", "--data", tmp_path / "labelled.jsonl")
    assert code == 0
    assert "The cascade asks share:w about 0 % of 20 texts" in shown["text"]
    assert "a loss of 0.0 points is not excluded" in shown["text"]


def test_what_is_missing_is_said(cli: Cli, tmp_path: Path) -> None:
    code, result, _ = cli("cost", "--json")
    assert (code, "name a run: inkfire cost runs/demo" in result["error"]) == (2, True)
    code, result, _ = cli("cost", tmp_path, "--json")
    assert (code, "holds no run of inkfire" in result["error"]) == (2, True)
    code, result, _ = cli("cost", "--cascade", "a", "b", "--json")
    assert (code, "needs labelled texts, --data F" in result["error"]) == (2, True)
