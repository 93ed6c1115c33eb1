"""The ledger keeps every reply, whatever happens to the process, the disk or the lock."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import math
import queue
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from inkfire.errors import BudgetExceeded, DataError, InkfireError, InputError
from inkfire.llm import entry as module
from inkfire.llm.base import Usage
from inkfire.llm.entry import Entry
from inkfire.llm.ledger import Ledger
from inkfire.llm.prices import Amount, Budget, Price, Prices
from inkfire.llm.totals import summarise, summarise_runs
from inkfire.llm.watch import watch

COUNTS = {"calls": 1, "prompt_tokens": 10, "cached_tokens": 2, "completion_tokens": 5}  # of an entry


def entry(n: int, *, run: str = "", text: str = "好", unparsed: str | None = None, cost: float | None = 0.5) -> Entry:
    return Entry(
        key=n.to_bytes(32, "big"),
        run=run,
        model="m",
        time=float(n),
        attempt=0,
        text=text,
        finish_reason="stop",
        unparsed=unparsed,
        prompt_tokens=10,
        completion_tokens=5,
        cached_tokens=2,
        estimated=False,
        cost=cost,
        latency=n / 10,
        logprobs=None,
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / ".inkfire" / "ledger.sqlite"


async def test_what_was_recorded_is_found_by_the_next_process(path: Path) -> None:
    with Ledger(path) as ledger:
        await asyncio.gather(*(ledger.record(entry(n)) for n in range(100)))
        assert ledger.find(entry(7).key) == entry(7)
        assert ledger.stats()["calls"] == 100
        assert ledger.stats()["tokens"] == 1500
        assert ledger.stats()["cost"] == 50.0
    with Ledger(path) as ledger:
        assert all(ledger.find(entry(n).key) == entry(n) for n in range(100))
        assert ledger.find(entry(100).key) is None
        assert ledger.stats()["calls"] == 0


async def test_a_reply_is_committed_before_its_caller_sees_it(path: Path) -> None:
    with Ledger(path) as ledger:
        await ledger.record(entry(1))
        with sqlite3.connect(path) as other:
            assert other.execute("SELECT COUNT(*) FROM replies").fetchone() == (1,)
        other.close()


async def test_a_cancelled_caller_does_not_lose_the_reply(path: Path) -> None:
    with Ledger(path) as ledger:
        task = asyncio.ensure_future(ledger.record(entry(1)))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    with Ledger(path) as ledger:
        assert ledger.find(entry(1).key) == entry(1)


async def test_awkward_texts_survive(path: Path) -> None:
    for n, text in enumerate(["", "a\x00b", "😀", "\n" * 3, "x" * 1_000_000]):
        with Ledger(path) as ledger:
            await ledger.record(entry(n, text=text))
        with Ledger(path) as ledger:
            found = ledger.find(entry(n).key)
            assert found is not None
            assert found.text == text


def test_the_event_loop_does_not_wait_for_a_lock(path: Path) -> None:
    """Another process writes for a second: the loop goes on, and nothing fails."""

    async def record() -> float:
        with Ledger(path) as ledger:
            other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            other.execute("BEGIN IMMEDIATE")
            threading.Timer(0.5, lambda: other.execute("COMMIT")).start()
            task = asyncio.ensure_future(ledger.record(entry(1)))
            longest, last = 0.0, time.perf_counter()
            while not task.done():
                await asyncio.sleep(0.005)
                longest = max(longest, time.perf_counter() - last)
                last = time.perf_counter()
            await task
            other.close()
            return longest

    assert asyncio.run(record()) < 0.25


async def test_a_locked_ledger_is_a_clear_error_and_loses_nothing(path: Path) -> None:
    with Ledger(path, patience=0.2) as ledger:
        await ledger.record(entry(1))
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        results = await asyncio.gather(*(ledger.record(entry(n)) for n in range(2, 10)), return_exceptions=True)
        assert all(isinstance(result, InputError) for result in results)
        assert "locked" in str(results[0])
        assert str(path) in str(results[0])
        with pytest.raises(InputError):  # no further call is sent: its reply could not be kept
            await ledger.reserve(Amount())
        other.execute("ROLLBACK")
        other.close()
    with Ledger(path) as ledger:
        assert all(ledger.find(entry(n).key) == entry(n) for n in range(1, 10))
    assert [file.name for file in path.parent.iterdir()] == ["ledger.sqlite"]


async def test_a_full_disk_is_a_clear_error_and_loses_nothing(path: Path) -> None:
    with Ledger(path) as ledger:
        await ledger.record(entry(1))
        ledger._writer.execute("PRAGMA max_page_count = 8")  # SQLite then says what it says on a full disk
        results = await asyncio.gather(
            *(ledger.record(entry(n, text="x" * 10_000)) for n in range(2, 9)), return_exceptions=True
        )
        assert all(isinstance(result, InputError) and "the disk is full" in str(result) for result in results)
    with Ledger(path) as ledger:
        assert all(ledger.find(entry(n).key) is not None for n in range(1, 9))


@pytest.mark.parametrize(
    "place",
    ["/proc/ledger.sqlite", "/dev/null/ledger.sqlite"],  # not even root writes there
)
def test_a_folder_that_cannot_be_written_is_a_clear_error(place: str) -> None:
    with pytest.raises(InputError, match=f"the ledger {place} cannot be used"):
        Ledger(place)


def test_something_else_is_not_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "ledger.sqlite"
    file.write_text("a precious text " * 100, encoding="utf-8")
    with pytest.raises(InputError, match="not a ledger"):
        Ledger(file)
    assert file.read_text(encoding="utf-8").startswith("a precious text")
    with pytest.raises(InputError, match="not a ledger"):
        summarise(file)


def test_a_ledger_of_the_future_is_left_alone(path: Path) -> None:
    Ledger(path).close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(InputError, match="newer inkfire"):
        Ledger(path)


FAILURES = [
    sqlite3.OperationalError("disk I/O error"),
    sqlite3.InterfaceError("Error binding parameter 3"),
    UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed"),
    OverflowError("Python int too large to convert to SQLite INTEGER"),
    MemoryError(),
    TypeError("a bug"),
]


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: type(failure).__name__)
async def test_whatever_goes_wrong_callers_are_told_and_nothing_is_lost(
    path: Path, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    def fail(entry: Entry) -> Entry:
        raise failure

    with Ledger(path) as ledger:
        await ledger.record(entry(1))
        monkeypatch.setattr(ledger, "_placed", fail)  # within the transaction
        for n in (2, 3):
            with pytest.raises(InkfireError, match="Every stored reply is kept"):
                await asyncio.wait_for(ledger.record(entry(n)), 5)
        with pytest.raises(InkfireError):
            await ledger.reserve(Amount())
        with sqlite3.connect(path, timeout=0) as other:  # rolled back: nothing is left locked
            other.execute("DELETE FROM faults")
        other.close()
    with Ledger(path) as ledger:
        assert all(ledger.find(entry(n).key) == entry(n) for n in (1, 2, 3))
    assert [file.name for file in path.parent.iterdir()] == ["ledger.sqlite"]


async def test_a_reply_that_comes_while_the_ledger_closes_is_stored(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[threading.Thread] = []

    class Slow(queue.SimpleQueue):  # type: ignore[type-arg]
        def put(self, item: object, *args: object) -> None:
            if item is not None and not threads:
                threads.append(threading.Thread(target=ledger.close))
                threads[0].start()
                time.sleep(0.2)  # in which ``close`` has the time to end the queue
            super().put(item)

    monkeypatch.setattr(queue, "SimpleQueue", Slow)
    ledger = Ledger(path)
    await asyncio.wait_for(ledger.record(entry(1)), 5)
    threads[0].join()
    with Ledger(path) as ledger:
        assert ledger.find(entry(1).key) == entry(1)


def test_what_inkfire_did_not_put_beside_the_ledger_is_named(path: Path) -> None:
    Ledger(path).close()
    file = path.with_name("ledger.sqlite.unwritten-1-1.jsonl")
    file.write_text(entry(1).to_line() + '["00", 1]\n', encoding="utf-8")
    with pytest.raises(DataError, match=r"unwritten-1-1\.jsonl:2: .*move the file away"):
        Ledger(path)


# ---- what cannot be stored as it is ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "stored"),
    [
        ({"text": "a\ud800b", "unparsed": "\udfff", "finish_reason": "\ud83d\ude00"}, ("a�b", "�", "😀")),
        ({"text": "\x00", "unparsed": "\x00", "finish_reason": "\x00"}, ("\x00", "\x00", "\x00")),
        ({"prompt_tokens": 10**20, "completion_tokens": -1, "cached_tokens": 2**63}, (10**9, 0, 10**9)),
        ({"cost": math.inf, "latency": math.nan, "time": -math.inf}, (None, 0.0, 0.0)),
        ({"run": "runs/\udcff", "model": "\udcff"}, ("runs/�", "�")),
        ({"logprobs": '[[["\ud800",-1]]]'}, ('[[["�",-1]]]',)),
        ({"text": "好" * 3_000_000}, ("好" * 3_000_000,)),
    ],
)
async def test_every_entry_can_be_stored(path: Path, said: dict[str, Any], stored: tuple[Any, ...]) -> None:
    wild = dataclasses.replace(entry(1), **said)
    assert tuple(getattr(wild, name) for name in said) == stored
    with Ledger(path, run="runs/\udcff") as ledger:
        await asyncio.wait_for(ledger.record(wild), 5)
        await asyncio.wait_for(ledger.record(dataclasses.replace(wild, key=entry(2).key)), 5)
        ledger.fault("m\ud800", "\ud800")
    with Ledger(path, run="runs/\udcff", budget=Budget(tokens=10**12, money=1.0)) as ledger:  # sums what it spent
        assert ledger.find(wild.key) == wild
    json.dumps(summarise(path), ensure_ascii=False).encode()


def test_a_runaway_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    assert 6 * 4 * module._LONGEST < 10**9  # six texts of a row, four bytes a character: SQLite's limit
    monkeypatch.setattr(module, "_LONGEST", 5)
    cut = dataclasses.replace(entry(1), text="1234567", logprobs="[[],[]]")
    assert (cut.text, cut.logprobs) == ("12345", None)


async def test_what_older_versions_put_beside_the_ledger_is_taken_in(path: Path) -> None:
    Ledger(path).close()
    line = entry(1).to_line().replace('"stop"', '"\\ud800"').replace(" 10,", f" {10**30},")
    path.with_name("ledger.sqlite.unwritten-1-1.jsonl").write_text(line, encoding="utf-8")
    with Ledger(path) as ledger:
        found = ledger.find(entry(1).key)
    assert found is not None
    assert (found.finish_reason, found.prompt_tokens) == ("�", 10**9)


# ---- asked anew ------------------------------------------------------------------------------------------------------


async def test_a_reply_that_was_replaced_still_counts(path: Path) -> None:
    first = entry(1, run="a", unparsed="prose", cost=3.0)
    second = dataclasses.replace(first, time=2.0, unparsed=None, text="new", cost=1.0)
    third = dataclasses.replace(second, time=3.0, text="newest")
    with Ledger(path, run="a") as ledger:
        await ledger.record(first)
    with Ledger(path, run="a") as ledger:
        await asyncio.gather(ledger.record(second), ledger.record(third))
        assert ledger.find(first.key) == third
    with Ledger(path, run="a", budget=Budget(money=5.5)) as ledger:
        assert ledger.find(first.key) == third
        with pytest.raises(BudgetExceeded, match=r"5\.0000 of 5\.5 is spent"):
            await ledger.reserve(Amount(1, 0.6))
    (total,) = summarise(path)
    assert (total["calls"], total["unparsed"], total["cost"]) == (3, 1, 5.0)
    assert (total["prompt_tokens"], total["completion_tokens"]) == (30, 15)


@pytest.mark.parametrize(("before", "newest"), [(1.0, 2.0), (3.0, 3.0)])
async def test_of_two_replies_the_newer_answers_wherever_it_was_kept(path: Path, before: float, newest: float) -> None:
    """One in the ledger, one beside it, and taken in twice: killed before the file was removed."""
    beside = dataclasses.replace(entry(1), time=2.0)
    file = path.with_name("ledger.sqlite.unwritten-1-1.jsonl")
    with Ledger(path) as ledger:
        await ledger.record(dataclasses.replace(beside, time=before))
    for _ in range(2):
        file.write_text(beside.to_line(), encoding="utf-8")
        with Ledger(path) as ledger:
            found = ledger.find(beside.key)
            assert found is not None
            assert found.time == newest
        assert summarise(path)[0]["calls"] == 2


OF_VERSION_1 = """
PRAGMA journal_mode = WAL;
CREATE TABLE replies (
    key BLOB PRIMARY KEY, run TEXT, model TEXT, time REAL, attempt INTEGER, text TEXT, finish_reason TEXT,
    unparsed TEXT, prompt_tokens INTEGER, completion_tokens INTEGER, cached_tokens INTEGER, estimated INTEGER,
    cost REAL, latency REAL, logprobs TEXT
);
CREATE TABLE faults (run TEXT, model TEXT, kind TEXT, n INTEGER, PRIMARY KEY (run, model, kind));
INSERT INTO replies VALUES (
    X'0000000000000000000000000000000000000000000000000000000000000001', 'a', 'm', 1.5, 0, '祝您平安', 'stop',
    'prose', 10, 5, 2, 0, 3.0, 0.1, '[[["好",-0.5]]]'
), (
    X'0000000000000000000000000000000000000000000000000000000000000002', 'a', 'm', 2.5, 0, 'b', 'stop',
    NULL, 9223372036854775807, 9223372036854775807, 2, 0, NULL, 0.1, NULL
);
INSERT INTO faults VALUES ('a', 'm', '500', 3);
PRAGMA user_version = 1;
"""


async def test_a_ledger_of_version_1_goes_on(path: Path) -> None:
    """A copy of the schema as it was: files of users have it, whatever the code says today."""
    path.parent.mkdir()
    with sqlite3.connect(path) as db:
        db.executescript(OF_VERSION_1)
    db.close()
    key = (1).to_bytes(32, "big")
    with pytest.raises(InputError, match=r"what this run has spent is unknown: .* price of 'm'"):
        Ledger(path, run="a", budget=Budget(money=9.0), prices={})
    with Ledger(path, run="a", budget=Budget(tokens=10**12), prices={}, retry_unscored=True) as ledger:
        found = ledger.find(key)
        assert found is not None
        assert (found.text, found.unparsed, found.usage) == ("祝您平安", "prose", Usage(10, 5, 2))
        assert (found.cost, found.logprobs) == (3.0, '[[["好",-0.5]]]')
        other = ledger.find((2).to_bytes(32, "big"))
        assert other is not None
        assert other.prompt_tokens == 10**9
        await ledger.record(dataclasses.replace(found, time=7.0, text="new", unparsed=None))
    (total,) = summarise(path)
    assert (total["cost_known"], total["unpriced_calls"], total["unpriced_tokens"]) == (6.0, 1, 2 * 10**9)
    prices = {"m": Price(0.003, 0.003)}  # given later: it counts, for all replies of the model
    with Ledger(path, run="a", budget=Budget(money=9.0), prices=prices) as ledger:
        again = ledger.find(key)
        assert again is not None
        assert again.text == "new"
        with pytest.raises(BudgetExceeded, match=r"in USD, 6\.0000 of 9 is spent"):
            await ledger.reserve(Amount(0, 3.5))
    assert (total["calls"], total["unparsed"], total["cost"], total["faults"]) == (3, 1, None, {"500": 3})


_WRITER = """
import asyncio, dataclasses, sys
from inkfire.llm.entry import Entry
from inkfire.llm.ledger import Ledger
async def write(path, start):
    with Ledger(path) as ledger:
        for n in range(start, start + 50):
            key = n.to_bytes(32, "big")
            await ledger.record(Entry(key, "", "m", 0.0, 0, "", "stop", None, 1, 1, 0, False, None, 0.1, None))
