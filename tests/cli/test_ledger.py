"""``inkfire ledger``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from inkfire.llm.entry import Entry
from inkfire.llm.ledger import Ledger

Cli = Callable[..., tuple[int, dict[str, Any], str]]


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    async def fill() -> None:
        with Ledger(tmp_path / ".inkfire" / "ledger.sqlite") as ledger:
            for n in range(3):
                key = n.to_bytes(32, "big")
                await ledger.record(Entry(key, "", "m[1]", 0.0, 0, "", "stop", None, 10, 5, 0, False, 0.25, 2.0, None))
            ledger.fault("m[1]", "429")

    asyncio.run(fill())
    return tmp_path / "run"


def test_json_names_calls_tokens_cost_and_latency_by_model(cli: Cli, run_folder: Path) -> None:
    code, out, _ = cli("ledger", "--out", run_folder, "--json")
    assert code == 0
    assert (out["calls"], out["tokens"], out["cost"]) == (3, 45, 0.75)
    assert out["models"][0]["model"] == "m[1]"
    assert out["models"][0]["latency_median"] == 2.0
    assert out["models"][0]["faults"] == {"429": 1}


def test_a_table_for_people(cli: Cli, run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    code, shown, _ = cli("ledger", run_folder.parent / ".inkfire" / "ledger.sqlite")
    assert code == 0
    assert "3 replies, 45 tokens" in shown["text"]
    assert "429: 1" in shown["text"]
    assert " m[1] " in shown["text"]  # a name is no markup


def test_no_ledger(cli: Cli, tmp_path: Path) -> None:
    code, _, err = cli("ledger", "--out", tmp_path / "run")
    assert code == 2
    assert "there is no ledger" in err
