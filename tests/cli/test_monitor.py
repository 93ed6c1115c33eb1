"""``inkfire monitor``, from the command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from inkfire.cli.monitor import sparkline
from inkfire.files.jsonl import write_jsonl

Cli = Callable[..., tuple[int, dict[str, Any], str]]
PLACES = ["Rome", "Oslo", "Lima", "Cairo", "Quito", "Seoul", "Turin", "Perth"]


def rows(first: int, last: int, text: str = "See you in {} when the sun is up.") -> list[dict[str, Any]]:
    return [
        {"step": step, "query": f"a card from {place}", "response": text.format(place), "reward": step / 10}
        for step in range(first, last + 1)
        for place in PLACES
    ]


@pytest.fixture
def gamed(tmp_path: Path) -> Path:
    bad = rows(9, 12, "See you in {}, \x1b[31mas sunny as a lark, when the sun is up.")
    write_jsonl(tmp_path / "rl" / "completions.jsonl", rows(1, 8) + bad)
    return tmp_path / "rl"


def test_json_says_what_when_and_in_which_texts(cli: Cli, gamed: Path) -> None:
    code, found, err = cli("monitor", gamed, "--json")
    assert (code, err) == (0, "")
    assert {"n": 96, "steps": 12, "watched": 7, "baseline": "the first 5 steps"}.items() <= found.items()
    assert (found["reward_first"], found["reward_last"]) == (pytest.approx(0.2), pytest.approx(1.1))
    alarm = next(alarm for alarm in found["alarms"] if alarm["what"] == "phrase")
    assert 9 <= alarm["step"] <= 12
    assert len(alarm["texts"]) == 3
    assert all("as sunny as a lark" in text for text in alarm["texts"])
    assert len(found["numbers"]) == 12


def test_for_people_what_went_wrong_comes_first(cli: Cli, gamed: Path) -> None:
    code, found, _ = cli("monitor", gamed, "--fail-on-alarm")
    assert code == 5
    assert found["text"].startswith("Step ")
    assert "as sunny as a lark" in found["text"]
    assert "Reward ▁" in found["text"]
    assert "\x1b" not in found["text"]


def test_honest_and_short_ones(cli: Cli, tmp_path: Path) -> None:
    write_jsonl(tmp_path / "a.jsonl", rows(1, 20))
    code, found, _ = cli("monitor", tmp_path / "a.jsonl", "--fail-on-alarm")
    assert (code, found["text"].partition(":")[0]) == (0, "Nothing alarms")
    write_jsonl(tmp_path / "b.jsonl", rows(1, 4))
    assert cli("monitor", tmp_path / "b.jsonl")[1]["text"].startswith("Nothing was watched: 32 texts of 4 steps")


def test_a_baseline_from_before_is_watched_against_from_the_first_step(cli: Cli, tmp_path: Path) -> None:
    write_jsonl(tmp_path / "start.jsonl", [{k: row[k] for k in ("query", "response")} for row in rows(1, 8)])
    write_jsonl(tmp_path / "completions.jsonl", rows(1, 3, "{}!"))
    for how in ((tmp_path,), (tmp_path / "completions.jsonl", "--baseline", tmp_path / "start.jsonl")):
        _, found, _ = cli("monitor", *how, "--json")
        assert found["baseline"] == "start.jsonl"
        assert ("length down", 2) in {(alarm["what"], alarm["step"]) for alarm in found["alarms"]}


def test_what_is_wrong_is_said_in_a_line(cli: Cli, tmp_path: Path) -> None:
    assert cli("monitor", tmp_path / "none.jsonl")[0] == 2
    write_jsonl(tmp_path / "a.jsonl", rows(1, 8))
    write_jsonl(tmp_path / "one.jsonl", rows(1, 1)[:1])
    code, _, err = cli("monitor", tmp_path / "a.jsonl", "--baseline", tmp_path / "one.jsonl")
    assert (code, err.count("\n")) == (2, 1)
    assert "texts of two queries or more" in err


@pytest.mark.slow
def test_a_frozen_model_reads(cli: Cli, base: str, tmp_path: Path) -> None:
    write_jsonl(tmp_path / "a.jsonl", rows(1, 7) + rows(8, 10, "\x7f\x7f{}\x7f\x7f\x7f\x7f\x7f\x7f"))
    _, found, _ = cli("monitor", tmp_path / "a.jsonl", "--base", base, "--json")
    assert found["numbers"][0]["outside_band"] < 0.5
    assert found["numbers"][0]["relevance"] is not None
    assert cli("monitor", tmp_path / "a.jsonl", "--base", tmp_path / "none")[0] == 2


def test_a_long_line_of_bars_is_cut_to_sixty() -> None:
    assert len(sparkline([float(i) for i in range(500)])) == 60
    assert sparkline([1.0, 1.0]) == "▁▁"
