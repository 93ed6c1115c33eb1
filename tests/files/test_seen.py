"""A set that is sorted in from time to time is a set."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkfire.files.seen import Seen


@given(st.lists(st.one_of(st.integers(0, 30), st.integers(0, 2**64 - 1))), st.integers(1, 5))
def test_seen_is_a_set(numbers: list[int], recent: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Seen, "_RECENT", recent)
        seen = Seen()
        assert [number for number in numbers if seen.add(number)] == list(dict.fromkeys(numbers))
        assert len(seen) == len(set(numbers))
