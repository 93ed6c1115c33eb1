"""What replies cost: the part that is known, and what it is that no price is known of.

>>> bill = Bill()
>>> bill.add("a", 1, 1000, 0.5)
>>> bill.cost
0.5
>>> bill.add("b", 2, 4000, None)
>>> bill.cost, bill.known, bill.unpriced_models
(None, 0.5, {'b': 2})
"""

from __future__ import annotations

import copy
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from inkfire.llm.base import Usage
from inkfire.llm.entry import MOST_TOKENS, Entry
from inkfire.llm.prices import CURRENCY, Prices


@dataclass(slots=True)
class Bill:
    """A sum that does not hide what it lacks: its ``cost`` is None, never 0, while a call in it has no price."""

    tokens: int = 0
    known: float = 0.0
    unpriced_tokens: int = 0
    calls_unpriced: Counter[str] = field(default_factory=Counter)

    def add(self, model: str, calls: int, tokens: int, cost: float | None) -> None:
        """``calls`` of a model; ``cost`` is None where it is not known."""
        self.tokens += tokens
        if cost is not None:
            self.known += cost
        elif calls:
            self.unpriced_tokens += tokens
            self.calls_unpriced[model] += calls

    def add_entry(self, entry: Entry) -> None:
        self.add(entry.model, 1, entry.prompt_tokens + entry.completion_tokens, entry.cost)

    def __add__(self, other: Self) -> Self:
        both = copy.deepcopy(self)
        both.tokens += other.tokens
        both.known += other.known
        both.unpriced_tokens += other.unpriced_tokens
        both.calls_unpriced.update(other.calls_unpriced)
        return both

    def rounded(self) -> Self:
        """Without the traces of the order in which it was added up."""
        return replace(self, known=round(self.known, 6))

    @property
    def cost(self) -> float | None:
        return None if self.calls_unpriced else self.known

    @property
    def unpriced_models(self) -> dict[str, int]:
        """Model → calls that no price is known of."""
        return dict(sorted(self.calls_unpriced.items()))

    def fields(self, prefix: str = "") -> dict[str, Any]:
        """The sum as it stands in results: ``FIELDS``, each after ``prefix``."""
        values = (self.cost, self.known, self.calls_unpriced.total(), self.unpriced_tokens, self.unpriced_models)
        return {prefix + name: value for name, value in zip(FIELDS, values, strict=True)}

    @classmethod
    def read(cls, result: Mapping[str, Any], prefix: str = "") -> Self:
        """The sum that a result holds; those of earlier versions knew no unpriced calls beside the known cost."""
        cost = result.get(f"{prefix}cost_known", result.get(f"{prefix}cost"))
        return cls(
            result.get(f"{prefix}tokens", 0),
            cost or 0.0,
            result.get(f"{prefix}unpriced_tokens", 0),
            Counter(result.get(f"{prefix}unpriced_models", {})),
        )


FIELDS = ("cost", "cost_known", "unpriced_calls", "unpriced_tokens", "unpriced_models")
"""How a ``Bill`` stands in a result."""


def between(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """What was spent from one ``Ledger.stats`` to another: ``tokens``, ``FIELDS`` and ``currency``."""
    first, last = Bill.read(before), Bill.read(after)
    spent = Bill(
        last.tokens - first.tokens,
        last.known - first.known,
        last.unpriced_tokens - first.unpriced_tokens,
        last.calls_unpriced - first.calls_unpriced,
    )
    return {"tokens": spent.tokens, **spent.fields(), "currency": after.get("currency", CURRENCY)}


def in_words(result: Mapping[str, Any], prefix: str = "") -> str:
    """The cost in a result: "0.5000 USD", or "unknown (0.5000 USD and 3 calls without a price: gpt-5-mini)"."""
    currency = result.get("currency", CURRENCY)
    cost, bill = result.get(f"{prefix}cost"), Bill.read(result, prefix)
    if cost is not None:
        return f"{cost:.4f} {currency}"
    if not bill.calls_unpriced:
        return "unknown"
    known = f"{bill.known:.4f} {currency} and " if bill.known else ""
    calls = bill.calls_unpriced.total()
    return f"unknown ({known}{calls} call{'s'[: calls > 1]} without a price: {', '.join(bill.unpriced_models)})"


# ---- of a ledger file ----------------------------------------------------------------------------------------------


def _sum(tokens: str) -> str:
    return f"CAST(TOTAL({tokens}) AS INTEGER)"


_PROMPT, _CACHED, _COMPLETION = (
    f"MIN({column}, {MOST_TOKENS})" for column in ("prompt_tokens", "cached_tokens", "completion_tokens")
)
_SUMS = f"""
    SELECT run, model, COUNT(*) AS calls, COUNT(unparsed) AS unparsed, {_sum(_PROMPT)} AS prompt_tokens,
           {_sum(_CACHED)} AS cached_tokens, {_sum(_COMPLETION)} AS completion_tokens,
           TOTAL(latency) AS latency_total, TOTAL(cost) AS stored, COUNT(*) - COUNT(cost) AS unpriced_calls,
           {_sum(f"({_PROMPT} + {_COMPLETION}) * (cost IS NULL)")} AS unpriced_tokens
    FROM replies WHERE run = ?1 OR ?1 IS NULL GROUP BY run, model ORDER BY run, model"""


def sums(db: sqlite3.Connection, run: str | None = None) -> Iterator[dict[str, Any]]:
    """The replies of a ledger, or of one run, by run and model: counts, tokens, seconds, and what cost is stored."""
    found = db.execute(_SUMS, (run,))
    names = [column[0] for column in found.description]
    return (dict(zip(names, row, strict=True)) for row in found)


def bill(rows: Iterable[Mapping[str, Any]], prices: Prices) -> Bill:
    """What ``sums`` cost at today's prices."""
    total = Bill()
    for row in rows:
        model, tokens = row["model"], row["prompt_tokens"] + row["completion_tokens"]
        price = prices.of(model)
        if price is not None:
            usage = Usage(row["prompt_tokens"], row["completion_tokens"], row["cached_tokens"])
            total.add(model, row["calls"], tokens, price.cost(usage))
        else:
            unpriced = row["unpriced_tokens"]
            total.add(model, row["calls"] - row["unpriced_calls"], tokens - unpriced, row["stored"])
            total.add(model, row["unpriced_calls"], unpriced, None)
    return total
