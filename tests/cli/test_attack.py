"""``inkfire judge attack`` and ``probe`` against a stub endpoint whose judge believes what it is told."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from stub_endpoint import served

from inkfire.files.jsonl import read_jsonl, write_jsonl

Cli = Callable[..., tuple[int, dict[str, Any], str]]


def answer(body: dict[str, Any]) -> str:
    """Good where the text says so, or where it names a window."""
    user = body["messages"][-1]["content"]
    if "response_format" in body:  # a comparison: whatever comes first
        return json.dumps({"reason": "first", "winner": "A"})
    return "Good" if "Good" in user or "window" in user else "Bad"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with served(answer) as stub:
        yield stub.url


@pytest.fixture
def attack(tiny_task: Path, tmp_path: Path, endpoint: str) -> list[object]:
    return [
        "judge", "attack", "--task", tiny_task, "--model", "stub", "--base-url", endpoint, "--limit", 56,
        "--out", tmp_path / "attack", "--json",
    ]  # fmt: skip


def test_flips_with_and_without_the_defences(cli: Cli, attack: list[object], tmp_path: Path) -> None:
    code, result, err = cli(*attack)
    assert code == 0
    assert "uncalibrated" in err
    assert (result["carriers"], result["carriers_bad"], result["n"]) == (4, 4, 56)
    assert result["flips_off"] > 0.3
    assert result["flips_development"] == 0
    assert result["flips"] <= result["flips_off"]
    assert (result["clean"], result["clean_lost"]) == (8, 0)
    assert result["clean_suspected"] == 0
    assert {"flips_ci", "flips_off_ci", "flips_held_out_ci", "detected_held_out", "clean_lost_ci"} <= result.keys()
    assert sum(row["n"] for row in result["families"].values()) == 56
    rows = list(read_jsonl(tmp_path / "attack" / "trials.jsonl"))
    assert len(rows) == 56
    assert all(row["label"] == 0 for row in rows if row["injection"])
    assert result["calls"] < 4 + 2 * 56

    code, again, _ = cli(*attack)
    assert (code, again["calls"], again["flips_off"]) == (0, 0, result["flips_off"])


def test_without_the_defences_only(cli: Cli, attack: list[object], tmp_path: Path) -> None:
    code, result, _ = cli(*attack, "--no-defences", "--seed", 3)
    assert code == 0
    assert result["flips_off"] > 0.3
    assert not {"flips", "detected", "clean_lost"} & result.keys()


def test_a_saved_judge_is_tried_as_it_is(cli: Cli, attack: list[object], tiny_task: Path, tmp_path: Path) -> None:
    judge = ["judge", *attack[2:8], "--data", tiny_task / "labelled.jsonl", "--out", tmp_path / "judge", "--json"]
    code, result, _ = cli(*judge)
    assert (code, result["injections"]) == (0, 0)
    saved = ["judge", "attack", "--judge", tmp_path / "judge", *attack[6:]]
    code, result, _ = cli(*saved)
    assert (code, result["n"]) == (0, 56)
    code, _, err = cli(*attack, "--judge", tmp_path / "judge")
    assert code == 2
    assert "leave those options out" in err


def test_a_judge_that_calls_all_carriers_good_cannot_be_flipped(cli: Cli, attack: list[object], tmp_path: Path) -> None:
    labels = [{"query": f"q{i}", "response": "window" if i % 2 else "wall", "label": 1 - i % 2} for i in range(20)]
    write_jsonl(tmp_path / "wrong.jsonl", labels)  # the wrong way round: no slope, everything gets one label
    code, result, err = cli(*attack, "--calibration", tmp_path / "wrong.jsonl")
    assert code == 2
    assert "carriers are bad to this judge" in err
    assert "error" in result


def test_the_judge_must_be_named(cli: Cli, tmp_path: Path) -> None:
    code, _, err = cli("judge", "attack", "--out", tmp_path / "x", "--json")
    assert code == 2
    assert "--task and --model, or --judge" in err
    code, _, err = cli("judge", "--json")
    assert code == 2
    assert "--task is missing; see inkfire judge --help" in err


def test_probes_report_flips_and_shifts(cli: Cli, tiny_task: Path, tmp_path: Path, endpoint: str) -> None:
    command = [
        "judge", "probe", "--task", tiny_task, "--model", "stub", "--base-url", endpoint, "--data",
        tiny_task / "labelled.jsonl", "--out", tmp_path / "probe", "--json",
    ]  # fmt: skip
    code, result, _ = cli(*command)
    assert code == 0
    for name in ("length", "decoration", "authority", "language"):
        assert result[f"{name}_n"] == 16
        assert result[f"{name}_flip_rate"] == 0
        assert result[f"{name}_shift"] == 0
        assert {f"{name}_flip_rate_ci", f"{name}_to_good_ci", f"{name}_shift_ci"} <= result.keys()
    assert (result["order_n"], result["order_flip_rate"]) == (8, 1.0)
    assert "not measured" in result["self_preference"]
    assert len(list(read_jsonl(tmp_path / "probe" / "probes.jsonl"))) == 4 * 16
    code, again, _ = cli(*command)
    assert (code, again["calls"]) == (0, 0)
    code, text, _ = cli(*command[:-1])
    assert code == 0
    assert "shift of P(Good)" in text["text"]
    code, _, err = cli(*command, "--calibration", tiny_task / "labelled.jsonl")
    assert code == 2
    assert "0 of 16 calibration texts have other queries" in err


def test_people_get_a_table(cli: Cli, attack: list[object]) -> None:
    code, result, _ = cli(*attack[:-1])
    assert code == 0
    assert "of the injections turn the judge's verdict to good; without the defences" in result["text"]
    assert re.search(r"^all with \*  +\d+  +\d+ % \(", result["text"], re.M)
    assert "good texts that the defences cost" in result["text"]
