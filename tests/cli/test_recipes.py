"""``inkfire recipes``, and what ``inkfire run`` says it would do."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

Cli = Callable[..., tuple[int, dict[str, Any], str]]


def test_list_and_show(cli: Cli, tmp_path: Path) -> None:
    code, listed, _ = cli("recipes", "list", "--json")
    assert code == 0
    assert {"demo-en", "demo-zh"} <= set(listed["recipes"])
    lines = cli("recipes", "list")[1]["text"].splitlines()
    assert [line.split()[0] for line in lines] == listed["recipes"]
    assert all(re.search(r"  [A-Z].*\.$", line) and len(line) <= 80 for line in lines)
    page = cli("run", "--help")[1]["text"].splitlines()
    assert [line.rstrip() for line in page[-len(lines) :]] == lines
    code, shown, _ = cli("recipes", "show", "demo-en", "--json")
    assert code == 0
    assert shown["toml"] == Path(shown["path"]).read_text("utf-8")
    assert cli("recipes", "show", "demo-en")[1]["text"].rstrip() == shown["toml"].rstrip()
    for wrong in ("demo-eng", tmp_path / "none.toml"):
        code, _, err = cli("recipes", "show", wrong)
        assert code == 2
        assert str(wrong) in err


def test_a_new_one_is_a_copy_that_runs_under_its_own_name(cli: Cli, tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    code, made, _ = cli("recipes", "new", mine, "--from", "demo-en", "--json")
    assert (code, made["recipe"]) == (0, str(mine))
    assert 'name = "mine"' in mine.read_text("utf-8")
    assert cli("recipes", "show", mine)[0] == 0
    code, _, err = cli("recipes", "new", mine)
    assert code == 2
    assert "is there already" in err


def test_a_dry_run_lists_the_stages_and_writes_nothing(cli: Cli, tmp_path: Path) -> None:
    run = ["run", "demo-en", "--out", tmp_path / "run", "--dry-run"]
    code, result, _ = cli(*run, "--json")
    assert code == 0
    stages = [row["stage"] for row in result["plan"]]
    assert (stages[0], stages[-1]) == ("audit", "evaluate")
    assert {row["state"] for row in result["plan"]} == {"to do"}
    code, shown, _ = cli(*run)
    assert code == 0
    first, _, *table = shown["text"].splitlines()
    assert first.startswith("10 stages (10 to do), about ")
    assert [line.split()[0] for line in table[:11]] == ["stage", *stages]
    assert table[-1] == f"Next: inkfire run demo-en --out {tmp_path / 'run'}"
    assert list(tmp_path.iterdir()) == []
