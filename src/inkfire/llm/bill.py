"""What replies cost: the part that is known, and what it is that no price is known of.

>>> bill = Bill()
>>> bill.add("a", {"calls": 1, "prompt_tokens": 900, "cached_tokens": 0, "completion_tokens": 100}, 0.5)
>>> bill.cost
0.5
>>> bill.add("b", {"calls": 2, "prompt_tokens": 3000, "cached_tokens": 0, "completion_tokens": 1000}, None)
>>> bill.cost, bill.known, list(bill.unpriced)
(None, 0.5, ['b'])
"""

from __future__ import annotations

import copy
import dataclasses
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from inkfire.llm.base import Usage
from inkfire.llm.entry import MOST_TOKENS, Entry
from inkfire.llm.prices import CURRENCY, Prices

_COUNTED = ("calls", "prompt_tokens", "cached_tokens", "completion_tokens")


@dataclass(slots=True)
class Bill:
    """A sum that does not hide what it lacks: its ``cost`` is None, never 0, while a call in it has no price.

    ``unpriced`` has, by model, what is needed to price it later: calls and tokens (``_COUNTED``).
    """

    tokens: int = 0
    known: float = 0.0
    unpriced: dict[str, Counter[str]] = field(default_factory=dict)

    def add(self, model: str, counts: Mapping[str, int], cost: float | None) -> None:
        """Calls of a model; ``cost`` is None where it is not known."""
        self.tokens += counts["prompt_tokens"] + counts["completion_tokens"]
        if cost is not None:
            self.known += cost
        else:
            self.unpriced.setdefault(model, Counter()).update({name: counts[name] for name in _COUNTED})

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> Self:
        """Of replies together."""
        bill = cls()
        for entry in entries:
            bill.add_entry(entry)
        return bill

    def add_entry(self, entry: Entry) -> None:
        self.add(entry.model, {"calls": 1} | dataclasses.asdict(entry.usage), entry.cost)

    def __add__(self, other: Bill) -> Bill:
        both = Bill(self.tokens + other.tokens, self.known + other.known, copy.deepcopy(self.unpriced))
        for model, counts in other.unpriced.items():
            both.unpriced.setdefault(model, Counter()).update(counts)
        return both

    def at(self, prices: Prices) -> Bill:
        """The same with the prices that were given since."""
        now = Bill(known=self.known)
        for model, counts in self.unpriced.items():
            now.add(model, counts, prices.cost(model, _usage(counts), None))
        now.tokens = self.tokens
        return now

    def rounded(self) -> Self:
        """Without the traces of the order in which it was added up."""
        return replace(self, known=round(self.known, 6))

    @property
    def cost(self) -> float | None:
        return None if self.unpriced else self.known

    @property
    def unpriced_calls(self) -> int:
        return sum(counts["calls"] for counts in self.unpriced.values())

    def fields(self, prefix: str = "") -> dict[str, Any]:
        """The sum as it stands in results: ``FIELDS``, each after ``prefix``."""
        tokens = sum(counts["prompt_tokens"] + counts["completion_tokens"] for counts in self.unpriced.values())
        models = {model: {name: counts[name] for name in _COUNTED} for model, counts in sorted(self.unpriced.items())}
        values = (self.cost, self.known, self.unpriced_calls, tokens, models)
        return {prefix + name: value for name, value in zip(FIELDS, values, strict=True)}

    @classmethod
    def read(cls, result: Mapping[str, Any], prefix: str = "") -> Self:
        """The sum that a result holds; those of earlier versions knew no unpriced calls beside the known cost."""
        cost = result.get(f"{prefix}cost_known", result.get(f"{prefix}cost"))
        models = result.get(f"{prefix}unpriced_models", {})
        return cls(
            result.get(f"{prefix}tokens", 0), cost or 0.0, {model: Counter(counts) for model, counts in models.items()}
        )


