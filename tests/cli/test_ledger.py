"""``inkfire ledger``."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from inkfire.llm.entry import Entry
from inkfire.llm.ledger import Ledger
from inkfire.llm.prices import Prices, read_prices

COUNTS = {"calls": 1, "prompt_tokens": 10, "cached_tokens": 0, "completion_tokens": 5}
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
    assert "\nm[1] " in shown["text"]  # a name is no markup
    assert "cost 0.7500 USD" in shown["text"]
    assert "cost, USD" in shown["text"]


def test_no_ledger(cli: Cli, tmp_path: Path) -> None:
    code, _, err = cli("ledger", "--out", tmp_path / "run")
    assert code == 2
    assert "there is no ledger" in err


@pytest.fixture
def unpriced(run_folder: Path) -> Path:
    """As above, and in the run "pairs" a call of "gpt" without a price and one of an embedded model."""

    async def fill() -> None:
        with Ledger(run_folder.parent / ".inkfire" / "ledger.sqlite", run="pairs") as ledger:
            for n, model, cost in ((10, 'gpt "5"', None), (11, "local/tiny", 0.0)):
                key = n.to_bytes(32, "big")
                entry = Entry(key, "pairs", model, 0.0, 0, "", "stop", None, 10, 5, 0, False, cost, 2.0, None)
                await ledger.record(entry)

    asyncio.run(fill())
    return run_folder


def test_a_sum_without_a_price_is_null_beside_what_is_known(cli: Cli, unpriced: Path) -> None:
    code, out, _ = cli("ledger", "--out", unpriced, "--json")
    assert code == 0
    assert (out["calls"], out["cost"], out["cost_known"], out["currency"]) == (5, None, 0.75, "USD")
    assert (out["unpriced_calls"], out["unpriced_tokens"], out["unpriced_models"]) == (1, 15, {'gpt "5"': COUNTS})
    assert [row["cost"] for row in out["models"]] == [None, 0.0, 0.75]
    assert "runs" not in out


def test_by_run(cli: Cli, unpriced: Path) -> None:
    code, out, _ = cli("ledger", "--out", unpriced, "--json", "--run")
    assert code == 0
    assert [(run["run"], run["calls"], run["cost"]) for run in out["runs"]] == [("", 3, 0.75), ("pairs", 2, None)]
    assert out["calls"] == 5
    code, out, _ = cli("ledger", "--out", unpriced, "--run", "pairs", "--json")
    assert [run["run"] for run in out["runs"]] == ["pairs"]
    assert (out["calls"], out["cost"], out["cost_known"]) == (2, None, 0.0)
    code, _, err = cli("ledger", "--out", unpriced, "--run", "pears")
    assert code == 2
    assert "no run 'pears'; did you mean 'pairs'?" in err


def test_by_run_for_people(cli: Cli, unpriced: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    _, shown, _ = cli("ledger", "--out", unpriced, "--run")
    assert 'cost unknown (0.7500 USD and 1 call without a price: gpt "5")' in shown["text"]
    assert "run (no name): 3 replies, cost 0.7500 USD" in shown["text"]
    assert "run pairs: 2 replies, cost unknown" in shown["text"]
    assert "Give the missing prices: inkfire ledger prices" in shown["text"]


def test_prices_are_shown_and_their_file_is_made_once(cli: Cli, unpriced: Path, tmp_path: Path) -> None:
    file = tmp_path / ".inkfire" / "prices.toml"
    code, out, _ = cli("ledger", "prices", "--out", unpriced, "--json")
    assert code == 0
    assert (out["made"], out["prices"], out["currency"]) == (True, str(file), "USD")
    assert [(row["model"], row["source"], row["prompt"]) for row in out["models"]] == [
        ('gpt "5"', "none", None),
        ("local/tiny", "embedded", 0.0),
        ("m[1]", "replies", None),
    ]
    assert read_prices(file) == Prices()  # nothing is decided before the user fills it in
    blank = file.read_text(encoding="utf-8")
    assert cli("ledger", "--out", unpriced, "--json")[1]["cost"] is None
    assert cli("ledger", "prices", "--out", unpriced, "--json")[1] == {**out, "made": False}
    assert file.read_text(encoding="utf-8") == blank  # never overwritten

    uncommented = re.sub(r"^# (?=\[|prompt|completion)", "", blank, flags=re.MULTILINE)
    filled = re.sub(r"^(prompt|completion) =", r"\1 = 1e5", uncommented, flags=re.MULTILINE).replace("USD", "CNY")
    file.write_text(filled, encoding="utf-8")
    code, out, _ = cli("ledger", "prices", "--out", unpriced, "--json")
    assert [(row["source"], row["prompt"]) for row in out["models"]] == [("file", 1e5), ("embedded", 0), ("file", 1e5)]
    assert (out["currency"], out["without"]) == ("CNY", [])
    out = cli("ledger", "--out", unpriced, "--json")[1]
    assert (out["cost"], out["currency"], out["unpriced_calls"]) == (pytest.approx(6.0), "CNY", 0)  # 4 × 15 tokens


def test_prices_for_people(cli: Cli, unpriced: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    (tmp_path / ".inkfire" / "prices.toml").write_text('["m[1]"]\nprompt = 1\ncompletion = 2\n', encoding="utf-8")
    _, shown, _ = cli("ledger", "prices", "--out", unpriced)
    assert "USD per million tokens" in shown["text"]
    assert "none: its cost is unknown" in shown["text"]
    assert "free: it runs on this machine" in shown["text"]
    assert '# ["gpt \\"5\\""]\n# prompt =' in shown["text"]  # what is to be added, since the file stays


def test_prices_need_a_ledger(cli: Cli, tmp_path: Path) -> None:
    code, _, err = cli("ledger", "prices", "--out", tmp_path / "run")
    assert code == 2
    assert "there is no ledger" in err
    assert not (tmp_path / ".inkfire").exists()
