"""The process's one event loop, in one daemon thread.

Everything asynchronous in inkfire (model calls, debates, judges) runs here, whoever asks: a command, TRL's
synchronous reward function in the main thread, a test. One loop means one pool of connections, one bound on
concurrency and one place that knows what is in flight.

>>> async def add(a: int, b: int) -> int:
...     return a + b
>>> run(add(1, 2))
3
"""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import os
import threading
from collections.abc import Collection, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

_GRACE = 15.0  # seconds that a cancelled coroutine has to put its affairs in order

_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None
_thread: threading.Thread | None = None


def run(coro: Coroutine[Any, Any, T]) -> T:
    """Run ``coro`` on the process's loop and block until it is done.

    Ctrl-C cancels the coroutine, waits a few seconds for it to clean up, and is raised here.

    Raises:
        RuntimeError: called on the loop's own thread, where it would wait for itself: ``await`` instead.
    """
    if threading.current_thread() is _thread:
        coro.close()
        raise RuntimeError("llm.loop.run() was called from a coroutine; await the coroutine instead")
    started: list[asyncio.Task[Any]] = []

    async def noted() -> T:
        started.extend(filter(None, [asyncio.current_task()]))
        return await coro

    try:
        return asyncio.run_coroutine_threadsafe(noted(), _running_loop()).result()
    except KeyboardInterrupt:
        # Queued behind ``noted``, so whenever the interrupt came, the task to cancel is known by then.
        cancelled = asyncio.run_coroutine_threadsafe(_cancel(started), _running_loop())
        concurrent.futures.wait([cancelled], timeout=_GRACE)
        raise


async def _cancel(tasks: Collection[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _running_loop() -> asyncio.AbstractEventLoop:
    global _loop, _thread
    with _lock:
        if _loop is None:
            _loop = asyncio.new_event_loop()
            _thread = threading.Thread(target=_loop.run_forever, name="inkfire-loop", daemon=True)
            _thread.start()
        return _loop


def _stop() -> None:
    """Close the loop at exit, so that sockets and the loop itself are not left to the garbage collector."""
    if _loop is None or _thread is None or not _thread.is_alive():
        return

    async def cancel_all() -> None:
        await _cancel(asyncio.all_tasks() - {asyncio.current_task()})

    concurrent.futures.wait([asyncio.run_coroutine_threadsafe(cancel_all(), _loop)], timeout=_GRACE)
    _loop.call_soon_threadsafe(_loop.stop)
    _thread.join(timeout=_GRACE)
    if not _thread.is_alive():
        _loop.close()


def _forget() -> None:
    """A forked child has the parent's loop but not its thread: it starts its own when it needs one."""
    global _lock, _loop, _thread
    _lock, _loop, _thread = threading.Lock(), None, None


atexit.register(_stop)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
