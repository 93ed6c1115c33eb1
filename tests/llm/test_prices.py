from __future__ import annotations

import json
from pathlib import Path

import pytest

from inkfire.errors import DataError
from inkfire.llm.base import Usage
from inkfire.llm.bill import Bill, between, in_words, repriced
from inkfire.llm.prices import Price, Prices, estimate_tokens, read_prices, text_tokens

COUNTS = {"calls": 1, "prompt_tokens": 8, "cached_tokens": 0, "completion_tokens": 2}


def test_costs_are_per_million_and_cached_tokens_may_be_cheaper() -> None:
    usage = Usage(prompt_tokens=1_000_000, completion_tokens=100_000, cached_tokens=400_000)
    assert Price(2.0, 8.0).cost(usage) == pytest.approx(2.8)
    assert Price(2.0, 8.0, cached_prompt=0.5).cost(usage) == pytest.approx(0.6 * 2 + 0.4 * 0.5 + 0.8)


def test_prices_from_toml_and_json(tmp_path: Path) -> None:
    toml = tmp_path / "prices.toml"
    toml.write_text('["a/b-1.5"]\nprompt = 1\ncompletion = 2\ncached_prompt = 0.1\n', encoding="utf-8")
    assert read_prices(toml).by_model == {"a/b-1.5": Price(1.0, 2.0, 0.1)}
    file = tmp_path / "prices.json"
    file.write_text(json.dumps({"m": {"prompt": 0, "completion": 0.5}}), encoding="utf-8")
    assert read_prices(file).by_model == {"m": Price(0.0, 0.5)}


@pytest.mark.parametrize(
    "text",
    [
        "nonsense",
        '["m"]\nprompt = 1',
        '["m"]\nprompt = "1"\ncompletion = 1',
        '["m"]\nprompt = -1\ncompletion = 1',
        '["m"]\nprompt = nan\ncompletion = 1',
        '["m"]\nprompt = true\ncompletion = 1',
        '["m"]\nprompt = 1\ncompletion = 1\ncompletions = 1',
        "currency = 3",
        'currency = "US dollars"',
        "m = 3",
    ],
)
def test_wrong_prices_name_the_file(tmp_path: Path, text: str) -> None:
    file = tmp_path / "prices.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=r"prices\.toml"):
        read_prices(file)


def test_a_missing_price_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot read the prices"):
        read_prices(tmp_path / "prices.toml")


def test_estimates_are_rather_high() -> None:
    assert text_tokens("") == 1
    assert text_tokens("好" * 100) >= 100
    assert 30 <= text_tokens("word " * 20) <= 40
    assert estimate_tokens([{"role": "user", "content": "好" * 100}] * 2) >= 200
    assert text_tokens("\ud800") >= 1


def test_prices_that_are_no_table_are_refused(tmp_path: Path) -> None:
    (tmp_path / "prices.json").write_text("[]")
    with pytest.raises(DataError, match="a table by model name"):
        read_prices(tmp_path / "prices.json")


def test_the_currency_is_named_or_us_dollars(tmp_path: Path) -> None:
    file = tmp_path / "prices.toml"
    file.write_text('currency = "CNY"\n[m]\nprompt = 1\ncompletion = 2\n', encoding="utf-8")
    assert read_prices(file) == Prices({"m": Price(1.0, 2.0)}, "CNY")
    file.write_text("[currency]\nprompt = 1\ncompletion = 2\n", encoding="utf-8")  # a model's name
    assert read_prices(file) == Prices({"currency": Price(1.0, 2.0)}, "USD")


def test_what_runs_on_this_machine_costs_nothing() -> None:
    usage = Usage(10, 5)
    prices = Prices({"local/tiny": Price(1.0, 1.0)})
    assert [prices.cost(name, usage, None) for name in ("local/tiny", "w/tiny.gguf", "gpt")] == [0.0, 0.0, None]


def test_a_bill_in_words() -> None:
    bill = Bill()
    assert in_words(bill.fields()) == "0.0000 USD"
    bill.add("m", {**COUNTS, "calls": 1}, 0.5)
    assert in_words(bill.fields("total_") | {"currency": "EUR"}, "total_") == "0.5000 EUR"
    bill.add("gpt", {**COUNTS, "calls": 1}, None)
    assert in_words(bill.fields()) == "unknown (0.5000 USD and 1 call without a price: gpt)"
    assert in_words({"cost": None}) == "unknown"  # of an earlier version
    assert Bill.read(bill.fields() | {"tokens": 20}) == bill
    assert Bill.read({"cost": 2.0, "tokens": 3}) == Bill(3, 2.0)


def test_what_was_spent_between() -> None:
    first, last = Bill(), Bill()
    first.add("old", {**COUNTS, "calls": 2}, None)
    last.add("old", {**COUNTS, "calls": 2}, None)
    last.add("m", {**COUNTS, "calls": 1}, 0.5)
    stats = [bill.fields() | {"tokens": bill.tokens, "currency": "EUR"} for bill in (first, last)]
    assert between(*stats) == {
        "tokens": 10,
        **Bill(10, 0.5).fields(),
        "currency": "EUR",
    }
    last.add("old", {**COUNTS, "calls": 1}, None)
    stats[1] = last.fields() | {"tokens": last.tokens, "currency": "EUR"}
    spent = between(*stats)
    assert (spent["cost"], spent["cost_known"], spent["unpriced_models"]) == (None, 0.5, {"old": COUNTS})


def test_a_recorded_sum_takes_a_price_that_is_given_later() -> None:
    bill = Bill()
    bill.add("m", COUNTS, 0.5)
    bill.add("gpt", COUNTS, None)
    result = {"n": 3, **bill.fields("total_"), "currency": "USD"}
    later = repriced(result, Prices({"gpt": Price(1e5, 1e5), "m": Price(9, 9)}), "total_")
    assert (later["n"], later["total_cost"], later["total_unpriced_calls"]) == (3, 1.5, 0)
    assert repriced(result, Prices(), "total_") == result
    assert repriced(result, Prices({"gpt": Price(1e5, 1e5)}, "EUR"), "total_") == result  # dollars and euros
    assert repriced({"cost": None}, Prices({"gpt": Price(1, 1)})) == {"cost": None}  # of an earlier version
