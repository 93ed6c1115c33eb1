from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from inkfire.cli.app import app
from inkfire.errors import InputError
from inkfire.llm.entry import Entry
from inkfire.llm.ledger import Ledger


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    async def fill() -> None:
        with Ledger(tmp_path / ".inkfire" / "ledger.sqlite") as ledger:
            for n in range(3):
                key = n.to_bytes(32, "big")
                await ledger.record(Entry(key, "", "m", 0.0, 0, "", "stop", None, 10, 5, 0, False, 0.25, 2.0, None))
            ledger.fault("m", "429")

    asyncio.run(fill())
    return tmp_path / "run"


def test_json_names_calls_tokens_cost_and_latency_by_model(run_folder: Path) -> None:
    result = CliRunner().invoke(app, ["ledger", "--out", str(run_folder), "--json"])
    assert result.exit_code == 0
    out = json.loads(result.stdout)
    assert (out["calls"], out["tokens"], out["cost"]) == (3, 45, 0.75)
    assert out["models"][0]["model"] == "m"
    assert out["models"][0]["latency_median"] == 2.0
    assert out["models"][0]["faults"] == {"429": 1}


def test_a_table_for_people(run_folder: Path) -> None:
    file = run_folder.parent / ".inkfire" / "ledger.sqlite"
    result = CliRunner().invoke(app, ["ledger", str(file)], env={"COLUMNS": "140"})
    assert result.exit_code == 0
    assert "3 replies, 45 tokens" in result.stdout
    assert "429: 1" in result.stdout


def test_no_ledger(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["ledger", "--out", str(tmp_path / "run")])
    assert isinstance(result.exception, InputError)
    assert "there is no ledger" in str(result.exception)
