"""Every reply a model gave, kept: nothing that was paid for is asked again.

An SQLite file in WAL mode. A reply is committed before its caller sees it, so a process may be killed at any moment
and the next one goes on with all that was answered. Runs in one folder share a ledger; several processes may use it.

- ``find`` reads on the caller's thread (tens of microseconds).
- ``record`` hands the reply to one writer thread, which commits what has gathered in one transaction: the event loop
  never waits for the disk or for a lock. Its caller waits for the commit.
- When a write fails (full disk, lock, file system turned read-only) the replies at hand are put into a file beside the
  ledger, which the next process takes in; the ledger refuses everything further, so no money is spent in vain.

Keys say what was asked, not when or in which order: model, messages, schema, sampling, seed, sample index, attempt.
What was asked anew has its newest reply under its key. Those before it keep their rows, for they were paid for, under
keys that nobody asks for: the key and the time (seconds since the epoch, a big-endian double) after it.

A ledger holds replies and their numbers; no prompts, no credentials.

    with Ledger(run.ledger_path, budget=Budget(money=5.0), run="my-run") as ledger:
        client = open_model("gpt-5-mini", ledger=ledger)
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import queue
import sqlite3
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Self

from inkfire.errors import DataError, InkfireError, InputError
from inkfire.files.jsonl import atomic
from inkfire.llm.bill import Bill, bill, sums
from inkfire.llm.entry import Entry
from inkfire.llm.pace import Pace
from inkfire.llm.prices import Amount, Budget, Price, Prices, Purse, prices_beside, prices_path
from inkfire.llm.structured import well_formed
from inkfire.llm.terms import Terms
from inkfire.llm.watch import note

_VERSION = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS replies (
    key BLOB PRIMARY KEY, run TEXT, model TEXT, time REAL, attempt INTEGER, text TEXT, finish_reason TEXT,
    unparsed TEXT, prompt_tokens INTEGER, completion_tokens INTEGER, cached_tokens INTEGER, estimated INTEGER,
    cost REAL, latency REAL, logprobs TEXT
);
CREATE TABLE IF NOT EXISTS faults (run TEXT, model TEXT, kind TEXT, n INTEGER, PRIMARY KEY (run, model, kind));
"""

_COLUMNS = ", ".join(field.name for field in fields(Entry))
_INSERT = f"INSERT OR IGNORE INTO replies ({_COLUMNS}) VALUES ({', '.join('?' for _ in fields(Entry))})"


@dataclass(frozen=True, slots=True)
class _Write:
    entry: Entry
    committed: asyncio.Future[None]


@dataclass(frozen=True, slots=True)
class _Fault:
    model: str
    kind: str


