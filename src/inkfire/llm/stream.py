"""A concurrent map whose results come in input order and whose memory stays flat.

Stages stream: an item is worked on the moment there is room, and its result goes out as soon as every
earlier one has. At most ``limit`` items are worked on and at most ``window`` are held, however long the
input is, so a million lazily produced items need the memory of one window.

    async for transcript in ordered(debate, candidates, limit=128):
        writer.write(transcript)
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from typing import Any, TypeVar

from inkfire.errors import BudgetExceeded

T = TypeVar("T")
R = TypeVar("R")

_WINDOW = 16  # items held per item worked on: one slow item may be overtaken by this many times ``limit``


async def ordered(fn: Callable[[T], Awaitable[R]], items: Iterable[T], *, limit: int) -> AsyncGenerator[R, None]:
    """Yield ``await fn(item)`` for every item, in input order.

    ``fn`` turns a failed call into data itself (``ModelCallError`` → unscored): the first exception that leaves
    it cancels the rest and is raised at once. One is gentler: after ``BudgetExceeded`` nothing new starts, but
    what is in flight (and being paid for) is let finish and the results before the stopped item are yielded.

    Args:
        items: read lazily and on the event loop, so ``next`` should not block for long.
        limit: how many items are worked on at once; ``16 × limit`` are started and not yet yielded, at most.
    """
    if limit < 1:
        raise ValueError("limit must be at least 1")
    source = iter(items)
    exhausted = False
    started: deque[asyncio.Future[R]] = deque()  # oldest first
    running = 0
    failed: BaseException | None = None
    something_ended = asyncio.Event()

    def ended(task: asyncio.Future[Any]) -> None:
        nonlocal running, failed
        running -= 1
        error = None if task.cancelled() else task.exception()
        if error is not None and (failed is None or isinstance(failed, BudgetExceeded)):
            failed = error
        something_ended.set()

    try:
        while True:
            while not exhausted and failed is None and running < limit and len(started) < _WINDOW * limit:
                try:
                    item = next(source)
                except StopIteration:
                    exhausted = True
                else:
                    running += 1
                    task = asyncio.ensure_future(fn(item))
                    task.add_done_callback(ended)
                    started.append(task)
            if failed is not None and not (isinstance(failed, BudgetExceeded) and started):
                raise failed
            if not started:
                return
            if started[0].done():
                yield started.popleft().result()
            else:
                something_ended.clear()
                await something_ended.wait()
    except BudgetExceeded:
        await asyncio.gather(*started, return_exceptions=True)
        raise
    finally:
        for left in started:
            left.cancel()
        await asyncio.gather(*started, return_exceptions=True)
