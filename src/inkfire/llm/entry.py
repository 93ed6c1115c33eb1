"""One reply as the ledger stores it: whatever an endpoint said, SQLite takes it and UTF-8 carries it."""

from __future__ import annotations

import json
import math
import operator
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, Self

from inkfire.llm.base import Usage
from inkfire.llm.structured import well_formed

MOST_TOKENS = 10**9
"""More than any model reads or writes in one call. An SQLite integer ends at 9e18, and so does the sum of many."""
_LONGEST = 1 << 25  # characters of one text: SQLite takes 10⁹ bytes a row


@dataclass(frozen=True, slots=True)
class Entry:
    """One reply as it is stored; the fields are the columns.

    ``text`` is what the model wrote, thinking included. ``unparsed`` says what was asked for and is not there
    (``Reply.lacking``).
    ``estimated`` marks token counts that the endpoint did not report. ``cost`` is None where no price is known.
    ``latency`` is in seconds, ``time`` in seconds since the epoch, ``logprobs`` JSON (``wire.Completion``) or None.

    Every entry can be stored: texts are well-formed and of bounded length, counts from 0 to ``MOST_TOKENS``, floats
    finite. What was said beyond that is cut.
    """

    key: bytes
    run: str
    model: str
    time: float
    attempt: int
    text: str
    finish_reason: str
    unparsed: str | None
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    estimated: bool
    cost: float | None
    latency: float
    logprobs: str | None

    def __post_init__(self) -> None:
        for name, value in zip(_NAMES, _values(self), strict=True):
            kept = _storable(name, value)
            if kept is not value:
                object.__setattr__(self, name, kept)

    @property
    def usage(self) -> Usage:
        return Usage(self.prompt_tokens, self.completion_tokens, self.cached_tokens)

    def row(self) -> tuple[Any, ...]:
        """The values of the columns, in their order."""
        return _values(self)

    def to_line(self) -> str:
        """A line of JSON, for where the database cannot be written."""
        return json.dumps([value.hex() if isinstance(value, bytes) else value for value in self.row()]) + "\n"

    @classmethod
    def from_line(cls, line: str) -> Self:
        key, *values = json.loads(line)
        return cls(bytes.fromhex(key), *values)


_NAMES = tuple(field.name for field in fields(Entry))
_values: Callable[[Entry], tuple[Any, ...]] = operator.attrgetter(*_NAMES)


def _storable(name: str, value: Any) -> Any:
    if isinstance(value, str):
        if len(value) > _LONGEST:
            return None if name == "logprobs" else well_formed(value[:_LONGEST])  # JSON that is cut is none
        return well_formed(value)
    if isinstance(value, int):
        return min(max(value, 0), MOST_TOKENS)
    if isinstance(value, float) and not math.isfinite(value):
        return None if name == "cost" else 0.0
    return value
