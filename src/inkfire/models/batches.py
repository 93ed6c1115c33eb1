"""Texts of like length go through a model together: what is padded is computed in vain.

>>> list(by_length([9, 2, 3, 8], tokens=18))
[[1, 2], [3, 0]]
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

TOKENS = 4096
"""Padded tokens that go through a model at once."""


def by_length(sizes: Sequence[int], tokens: int = TOKENS) -> Iterator[list[int]]:
    """Indices of texts of so many tokens, the short ones first, in batches of at most ``tokens`` padded tokens; a text
    that is longer goes alone."""
    batch: list[int] = []
    for i in sorted(range(len(sizes)), key=sizes.__getitem__):
        if batch and (len(batch) + 1) * sizes[i] > tokens:
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch
