"""One call in flight, for everybody who asks the same at the same time."""

from __future__ import annotations

import asyncio
from typing import Generic, TypeVar

T = TypeVar("T")


class Shared(Generic[T]):
    """One call in flight and everybody who waits for it.

    When all of them were cancelled it is ``abandoned``: a request that is on its way is still stored (it is paid for),
    a new one is not sent.
    """

    task: asyncio.Task[T]

    def __init__(self) -> None:
        self._waiting = 0

    @property
    def abandoned(self) -> bool:
        return self._waiting == 0

    async def result(self) -> T:
        self._waiting += 1
        try:
            return await asyncio.shield(self.task)
        finally:
            self._waiting -= 1
