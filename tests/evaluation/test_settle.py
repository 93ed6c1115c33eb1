"""How many more queries would settle it."""

from __future__ import annotations

import numpy as np

from inkfire.evaluation.settle import more_queries


def drawn(mean: float, n: int, seed: int = 0) -> list[float]:
    random = np.random.default_rng(seed)
    return (random.integers(0, 2, n) * (2.0 * (random.random(n) < (1 + mean) / 2) - 1)).tolist()


def test_a_larger_difference_needs_fewer_and_none_says_so() -> None:
    large, small = (
        [more_queries(drawn(mean, 40, seed), comparisons=1, seed=0) for seed in range(8)] for mean in (0.6, 0.2)
    )
    known = [n for n in large if n is not None]
    assert len(known) >= 7
    assert np.median(known) < 60
    assert np.median([9999 if n is None else n for n in small]) > np.median(known)
    assert more_queries([0.0] * 30, comparisons=1, seed=0) is None
    assert more_queries([1.0], comparisons=1, seed=0) is None


def test_several_comparisons_need_more() -> None:
    each = drawn(0.4, 40, 3)
    one, many = (more_queries(each, comparisons=n, seed=0) for n in (1, 20))
    assert one is not None
    assert many is None or many >= one


def test_what_it_says_settles_it_four_times_in_five() -> None:
    """In a world that is known: of sets with so many more queries most are shown to differ."""
    from inkfire.stats.intervals import sign_test

    shown = 0
    for seed in range(40):
        first = drawn(0.5, 30, seed)
        more = more_queries(first, comparisons=1, seed=seed)
        every = first + drawn(0.5, 300 if more is None else more, 1000 + seed)
        shown += sign_test(every, [0.0] * len(every), range(len(every))) <= 0.05
    assert shown >= 26
