"""What texts have from other texts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkfire.stats.copies import longest_copied, nearest

few = st.text("ab\ue000春", max_size=8)


def brute_force_lcs(a: str, b: str) -> int:
    pieces = {a[i:j] for i in range(len(a)) for j in range(i + 1, len(a) + 1)}
    return max((len(piece) for piece in pieces if piece in b), default=0)


@given(st.lists(few, max_size=4), st.lists(few, max_size=4), st.integers(0, 3))
def test_the_longest_piece_against_brute_force(texts: list[str], corpus: list[str], min_chars: int) -> None:
    for text, copy in zip(texts, longest_copied(texts, corpus, min_chars), strict=True):
        longest = max((brute_force_lcs(text, other) for other in corpus), default=0)
        assert copy.length == (longest if longest >= max(min_chars, 1) else 0)
        assert (copy.source is None) == (copy.length == 0)
        if copy.source is not None:
            assert copy.piece in text
            assert copy.piece in corpus[copy.source]


def test_a_copy_does_not_span_two_texts() -> None:
    assert [copy.length for copy in longest_copied(["abcd", "\ue000"], ["ab", "cd"], 1)] == [2, 0]
    (copy,) = longest_copied(["愿你平安喜乐"], ["x", "新的一年愿你平安"], 4)
    assert copy == (4, "愿你平安", 1)
    assert longest_copied(["愿你平安喜乐"], ["新的一年愿你平安"], 5)[0].length == 0


def test_the_nearest_text() -> None:
    found = nearest(["Be well, old friend.", "zzz"], ["Rain again.", "be  well, old friends."])
    assert found[0][1] == 1
    assert found[0][0] > 0.7
    assert found[1][0] == 0
    assert nearest(["x"], []) == [(0.0, None)]
    assert nearest(["same"] * 2, ["same"]) == [(pytest.approx(1.0), 0)] * 2
