"""``inkfire annotate`` from the command line: laid out, rated in the terminal, looked at, exported."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from inkfire.files.jsonl import read_jsonl, write_jsonl

Cli = Callable[..., tuple[int, dict[str, Any], str]]


@pytest.fixture
def two(tmp_path: Path) -> list[object]:
    """What names two files of texts; one of them would clear a terminal."""
    for name, word in (("sft", "May \x1b[2J"), ("rl", "Let")):
        rows = ({"query": f"a wish {i}", "response": f"{word} it be {i}"} for i in range(4))
        write_jsonl(tmp_path / f"{name}.jsonl", rows)
    return ["--policy", tmp_path / "sft.jsonl", "--policy", tmp_path / "rl.jsonl"]


def test_laid_out_rated_here_and_exported(
    cli: Cli, two: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "set"
    code, said, err = cli("annotate", "new", *two, "--raters", 2, "--overlap", 0.5, "--repeats", 0, "--out", out)
    assert (code, said["text"].splitlines()[0]) == (0, "4 pairs of 4 queries: 6 votes by 2 raters.")
    assert f"Next: inkfire annotate serve {out}" in said["text"]
    monkeypatch.setattr(sys, "stdin", io.StringIO("u\n5\n1 because of\tit\n\n2\nu\n4\nq\n"))
    code, said, err = cli("annotate", "rate", out, "--json")
    assert (code, said["done"], said["raters"]["rater-1"]["done"], said["left"]) == (0, 2, 2, 4)
    assert "There is no vote to take back." in err
    assert "a choice is asked for" in err
    assert "[1 of 3] a wish" in err
    assert "May \\x1b[2J it be" in err
    assert "sft" not in err
    monkeypatch.setattr(sys, "stdin", io.StringIO("3\n"))
    code, said, _ = cli("annotate", "rate", out, "--rater", "rater-2")
    assert said["text"].startswith("3 of 6 votes are in; the other 3 take about ")
    code, said, _ = cli("annotate", "export", out)
    lines = said["text"].splitlines()
    assert (code, lines[0]) == (0, "3 of 6 votes are in.")
    assert any(line.split()[:2] == ["sft", "rl"] and line.split()[-1] == "3" for line in lines)
    votes = list(read_jsonl(out / "export" / "votes.jsonl"))
    assert [(row["annotator"], row["winner"], row["note"]) for row in votes] == [
        ("rater-1", "chosen", "because of\tit"),
        ("rater-1", "both bad", ""),
        ("rater-2", "tie", ""),
    ]


def test_points_in_the_terminal(
    cli: Cli, two: list[object], tmp_path: Path, tiny_task: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "set"
    assert cli("annotate", "new", *two[:2], "--task", tiny_task, "--out", out)[0] == 0
    monkeypatch.setattr(sys, "stdin", io.StringIO("3 2\n3 2 1 4 1\n3 2 1 2 3 so so\n"))
    code, found, err = cli("annotate", "rate", out, "--json")
    assert (code, found["done"]) == (0, 1)
    assert "5 numbers are needed; points from 1 to 3 for language, creativity, emotion, culture, richness" in err
    assert "culture must be a whole number from 1 to 3, found 4" in err
    (vote,) = read_jsonl(out / "votes.jsonl")
    assert (list(vote["points"].values()), vote["note"]) == ([3, 2, 1, 2, 3], "so so")
    code, found, _ = cli("annotate", "export", out, "--json")
    assert found["results"] == [{"policy": "sft", "n": 1, "mean": pytest.approx(2.25)}]
    assert set(found["files"]) == {"votes.jsonl", "votes.csv", "ratings.jsonl", "rated.jsonl", "labelled.jsonl"}


def test_what_is_wrong_is_told_with_the_fix(cli: Cli, two: list[object], tmp_path: Path) -> None:
    out = tmp_path / "set"
    code, _, err = cli("annotate", "status", out)
    assert (code, "inkfire annotate new" in err) == (2, True)
    assert cli("annotate", "new", *two, "--out", out)[0] == 0
    code, _, err = cli("annotate", "rate", out, "--rater", "rater-7")
    assert (code, "did you mean 'rater-1'?" in err) == (2, True)
    code, _, err = cli("annotate", "export", out)
    assert (code, f"inkfire annotate serve {out}" in err) == (2, True)
    code, _, err = cli("annotate", "serve", out, "--host", "192.0.2.1")
    assert (code, "cannot listen on 192.0.2.1" in err) == (2, True)
    code, _, err = cli("annotate", "new", *two, "--raters", 0, "--out", out)
    assert code == 2
