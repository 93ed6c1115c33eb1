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
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator
from typing import Generic, TypeVar

from inkfire.errors import BudgetExceeded

T = TypeVar("T")
R = TypeVar("R")

_WINDOW = 16  # items held per item worked on: one slow item may be overtaken by this many times ``limit``


async def ordered(
    fn: Callable[[T], Awaitable[R]],
    items: Iterable[T] | AsyncIterable[T],
    *,
    limit: int,
    window: int | None = None,
) -> AsyncGenerator[R, None]:
    """Yield ``await fn(item)`` for every item, in input order.

    ``fn`` turns a failed call into data itself (``ModelCallError`` → unscored): the first exception that leaves
    it cancels the rest and is raised at once. One is gentler: after ``BudgetExceeded`` nothing new starts, but
    what is in flight (and being paid for) is let finish and the results before the stopped item are yielded.

    Args:
        items: any iterable, read lazily; a plain one is read on the event loop, so ``next`` should not block for long.
        limit: how many items are worked on at once.
        window: how many are started and not yet yielded, ``16 × limit`` by default.
    """
    if limit < 1:
        raise ValueError("limit must be at least 1")
    work = _Work(fn, items, limit=limit, window=max(limit, window if window is not None else _WINDOW * limit))
    try:
        while True:
            work.start_what_fits()
            work.raise_unless_gentle()
            if work.started and work.started[0].done():
                yield work.started.popleft().result()
            elif work.finished:
                return
            else:
                await work.something_happens()
    except BudgetExceeded:
        await asyncio.gather(*work.started, return_exceptions=True)
        raise
    finally:
        await work.cancel()


class _Work(Generic[T, R]):
    """The items in flight, oldest first."""

    def __init__(
        self, fn: Callable[[T], Awaitable[R]], items: Iterable[T] | AsyncIterable[T], *, limit: int, window: int
    ) -> None:
        self.started: deque[asyncio.Task[R]] = deque()
        self._fn = fn
        self._limit = limit
        self._window = window
        self._running = 0
        self._failed: BaseException | None = None
        self._exhausted = False
        self._event = asyncio.Event()
        self._source: Iterator[T] | None = None if isinstance(items, AsyncIterable) else iter(items)
        # An asynchronous source (another stage) may be slow: it is awaited beside the work, not before it.
        self._feed = aiter(items) if isinstance(items, AsyncIterable) else None
        self._next: asyncio.Task[T] | None = None

    @property
    def finished(self) -> bool:
        return not self.started and (self._exhausted or self._failed is not None)

    def start_what_fits(self) -> None:
        while (
            not self._exhausted
            and self._failed is None
            and self._next is None
            and self._running < self._limit
            and len(self.started) < self._window
        ):
            if self._feed is not None:
                self._next = asyncio.ensure_future(_anext(self._feed))
                self._next.add_done_callback(self._arrived)
                return
            assert self._source is not None
            try:
                item = next(self._source)
            except StopIteration:
                self._exhausted = True
            else:
                self._start(item)

    def _arrived(self, task: asyncio.Task[T]) -> None:
        self._next = None
        if not task.cancelled():
            error = task.exception()
            if isinstance(error, StopAsyncIteration):
                self._exhausted = True
            elif error is not None:
                self._failed = self._failed or error
            else:
                self._start(task.result())
        self._event.set()

    def _start(self, item: T) -> None:
        self._running += 1
        task = asyncio.ensure_future(_call(self._fn, item))
        task.add_done_callback(self._ended)
        self.started.append(task)

    def _ended(self, task: asyncio.Task[R]) -> None:
        self._running -= 1
        error = None if task.cancelled() else task.exception()
        if error is not None and (self._failed is None or isinstance(self._failed, BudgetExceeded)):
            self._failed = error
        self._event.set()

    def raise_unless_gentle(self) -> None:
        gentle = isinstance(self._failed, BudgetExceeded) and self.started
        if self._failed is not None and not gentle:
            raise self._failed

    async def something_happens(self) -> None:
        self._event.clear()
        await self._event.wait()

    async def cancel(self) -> None:
        left = [*self.started, *([self._next] if self._next is not None else [])]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        if isinstance(self._feed, AsyncGenerator):  # an inner stage stops its own work with us
            await self._feed.aclose()


async def _call(fn: Callable[[T], Awaitable[R]], item: T) -> R:
    return await fn(item)


async def _anext(feed: AsyncIterator[T]) -> T:
    return await anext(feed)
