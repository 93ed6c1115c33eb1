"""A plan gives each rater the own order and sides; a ballot knows which votes stand."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkfire.evaluation.ballots import Ballot, Item, Plan, Slot, Vote, plan, seconds_of


def items_of(queries: int, each: int) -> list[Item]:
    of = [(f"query {i}", k) for i in range(queries) for k in range(each)]
    return [Item(n, query, (f"{query} a{k}", f"{query} b{k}"), ("sft", "rl")) for n, (query, k) in enumerate(of, 1)]


plans = st.builds(
    Plan, raters=st.integers(1, 6), overlap=st.floats(0, 1, allow_nan=False), repeats=st.floats(0, 0.5, allow_nan=False)
)


@given(st.integers(0, 30), st.integers(1, 4), plans, st.integers(0, 3))
def test_a_plan_rates_everything_and_shares_by_query(queries: int, each: int, how: Plan, seed: int) -> None:
    items = items_of(queries, each)
    lists = plan(items, how, seed)
    assert list(lists) == [f"rater-{i + 1}" for i in range(how.raters)]
    of_query: dict[str, set[str]] = {}
    raters_of: Counter[int] = Counter()
    for rater, slots in lists.items():
        assert [slot.position for slot in slots] == list(range(1, len(slots) + 1))
        first = [slot for slot in slots if not slot.repeat]
        assert len({slot.item for slot in first}) == len(first)
        assert abs(2 * sum(slot.swapped for slot in first) - len(first)) <= 1
        raters_of.update(slot.item for slot in first)
        for slot in first:
            of_query.setdefault(items[slot.item - 1].query, set()).add(rater)
        places = {slot.item: slot for slot in first}
        for slot in slots:
            if slot.repeat:  # the other way round, and not right after what it repeats
                assert slot.swapped != places[slot.item].swapped
                assert slot.position > len(first) // 2 >= places[slot.item].position
        assert sum(slot.repeat for slot in slots) == min(round(how.repeats * len(first)), len(first) // 2)
    shared = round(how.overlap * queries) if how.raters > 1 else queries
    assert sorted(raters_of) == [item.item for item in items]
    assert Counter(map(len, of_query.values()))[how.raters] >= shared
    assert sum(raters_of.values()) == each * (shared * how.raters + queries - shared)


def test_order_and_sides_are_each_raters_own_and_the_same_again() -> None:
    lists = plan(items_of(20, 1), Plan(raters=2, repeats=0), seed=3)
    one, two = ([(slot.item, slot.swapped) for slot in slots] for slots in lists.values())
    assert [item for item, _ in one] != [item for item, _ in two]
    assert dict(one) != dict(two)
    assert lists == plan(items_of(20, 1), Plan(raters=2, repeats=0), seed=3)
    assert lists != plan(items_of(20, 1), Plan(raters=2, repeats=0), seed=4)


def test_the_last_vote_stands_and_undo_takes_back_the_latest() -> None:
    ballot = Ballot([Slot("r", position, position) for position in (1, 2, 3)])
    assert not ballot.may_vote(2)
    ballot.add(Vote("r", 1, "a"))
    ballot.add(Vote("r", 2, "tie", note="hm"))
    ballot.add(Vote("r", 1, "b"))  # gone back to
    assert (ballot.current, ballot.last) == (Slot("r", 3, 3), Vote("r", 1, "b"))
    ballot.take_back(1)
    assert (ballot.current, ballot.taken_back[1].choice) == (Slot("r", 1, 1), "b")
    assert ballot.may_vote(1)
    assert ballot.may_vote(2)
    assert not ballot.may_vote(3)
    ballot.add(Vote("r", 1, "bad"))
    assert (ballot.current, ballot.taken_back) == (Slot("r", 3, 3), {})
    again = Ballot.of(ballot.slots, [Vote("r", 1, "a"), Vote("r", 2, "tie", note="hm"), 1, 1, Vote("r", 1, "bad")])
    assert again.standing == ballot.standing


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ("1.2345", 1.234),
        (0, 0.0),
        ("", None),
        (None, None),
        ("-1", None),
        ("nan", None),
        ("inf", None),
        ([], None),
        ("1e9", None),
    ],
)
def test_seconds_that_are_none_are_missing(given: object, seconds: float | None) -> None:
    assert seconds_of(given) == seconds