class Ledger:
    """The replies of all runs in one folder, and what this run has spent.

    Args:
        path: the SQLite file; it and its folder are made when they do not exist.
        budget: the spend limit of ``run``: what earlier processes spent under the same name counts.
        pace: how fast its clients of remote models may ask.
        terms: how they ask.
        retry_unscored: ask anew where the stored reply lacks what was asked for.
        run: a name for the spending, usually that of the run folder.
        prices: by model name; otherwise ``prices.toml`` beside the ledger, where there is one.
        patience: seconds to wait for another process's lock.

    Raises:
        InputError: the file cannot be opened or written, or there is a limit in money and no price of what the run has
            asked before; the message says why and what to do.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        budget: Budget | None = None,
        pace: Pace = Pace(),
        terms: Terms = Terms(),
        retry_unscored: bool = False,
        run: str = "",
        prices: Mapping[str, Price] | Prices | None = None,
        patience: float = 30.0,
    ) -> None:
        self.path = Path(path)
        self.pace = pace
        self.terms = terms
        self.retry_unscored = retry_unscored
        self.run = well_formed(run)
        self.opened = time.time()
        if prices is None:
            prices = prices_beside(self.path)
        self.prices = prices if isinstance(prices, Prices) else Prices(dict(prices))
        self._patience = patience
        self._broken: InkfireError | None = None
        self._counts: Counter[str] = Counter()
        self._faults: Counter[str] = Counter()
        self._taken = Bill()  # by the replies of this process
        self._known: dict[str, set[str]] = {}  # what models were found to lack, by whichever run
        self._lacking: set[str] = set()  # those of which this process takes replies
        self._recalled: set[bytes] = set()
        self._taken_before = Bill()  # by those that were recalled
        self._connections: list[sqlite3.Connection] = []
        self._budget = budget or Budget()
        with contextlib.ExitStack() as undo:
            undo.callback(self._disconnect)
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._reader, self._writer = self._connect(), self._connect()
                self._prepare()
                for model, kind in self._reader.execute("SELECT model, kind FROM faults WHERE kind LIKE 'lacks %'"):
                    self._known.setdefault(model, set()).add(kind.removeprefix("lacks "))
                spent = self._spent() if budget else Bill()
            except (OSError, sqlite3.Error) as error:
                raise self._explain(error) from error
            if self._budget.money is not None and spent.unpriced:
                raise InputError(f"what this run has spent is unknown: {self._wanting(*sorted(spent.unpriced))}")
            undo.pop_all()
        self.purse = Purse(self._budget, Amount(spent.tokens, spent.known), self.prices.currency)
        self._queue: queue.SimpleQueue[_Write | _Fault | None] = queue.SimpleQueue()
        self._closing = threading.Lock()  # nobody queues behind the end of the queue, where nobody would look
        self._thread = threading.Thread(target=self._write_all, name="inkfire-ledger", daemon=True)
        self._thread.start()
        self._closed = False

    # ---- what a client uses ----------------------------------------------------------------------------------------

    def find(self, key: bytes) -> Entry | None:
        """The stored reply of ``key``. Blocks for tens of microseconds."""
        try:
            row = self._reader.execute(f"SELECT {_COLUMNS} FROM replies WHERE key = ?", (key,)).fetchone()
        except sqlite3.Error as error:
            raise self._explain(error) from error
        if row is None:
            return None
        entry = Entry(*row)
        priced = self._priced(entry)
        if entry.time < self.opened and key not in self._recalled:
            self._recalled.add(key)
            self._lacking |= self._known.keys() & {entry.model}
            self._taken_before.add_entry(priced)
        note(priced)
        return entry

    async def record(self, entry: Entry) -> None:
        """Commit ``entry``; returns when it is on file, also when the caller is cancelled meanwhile.

        Raises:
            InkfireError: it could not be written (it is then in a file beside the ledger, if that can be written).
        """
        committed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        with self._closing:
            if self._closed:
                raise RuntimeError(f"{self.path} is closed")
            self._queue.put(_Write(entry, committed))
        priced = self._priced(entry)
        note(priced)
        self._counts["calls"] += 1
        self._counts["unparsed"] += entry.unparsed is not None
        self._taken.add_entry(priced)
        await asyncio.shield(committed)

    async def reserve(self, amount: Amount) -> None:
        """Promise the worst case of a call that is about to be sent; follow it with ``purse.settle``.

        Raises:
            BudgetExceeded: the spend limit does not allow the call.
            InputError: the ledger cannot be written, so the reply would be lost.
        """
        if self._broken is not None:
            raise self._broken
        await self.purse.reserve(amount)

    def price(self, model: str) -> Price | None:
        """The price of a remote model, None where the user gave none.

        Raises:
            InputError: there is a limit in money, which cannot be kept without a price.
        """
        price = self.prices.of(model)
        if price is None and self._budget.money is not None:
            raise InputError(self._wanting(model))
        return price

    def _priced(self, entry: Entry) -> Entry:
        cost = self.prices.cost(entry.model, entry.usage, entry.cost)
        return entry if cost == entry.cost else replace(entry, cost=cost)

    def _wanting(self, *models: str) -> str:
        names, tables = ", ".join(map(repr, models)), ", ".join(f"[{json.dumps(model)}]" for model in models)
        return (
            f"--budget needs the price of {names}: put {tables} with prompt and completion (per million tokens) into "
            f"{prices_path(self.path)} (inkfire ledger prices makes it), or limit tokens with --budget-tokens"
        )

    def count(self, *, cached: int = 0, failures: int = 0) -> None:
        self._counts["calls"] += cached
        self._counts["cached"] += cached
        self._counts["failures"] += failures

    def fault(self, model: str, kind: str) -> None:
        """Count a request that failed (``kind``: ``500``, ``429``, ``timeout``, ``connection``, ``malformed`` …)."""
        self._faults[kind] += 1
        self._queue.put(_Fault(well_formed(model), well_formed(kind)))

    def lack(self, model: str, features: Iterable[str]) -> None:
        """A model was found to lack features (``llm.features``); whoever takes its replies later is told."""
        self._known.setdefault(model, set()).update(features)
        self._lacking.add(model)
        for feature in features:
            self._queue.put(_Fault(well_formed(model), f"lacks {feature}"))

    def stats(self) -> dict[str, Any]:
        """What this process did: ``calls`` answered, ``cached`` of them from the ledger, ``tokens`` and ``cost`` of the
        others, ``recalled`` distinct replies of earlier processes, ``total_tokens`` and ``total_cost`` of both kinds,
        ``unparsed`` replies, ``failures`` (calls given up), ``faults`` (failed requests by kind), ``lacking`` (the
        features that models were found not to have).

        A cost is None where a call has no price; beside it stand the fields of ``Bill``, and the ``currency``.
        """
        total = self._taken + self._taken_before
        return {
            **{name: self._counts[name] for name in ("calls", "cached", "failures", "unparsed")},
            "recalled": len(self._recalled),
            "total_tokens": total.tokens,
            "tokens": self._taken.tokens,
            **self._taken.fields(),
            **total.fields("total_"),
            "currency": self.prices.currency,
            "faults": dict(sorted(self._faults.items())),
            "lacking": {model: sorted(self._known[model]) for model in sorted(self._lacking)},
        }

    def close(self) -> None:
        """Write what is pending and close the file. Idempotent."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
            self._queue.put(None)
        self._thread.join()
        self._disconnect()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    # ---- the file --------------------------------------------------------------------------------------------------

    def _connect(self) -> sqlite3.Connection:
        # The writer's connection is used on its thread and the reader's on the event loop's: each on one at a time.
        db = sqlite3.connect(self.path, timeout=self._patience, isolation_level=None, check_same_thread=False)
        self._connections.append(db)
        db.execute("PRAGMA synchronous = NORMAL")  # safe when the process is killed
        return db

    def _disconnect(self) -> None:
        for db in self._connections:
            db.close()

    def _prepare(self) -> None:
        db = self._writer
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version > _VERSION:
            raise InputError(f"{self.path} was written by a newer inkfire; update inkfire or move the file away")
        if version < _VERSION:
            self._switch_to_wal()
            db.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {_VERSION}; COMMIT")
        for file in sorted(self.path.parent.glob(f"{self.path.name}.unwritten-*.jsonl")):
            with contextlib.suppress(FileNotFoundError):  # another process was faster
                self._transact(_read_unwritten(file))
                file.unlink()

    def _switch_to_wal(self) -> None:
        """SQLite does not wait when another process opens the same new file at this moment, so we do."""
        until = time.monotonic() + self._patience
        while True:
            try:
                self._writer.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > until:
                    raise
                time.sleep(0.02)

    def _spent(self) -> Bill:
        return bill(sums(self._reader, self.run), self.prices)

    def _write_all(self) -> None:
        """The writer thread: commit what has gathered, tell who waits, until told to stop."""
        stop = False
        while not stop:
            gathered = [self._queue.get()]
            while not self._queue.empty():
                gathered.append(self._queue.get())
            stop = None in gathered
            writes = [item for item in gathered if isinstance(item, _Write)]
            faults = [item for item in gathered if isinstance(item, _Fault)]
            problem = self._save([write.entry for write in writes], faults)
            for write in writes:
                with contextlib.suppress(RuntimeError):  # the loop is gone, and so is who waited
                    write.committed.get_loop().call_soon_threadsafe(_tell, write.committed, problem)

    def _save(self, entries: list[Entry], faults: list[_Fault]) -> InkfireError | None:
        """Why it could not be written, None where it was. Whatever happens the thread goes on: callers wait for it."""
        try:
            if self._broken is None:
                if entries or faults:
                    self._transact(entries, faults)
                return None
        except Exception as error:
            self._broken = self._explain(error)
        with contextlib.suppress(Exception):
            self._put_beside(entries)
        return self._broken

    def _transact(self, entries: Iterable[Entry], faults: Iterable[_Fault] = ()) -> None:
        with self._writer as db:  # commits, or rolls back
            db.execute("BEGIN IMMEDIATE")
            for entry in entries:
                db.execute(_INSERT, self._placed(entry).row())
            db.executemany(
                "INSERT INTO faults VALUES (?, ?, ?, 1) ON CONFLICT DO UPDATE SET n = n + 1",
                [(self.run, fault.model, fault.kind) for fault in faults],
            )

    def _placed(self, entry: Entry) -> Entry:
        """``entry`` under the key that is its own; an older reply to the same makes room for it."""
        there = self._writer.execute("SELECT time FROM replies WHERE key = ?", (entry.key,)).fetchone()
        if there is None or there[0] == entry.time:  # the same reply: a file beside the ledger that was taken in before
            return entry
        aside = entry.key + struct.pack(">d", min(there[0], entry.time))
        if there[0] > entry.time:
            return replace(entry, key=aside)
        self._writer.execute("UPDATE OR REPLACE replies SET key = ? WHERE key = ?", (aside, entry.key))
        return entry

    def _put_beside(self, entries: list[Entry]) -> None:
        """Replies that the database would not take go into a file of their own, whole or not at all."""
        if not entries:
            return
        with atomic(self.path.with_name(f"{self.path.name}.unwritten-{os.getpid()}-{time.time_ns()}.jsonl")) as out:
            out.writelines(entry.to_line().encode() for entry in entries)

    def _explain(self, error: Exception) -> InkfireError:
        text = str(error)
        if not isinstance(error, (OSError, sqlite3.Error)):
            return InkfireError(f"the ledger {self.path} cannot take a reply ({error!r}). Every stored reply is kept")
        if "locked" in text or "busy" in text:
            fix = f"another process has locked it for {self._patience:g} s; stop that one and run the command again"
        elif "full" in text or "No space" in text:
            fix = "the disk is full; make room and run the command again"
        elif "not a database" in text or "malformed" in text:
            fix = "it is damaged or not a ledger; move it away"
        else:
            fix = "make its folder writable, or use an --out in one that is"
        return InputError(f"the ledger {self.path} cannot be used ({text}): {fix}. Every stored reply is kept")


def _read_unwritten(file: Path) -> list[Entry]:
    entries = []
    for number, line in enumerate(file.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        try:
            entries.append(Entry.from_line(line))
        except (ValueError, TypeError) as error:
            raise DataError("no reply that inkfire put here; move the file away", path=file, line=number) from error
    return entries


def _tell(committed: asyncio.Future[None], problem: InkfireError | None) -> None:
    if committed.done():
        return
    if problem is None:
        committed.set_result(None)
    else:
        committed.set_exception(problem)
        committed.exception()  # a cancelled caller never looks: that is not a warning
