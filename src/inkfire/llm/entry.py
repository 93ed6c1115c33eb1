"""One reply as the ledger stores it."""

from __future__ import annotations

import json
import operator
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, Self

from inkfire.llm.base import Usage


@dataclass(frozen=True, slots=True)
class Entry:
    """One reply as it is stored; the fields are the columns.

    ``text`` is what the model wrote, thinking included. ``unparsed`` says why no object could be read from it.
    ``estimated`` marks token counts that the endpoint did not report. ``cost`` is None where no price is known.
    ``latency`` is in seconds, ``time`` in seconds since the epoch, ``logprobs`` JSON (``wire.logprobs_json``) or None.
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


_values: Callable[[Entry], tuple[Any, ...]] = operator.attrgetter(*(field.name for field in fields(Entry)))