def _usage(counts: Mapping[str, int]) -> Usage:
    return Usage(counts["prompt_tokens"], counts["completion_tokens"], counts["cached_tokens"])


FIELDS = ("cost", "cost_known", "unpriced_calls", "unpriced_tokens", "unpriced_models")
"""How a ``Bill`` stands in a result."""


def between(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """What was spent from one ``Ledger.stats`` to another: ``tokens``, ``FIELDS`` and ``currency``."""
    first, last = Bill.read(before), Bill.read(after)
    unpriced = {model: counts - first.unpriced.get(model, Counter()) for model, counts in last.unpriced.items()}
    spent = Bill(last.tokens - first.tokens, last.known - first.known, {m: n for m, n in unpriced.items() if n})
    return {"tokens": spent.tokens, **spent.fields(), "currency": after.get("currency", CURRENCY)}


def used(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """What a stage took, from one ``Ledger.stats`` to another.

    ``calls``: sent, or ``recalled``, answered in an earlier process (a repeat within the process counts once);
    ``failures``; and the tokens and cost of those that this process sent.
    """
    took = {key: after[key] - before[key] for key in ("calls", "failures", "cached", "recalled")}
    took["calls"] += took["recalled"] - took.pop("cached")
    return took | between(before, after)


def repriced(result: Mapping[str, Any], prices: Prices, prefix: str = "") -> dict[str, Any]:
    """A recorded result with the prices that were given since; money in two currencies is not added up."""
    bill = Bill.read(result, prefix)
    if not bill.unpriced or (bill.known and result.get("currency") != prices.currency):
        return dict(result)
    return {**result, **bill.at(prices).fields(prefix), "currency": prices.currency}


def in_words(result: Mapping[str, Any], prefix: str = "") -> str:
    """The cost in a result: "0.5000 USD", or "unknown (0.5000 USD and 3 calls without a price: gpt-5-mini)"."""
    currency = result.get("currency", CURRENCY)
    cost, bill = result.get(f"{prefix}cost"), Bill.read(result, prefix)
    if cost is not None:
        return f"{cost:.4f} {currency}"
    if not bill.unpriced:
        return "unknown"
    known, calls = f"{bill.known:.4f} {currency} and " if bill.known else "", bill.unpriced_calls
    return f"unknown ({known}{calls:,} call{'s'[: calls > 1]} without a price: {', '.join(sorted(bill.unpriced))})"


# ---- of a ledger file ----------------------------------------------------------------------------------------------


def _sum(tokens: str) -> str:
    return f"CAST(TOTAL({tokens}) AS INTEGER)"


_PROMPT, _CACHED, _COMPLETION = (
    f"MIN({column}, {MOST_TOKENS})" for column in ("prompt_tokens", "cached_tokens", "completion_tokens")
)
_SUMS = f"""
    SELECT run, model, COUNT(*) AS calls, COUNT(unparsed) AS unparsed, {_sum(_PROMPT)} AS prompt_tokens,
           {_sum(_CACHED)} AS cached_tokens, {_sum(_COMPLETION)} AS completion_tokens,
           TOTAL(latency) AS latency_total, SUM(cost) AS stored
    FROM replies WHERE run = ?1 OR ?1 IS NULL GROUP BY run, model, cost IS NULL ORDER BY run, model"""


def sums(db: sqlite3.Connection, run: str | None = None) -> Iterator[dict[str, Any]]:
    """The replies of a ledger, or of one run: counts, tokens, seconds, and the cost that is stored.

    By run and model; those that no cost is stored with (None) apart.
    """
    found = db.execute(_SUMS, (run,))
    names = [column[0] for column in found.description]
    return (dict(zip(names, row, strict=True)) for row in found)


def bill(rows: Iterable[Mapping[str, Any]], prices: Prices) -> Bill:
    """What ``sums`` cost at today's prices."""
    total = Bill()
    for row in rows:
        total.add(row["model"], row, prices.cost(row["model"], _usage(row), row["stored"]))
    return total
