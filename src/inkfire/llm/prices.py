"""What tokens cost, and the purse that a run's spend limit is.

Prices are the user's: an argument, or a file ``prices.toml`` beside the ledger. None is built in, for they change;
a model served in this process is ``FREE``. They are per million tokens, in one currency (US dollars by default):

    currency = "EUR"
    ["gpt-5-mini"]
    prompt = 0.25
    cached_prompt = 0.025    # optional: prompt tokens that came from the endpoint's prefix cache
    completion = 2.0

>>> Price(prompt=0.25, completion=2.0).cost(Usage(prompt_tokens=2_000_000, completion_tokens=1_000_000))
2.5
"""

from __future__ import annotations

import asyncio
import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from inkfire.errors import BudgetExceeded, DataError
from inkfire.llm.base import Message, Usage


@dataclass(frozen=True, slots=True)
class Price:
    """Money per million tokens; prompt tokens from a prefix cache cost ``cached_prompt`` where it is given."""

    prompt: float
    completion: float
    cached_prompt: float | None = None

    def cost(self, usage: Usage) -> float:
        cached_rate = self.prompt if self.cached_prompt is None else self.cached_prompt
        fresh = usage.prompt_tokens - usage.cached_tokens
        return (
            fresh * self.prompt + usage.cached_tokens * cached_rate + usage.completion_tokens * self.completion
        ) / 1e6


FREE = Price(0.0, 0.0)


CURRENCY = "USD"
"""That of prices which do not name theirs."""


def is_embedded(model: str) -> bool:
    """Whether a name is that of a model which runs on this machine, in the embedded engine."""
    return model.startswith("local/") or model.endswith(".gguf")


@dataclass(frozen=True, slots=True)
class Prices:
    """What remote models cost, by name; looked up whenever something is summed, so what is given later counts."""

    by_model: Mapping[str, Price] = field(default_factory=dict)
    currency: str = CURRENCY

    def of(self, model: str) -> Price | None:
        return FREE if is_embedded(model) else self.by_model.get(model)

    def cost(self, model: str, usage: Usage, stored: float | None) -> float | None:
        """What a reply costs; where its model has no price (any more) what it cost when it came, if that is known."""
        price = self.of(model)
        return stored if price is None else price.cost(usage)


def prices_path(ledger: Path) -> Path:
    """Where the prices of a ledger are looked for."""
    return ledger.with_name("prices.toml")


def prices_beside(ledger: Path) -> Prices:
    """The prices of a ledger: those of the file beside it, where there is one."""
    path = prices_path(ledger)
    return read_prices(path) if path.exists() else Prices()


def read_prices(path: Path) -> Prices:
    """Prices from TOML or JSON: a table by model name, and ``currency``.

    Raises:
        DataError: the file cannot be read, or a price is not a number ≥ 0.
    """
    try:
        text = path.read_text(encoding="utf-8")
        tables = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read the prices: {error}", path=path) from error
    if not isinstance(tables, Mapping):
        raise DataError("prices are a table by model name", path=path)
    tables, currency = dict(tables), CURRENCY
    if not isinstance(tables.get("currency", {}), Mapping):  # a model may have that name
        currency = tables.pop("currency")
        if not isinstance(currency, str) or not re.fullmatch(r"\S{1,12}", currency):
            raise DataError(f'currency is a short word such as "{CURRENCY}", not {currency!r}', path=path)
    return Prices({model: _price(table, model, path) for model, table in tables.items()}, currency)


def _price(table: Any, model: str, path: Path) -> Price:
    fields = ("prompt", "completion", "cached_prompt")
    numbers = table if isinstance(table, Mapping) else {}
    good = {k: v for k, v in numbers.items() if k in fields and type(v) in (int, float) and 0 <= v < float("inf")}
    if len(good) != len(numbers) or not {"prompt", "completion"} <= good.keys():
        raise DataError(f"[{model!r}] needs prompt and completion (and may have cached_prompt), each ≥ 0", path=path)
    return Price(**{k: float(v) for k, v in good.items()})


