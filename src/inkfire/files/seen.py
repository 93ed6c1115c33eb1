"""A set of hashes that holds eight bytes for each: a million of them are eight megabytes, a Python set takes eighty.

>>> seen = Seen()
>>> seen.add(7), seen.add(7), len(seen)
(True, False, 1)
"""

from __future__ import annotations

import numpy as np


class Seen:
    """Which numbers from 0 to 2⁶⁴ - 1 were there before."""

    _RECENT = 1 << 16  # numbers in a plain set before they are sorted in with the others

    def __init__(self) -> None:
        self._recent: set[int] = set()
        self._older = np.empty(0, np.uint64)

    def add(self, number: int) -> bool:
        """Whether the number is new."""
        place = int(np.searchsorted(self._older, np.uint64(number)))
        if number in self._recent or (place < len(self._older) and int(self._older[place]) == number):
            return False
        self._recent.add(number)
        if len(self._recent) == self._RECENT:
            recent = np.fromiter(self._recent, np.uint64, len(self._recent))
            self._older = np.sort(np.concatenate([self._older, recent]))
            self._recent.clear()
        return True

    def __len__(self) -> int:
        return len(self._older) + len(self._recent)