asyncio.run(write(sys.argv[1], int(sys.argv[2])))
"""


def test_several_processes_share_a_ledger(path: Path) -> None:
    processes = [subprocess.Popen([sys.executable, "-c", _WRITER, str(path), str(100 * i)]) for i in range(4)]
    assert [process.wait(timeout=60) for process in processes] == [0, 0, 0, 0]
    assert summarise(path)[0]["calls"] == 200


async def test_the_budget_counts_what_earlier_processes_spent(path: Path) -> None:
    with Ledger(path, run="a") as ledger:
        await ledger.record(entry(1, run="a", cost=3.0))
        await ledger.record(entry(2, run="b", cost=100.0))
    with Ledger(path, run="a", budget=Budget(money=5.0)) as ledger:
        await ledger.reserve(Amount(10, 1.5))
        ledger.purse.settle(Amount(10, 1.5), Amount(10, 1.5))
        with pytest.raises(BudgetExceeded) as stopped:
            await ledger.reserve(Amount(10, 1.0))
        assert "4.5000 of 5 is spent, 0.5000 is left" in str(stopped.value)
        assert "--budget" in str(stopped.value)
    with (
        Ledger(path, run="a", budget=Budget(tokens=20)) as ledger,
        pytest.raises(BudgetExceeded, match="15 of 20 tokens are spent"),
    ):
        await ledger.reserve(Amount(6, 0.0))


async def test_a_call_waits_for_those_in_flight_before_the_limit_stops_it(path: Path) -> None:
    with Ledger(path, budget=Budget(tokens=100)) as ledger:
        await ledger.reserve(Amount(80))
        second = asyncio.ensure_future(ledger.reserve(Amount(80)))
        await asyncio.sleep(0.01)
        assert not second.done()
        ledger.purse.settle(Amount(80), Amount(10))  # it took less than its worst case
        await second
        third = asyncio.ensure_future(ledger.reserve(Amount(80)))
        await asyncio.sleep(0.01)
        ledger.purse.settle(Amount(80), Amount(30))
        with pytest.raises(BudgetExceeded):
            await third
        with pytest.raises(BudgetExceeded):  # the run stops: smaller calls do not slip through
            await ledger.reserve(Amount(1))


def test_a_budget_in_money_needs_prices(path: Path) -> None:
    with Ledger(path, budget=Budget(money=1.0)) as ledger:
        with pytest.raises(InputError, match="price of 'gpt'") as problem:
            ledger.price("gpt")
        assert str(path.with_name("prices.toml")) in str(problem.value)
    path.with_name("prices.toml").write_text('["gpt"]\nprompt = 1\ncompletion = 2.5\n', encoding="utf-8")
    with Ledger(path, budget=Budget(money=1.0)) as ledger:
        assert ledger.price("gpt") == Price(1.0, 2.5)
    with Ledger(path, prices={"gpt": Price(9.0, 9.0)}) as ledger:
        assert ledger.price("gpt") == Price(9.0, 9.0)
        assert ledger.price("other") is None


async def test_what_has_no_price_is_unknown_and_not_nothing(path: Path) -> None:
    with Ledger(path, prices={"m": Price(1.0, 2.0)}) as ledger:
        await ledger.record(entry(1, cost=None))  # 10 and 5 tokens
        assert ledger.stats()["cost"] == pytest.approx(20e-6)
        for n in (2, 3):
            await ledger.record(dataclasses.replace(entry(n), model="gpt", cost=None))
        stats = ledger.stats()
    assert (stats["cost"], stats["cost_known"], stats["currency"]) == (None, pytest.approx(20e-6), "USD")
    assert (stats["unpriced_calls"], stats["unpriced_tokens"]) == (2, 30)
    assert stats["unpriced_models"] == {"gpt": {name: 2 * n for name, n in COUNTS.items()}}
    assert (stats["total_cost"], stats["total_unpriced_calls"]) == (None, 2)
    json.dumps(stats)


async def test_a_price_given_later_counts_in_every_sum(path: Path) -> None:
    with Ledger(path, run="a") as ledger:
        await ledger.record(dataclasses.replace(entry(1, run="a", cost=None), model="gpt"))
        await ledger.record(dataclasses.replace(entry(2, run="a", cost=0.0), model="local/tiny"))
    assert [row["cost"] for row in summarise(path)] == [None, 0.0]
    with pytest.raises(InputError, match=r"spent is unknown: --budget needs the price of 'gpt': put \[\"gpt\"\]"):
        Ledger(path, run="a", budget=Budget(money=5.0))
    Ledger(path, run="b", budget=Budget(money=5.0)).close()  # what other runs spent does not matter
    prices = path.with_name("prices.toml")
    prices.write_text('currency = "EUR"\n[gpt]\nprompt = 2e5\ncompletion = 4e5\n', encoding="utf-8")
    assert [row["cost"] for row in summarise(path)] == [pytest.approx(4.0), 0.0]
    with Ledger(path, run="a", budget=Budget(money=5.0)) as ledger:
        with watch() as seen:
            ledger.find(entry(1).key)
        assert [one.cost for one in seen.values()] == [pytest.approx(4.0)]
        assert (ledger.stats()["total_cost"], ledger.stats()["currency"]) == (pytest.approx(4.0), "EUR")
        with pytest.raises(BudgetExceeded, match=r"in EUR, 4\.0000 of 5 is spent"):
            await ledger.reserve(Amount(1, 1.5))
    prices.write_text("[gpt]\nprompt = 0\ncompletion = 4e5\n", encoding="utf-8")  # corrected: the same
    assert summarise(path)[0]["cost"] == pytest.approx(2.0)


async def test_what_it_cost_when_it_came_holds_where_the_price_is_gone(path: Path) -> None:
    with Ledger(path) as ledger:
        await ledger.record(entry(1, cost=3.0))
    assert summarise(path)[0]["cost"] == 3.0
    assert summarise(path, prices=Prices({"m": Price(0, 1e5)}))[0]["cost"] == 0.5


async def test_summary_by_run(path: Path) -> None:
    for run, model, cost in (("a", "m", 1.0), ("a", "gpt", None), ("b", "m", 2.0)):
        with Ledger(path, run=run) as ledger:
            number = len(run + model) + ord(run)
            await ledger.record(dataclasses.replace(entry(number, run=run, cost=cost), model=model))
            ledger.fault(model, "500")
    a, b = summarise_runs(path)
    assert (a["run"], a["calls"], a["cost"], a["cost_known"]) == ("a", 2, None, 1.0)
    assert a["unpriced_models"] == {"gpt": COUNTS}
    assert (b["run"], b["calls"], b["cost"], b["unpriced_calls"]) == ("b", 1, 2.0, 0)
    assert [(row["model"], row["cost"], row["faults"]) for row in a["models"]] == [
        ("gpt", None, {"500": 1}),
        ("m", 1.0, {"500": 1}),
    ]
    assert [row["cost"] for row in summarise(path)] == [None, 3.0]
    assert [row["cost"] for row in summarise(path, runs=["b"])] == [2.0]
    assert summarise_runs(path, runs=["b"]) == [b]
    with pytest.raises(InputError, match="no run 'c'; known: a, b"):
        summarise_runs(path, runs=["c"])


async def test_summary_by_model(path: Path) -> None:
    with Ledger(path) as ledger:
        for n in range(1, 11):
            await ledger.record(entry(n, unparsed="prose" if n == 1 else None))
        await ledger.record(dataclasses.replace(entry(11), model="free", cost=None))
        for kind in ("500", "429", "500"):
            ledger.fault("m", kind)
        assert ledger.stats()["faults"] == {"429": 1, "500": 2}
    free, m = summarise(path)
    assert free["cost"] is None
    assert (m["calls"], m["unparsed"], m["prompt_tokens"], m["cost"]) == (10, 1, 100, 5.0)
    assert (m["latency_median"], m["latency_p95"]) == (0.5, 0.9)
    assert m["faults"] == {"429": 1, "500": 2}
    json.dumps([free, m])
    with pytest.raises(InputError, match="there is no ledger"):
        summarise(path.with_name("other.sqlite"))


async def test_a_closed_ledger_says_so(path: Path) -> None:
    ledger = Ledger(path)
    ledger.close()
    ledger.close()
    with pytest.raises(RuntimeError, match="closed"):
        await ledger.record(entry(1))
