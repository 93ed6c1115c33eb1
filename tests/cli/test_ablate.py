"""``inkfire ablate`` as it is typed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from stub_endpoint import Stub, served

Cli = Callable[..., tuple[int, dict[str, Any], str]]


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stub]:
    with served(mark="window") as stub:
        monkeypatch.setenv("OPENAI_BASE_URL", stub.url)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
        yield stub


def test_arms_and_groups_are_named_together_and_added_later(
    cli: Cli, recipe: Callable[..., Path], stub: Stub, tmp_path: Path
) -> None:
    command = ["ablate", recipe(), "--out", tmp_path / "run", "--limit", 16, "--what"]
    code, result, err = cli(*command, "labels", "without-reflect", "--json")
    assert code == 0, err
    assert [row["arm"] for row in result["arms"]] == ["A", "without-reflect", "labels"]
    assert (result["judged"], result["calls"], result["cached"]) == (16, 4 * 16 + 3 * 16, 3 * 16)
    assert result["total_cost" if "total_cost" in result else "cost"] is None  # no price is known
    before = len(stub.log)
    code, shown, err = cli(*command, "without-reflect", "B")
    assert code == 0, err
    assert len(stub.log) > before  # strategy B is new; its arms that change nothing here are said not to be
    text = shown["text"]
    assert text.startswith("The verdicts of strategy A are right on ")
    assert "! Not run: without-examples (in this recipe" in text
    assert "B/*/" in text
    assert f"Next: inkfire report {tmp_path / 'run'}" in text


def test_what_is_wrong_is_said_before_anything_is_asked(cli: Cli, recipe: Callable[..., Path], tmp_path: Path) -> None:
    code, _, err = cli("ablate", recipe(), "--what", "without-critic", "--out", tmp_path / "run")
    assert (code, "'without-critic' is no arm and no group of arms" in err) == (2, True)
    code, _, err = cli("ablate", tmp_path / "none.toml", "--out", tmp_path / "run")
    assert (code, "no such file" in err) == (2, True)
    assert not (tmp_path / "run").exists()