@dataclass(frozen=True, slots=True)
class Budget:
    """A run's spend limit, in the currency of the prices, in tokens, or both. None: no limit."""

    money: float | None = None
    tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Amount:
    """Tokens and money, of one call or of many."""

    tokens: int = 0
    money: float = 0.0

    @classmethod
    def of(cls, usage: Usage, price: Price | None) -> Amount:
        return cls(usage.prompt_tokens + usage.completion_tokens, 0.0 if price is None else price.cost(usage))

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.tokens + other.tokens, self.money + other.money)

    def __sub__(self, other: Amount) -> Amount:
        return Amount(self.tokens - other.tokens, self.money - other.money)


def estimate_tokens(messages: Sequence[Message]) -> int:
    """About how many tokens a prompt has, rather more than fewer: no tokeniser of a remote model is at hand."""
    return sum(8 + text_tokens(message["content"]) for message in messages)


def text_tokens(text: str) -> int:
    """About how many tokens a text has: one to three bytes of UTF-8, so one to a Chinese character."""
    return len(text.encode("utf-8", "surrogatepass")) // 3 + 1


class Purse:
    """What a run has spent and promised, against its limit.

    A call reserves its worst case before it is sent and settles for what it did cost. Where the limit would only be
    passed if everything in flight cost its worst, the call waits for some of it to settle. So the limit is passed by
    no more than the calls in flight can exceed their estimates.
    """

    def __init__(self, budget: Budget, spent: Amount, currency: str = CURRENCY) -> None:
        self._budget = budget
        self._currency = currency
        self._spent = spent
        self._promised = Amount()
        self._in_flight = 0
        self._stopped: BudgetExceeded | None = None
        self._settled: asyncio.Event | None = None

    async def reserve(self, amount: Amount) -> None:
        """Promise ``amount`` to a call.

        Raises:
            BudgetExceeded: the call does not fit, and nothing in flight can make room for it.
        """
        while self._stopped is None and not self._fits(self._spent + self._promised + amount):
            if not self._fits(self._spent + amount):
                self._stopped = self._exceeded(amount)
                break
            self._settled = self._settled or asyncio.Event()
            await self._settled.wait()
        if self._stopped is not None:
            raise self._stopped
        self._promised += amount
        self._in_flight += 1

    def settle(self, promised: Amount, spent: Amount) -> None:
        """The call that was promised ``promised`` is over and took ``spent``."""
        self._in_flight -= 1
        self._promised = self._promised - promised if self._in_flight else Amount()  # no rounding error stays behind
        self._spent += spent
        if self._settled is not None:
            self._settled.set()
            self._settled = None

    def take(self, spent: Amount) -> None:
        """Count what was paid for in another way than by a call of this process."""
        self._spent += spent

    def _fits(self, total: Amount) -> bool:
        money, tokens = self._budget.money, self._budget.tokens
        return (money is None or total.money <= money) and (tokens is None or total.tokens <= tokens)

    def _exceeded(self, amount: Amount) -> BudgetExceeded:
        parts = []
        if self._budget.money is not None:
            left = max(0.0, self._budget.money - self._spent.money)
            parts.append(
                f"in {self._currency}, {self._spent.money:.4f} of {self._budget.money:g} is spent, {left:.4f} is left, "
                f"the next call may take {amount.money:.4f}"
            )
        if self._budget.tokens is not None:
            left_tokens = max(0, self._budget.tokens - self._spent.tokens)
            parts.append(
                f"{self._spent.tokens} of {self._budget.tokens} tokens are spent, {left_tokens} are left, "
                f"the next call may take {amount.tokens}"
            )
        return BudgetExceeded(
            f"the spend limit is reached: {'; '.join(parts)}. Every reply so far is kept: "
            "the same command with a higher --budget (or --budget-tokens) goes on from here"
        )
