"""What one piece of work asked of models, however many tasks it started for it.

    with watch() as seen:
        await sampler.sample(query)
    sum(entry.completion_tokens for entry in seen.values())

Every reply that the ledger gave or took meanwhile is there once, by its key; those that had to be asked again too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from inkfire.llm.entry import Entry

_seen: ContextVar[dict[bytes, Entry] | None] = ContextVar("_seen", default=None)


@contextmanager
def watch() -> Iterator[dict[bytes, Entry]]:
    """The replies of this task, and of the tasks that are started by it, from here on; one watch may lie in another."""
    seen: dict[bytes, Entry] = {}
    outer = _seen.get()
    token = _seen.set(seen)
    try:
        yield seen
    finally:
        _seen.reset(token)
        if outer is not None:
            outer.update(seen)


def note(entry: Entry) -> None:
    """The ledger's part: ``entry`` was given to, or came from, the current task."""
    seen = _seen.get()
    if seen is not None:
        seen[entry.key] = entry
