"""The queue before a reward: one call for what waits, whole groups, nothing lost, nothing counted twice."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("starlette")
from scripted_reward import ScriptedReward, with_group

from inkfire.errors import EndpointDown
from inkfire.serve.scoring import Desk, Failed, Full, Group, Limits, Refused, Text, TooLarge


def texts(*responses: str, query: str = "a wish") -> list[Text]:
    return [Text(query, response) for response in responses]


async def waiting(desk: Desk, n: int) -> None:
    """Until so many texts wait or are at work."""
    for _ in range(2000):
        if desk.held == n:
            return
        await asyncio.sleep(0.005)
    raise AssertionError(f"{desk.held} texts are held, not {n}")


async def test_what_waits_is_scored_in_one_call_and_everybody_gets_their_own() -> None:
    reward = ScriptedReward(lambda query, response, size: float(response))
    desk = Desk(reward, whole=False)
    async with desk.open():
        reward.go.clear()
        first = asyncio.create_task(desk.ask(texts("0")))
        await waiting(desk, 1)
        others = [asyncio.create_task(desk.ask(texts(str(i), str(-i)))) for i in range(1, 6)]
        await waiting(desk, 11)
        reward.go.set()
        assert await first == [0.0]
        assert await asyncio.gather(*others) == [[float(i), float(-i)] for i in range(1, 6)]
    assert [len(call) for call in reward.calls] == [1, 10]
    assert desk.held == 0


async def test_a_call_has_no_more_texts_than_the_batch_unless_one_request_has() -> None:
    reward = ScriptedReward()
    desk = Desk(reward, whole=False, limits=Limits(batch=3))
    async with desk.open():
        reward.go.clear()
        asked = [asyncio.create_task(desk.ask(texts(*"x" * n))) for n in (1, 2, 2, 5, 1)]
        await waiting(desk, 11)
        reward.go.set()
        await asyncio.gather(*asked)
    assert [len(call) for call in reward.calls] == [3, 2, 5, 1]


async def test_a_missing_score_is_missing_with_its_reason_and_no_part_of_the_mean() -> None:
    said = {"none": None, "nan": float("nan"), "inf": float("inf"), "2": 2.0, "4": 4.0}
    reward = ScriptedReward(lambda query, response, size: said[response])
    desk = Desk(reward, whole=False)
    assert desk.neutral is None
    async with desk.open():
        reward.unscored["asked before the server began"] = 7
        assert await desk.ask(texts(*said)) == [None, None, None, 2.0, 4.0]
        assert await desk.ask([]) == []
    assert desk.counts.missing == {"no reason given": 3}
    assert (desk.neutral, desk.counts.texts) == (3.0, 5)


async def test_truncated_comes_through() -> None:
    reward = ScriptedReward()
    desk = Desk(reward, whole=False)
    async with desk.open():
        await desk.ask([Text("q", "a", True), Text("q", "b", False), Text("q", "c")])
    assert reward.truncated == [True, False, None]


async def test_a_group_in_several_requests_is_scored_when_it_is_whole() -> None:
    reward = ScriptedReward()
    desk = Desk(reward, whole=True)
    group = Group("step-1/0", 3)
    async with desk.open():
        first = asyncio.create_task(desk.ask(texts("a"), [group]))
        await waiting(desk, 3)  # room is kept for the texts to come
        second = asyncio.create_task(desk.ask(texts("four", "bb"), [Group("alone", 1), group]))
        await asyncio.sleep(0.05)
        assert not first.done()
        assert await desk.ask(texts("ccc"), [group]) == [3003.0]
        assert await first == [3001.0]
        assert await second == [1004.0, 3002.0]
    assert sorted(map(len, reward.calls)) == [1, 3]


async def test_without_groups_the_texts_of_a_query_in_a_request_are_one() -> None:
    desk = Desk(ScriptedReward(), whole=True)
    async with desk.open():
        asked = [Text("p", "a"), Text("q", "bb"), Text("p", "ccc"), Text("q", "dddd"), Text("p", "eeeee")]
        assert await desk.ask(asked) == [3001.0, 2002.0, 3003.0, 2004.0, 3005.0]
        with pytest.raises(Refused, match="text 2 is the only one of its query"):
            await desk.ask([*texts("a", "b"), Text("another", "c")])


async def test_a_group_that_never_completes_is_missing_at_its_deadline_and_may_begin_anew() -> None:
    desk = Desk(ScriptedReward(), whole=True, limits=Limits(queue=6, deadline=0.2))
    group = Group("g", 3)
    async with desk.open():
        began = asyncio.get_running_loop().time()
        assert await asyncio.gather(desk.ask(texts("a"), [group]), desk.ask(texts("b"), [group])) == [[None], [None]]
        assert 0.15 < asyncio.get_running_loop().time() - began < 5
        assert desk.counts.missing == {"incomplete group": 2}
        assert desk.held == 0
        assert await desk.ask(texts("a", "b", "c"), [group] * 3) == [3001.0] * 3


async def test_who_hangs_up_takes_their_texts_out_of_the_group() -> None:
    desk = Desk(ScriptedReward(), whole=True)
    group = Group("g", 2)
    async with desk.open():
        gone = asyncio.create_task(desk.ask(texts("the same"), [group]))
        await waiting(desk, 2)
        gone.cancel()
        await asyncio.wait([gone])
        assert desk.held == 0
        again = asyncio.create_task(desk.ask(texts("the same"), [group]))
        await waiting(desk, 2)
        assert await desk.ask(texts("another"), [group]) == [2007.0]
        assert await again == [2008.0]


async def test_what_nobody_waits_for_is_not_scored() -> None:
    reward = ScriptedReward()
    desk = Desk(reward, whole=False)
    async with desk.open():
        reward.go.clear()
        first = asyncio.create_task(desk.ask(texts("first")))
        await waiting(desk, 1)
        gone = asyncio.create_task(desk.ask(texts("gone")))
        last = asyncio.create_task(desk.ask(texts("last")))
        await waiting(desk, 3)
        gone.cancel()
        await asyncio.wait([gone])
        reward.go.set()
        await asyncio.gather(first, last)
    assert [response for call in reward.calls for response in call] == ["first", "last"]
    assert desk.held == 0


async def test_two_groups_of_one_query_are_never_side_by_side() -> None:
    reward = ScriptedReward()
    desk = Desk(reward, whole=True)
    async with desk.open():
        reward.go.clear()
        asked = [asyncio.create_task(desk.ask(texts("a", "bb"), [Group(str(i), 2)] * 2)) for i in range(3)]
        await waiting(desk, 6)
        reward.go.set()
        assert await asyncio.gather(*asked) == [[2001.0, 2002.0]] * 3


async def test_a_full_queue_takes_no_new_texts_but_those_of_groups_that_began() -> None:
    desk = Desk(ScriptedReward(), whole=True, limits=Limits(queue=4))
    async with desk.open():
        first = asyncio.create_task(desk.ask(texts("a"), [Group("g", 3)]))
        await waiting(desk, 3)
        with pytest.raises(Full, match="3 texts wait, of 4"):
            await desk.ask(texts("a", "b"), [Group("h", 2)] * 2)
        with pytest.raises(TooLarge, match="more than the queue's 4"):
            await desk.ask(texts("a"), [Group("h", 5)])
        assert await desk.ask(texts("b", "c"), [Group("g", 3)] * 2) == [3001.0, 3001.0]
        assert await first == [3001.0]
    assert desk.held == 0


@pytest.mark.parametrize(
    ("asked", "groups", "why"),
    [
        (texts("a", "b", "c"), [Group("g", 2)] * 3, "more than its 2 texts"),
        (texts("a"), [Group("begun", 3)], "has 3 texts here and 2 in an earlier request"),
        (texts("a", "b"), [Group("begun", 2)] * 2, "more than its 2 texts"),
        ([Text("a", "a"), Text("b", "b")], [Group("g", 2)] * 2, "texts of several queries"),
        ([Text("another", "a")], [Group("begun", 2)], "texts of several queries"),
        (texts("a", "b"), [Group("g", 2), Group("g", 3)], "two sizes"),
    ],
)
async def test_a_group_that_contradicts_itself_is_refused_and_nothing_of_it_waits(
    asked: Sequence[Text], groups: Sequence[Group], why: str
) -> None:
    desk = Desk(ScriptedReward(), whole=True)
    async with desk.open():
        first = asyncio.create_task(desk.ask(texts("first"), [Group("begun", 2)]))
        await waiting(desk, 2)
        with pytest.raises(Refused, match=why):
            await desk.ask([*texts("x"), *asked], [Group("good", 1), *groups])
        assert desk.held == 2
        await desk.ask(texts("last"), [Group("begun", 2)])
        assert await first == [2005.0]


async def test_one_text_that_the_reward_fails_on_is_no_other_requests_failure() -> None:
    def rule(query: str, response: str, size: int) -> float:
        if response == "bad":
            raise EndpointDown("the endpoint does not answer")
        return 1.0

    reward = ScriptedReward(rule)
    desk = Desk(reward, whole=False)
    async with desk.open():
        reward.go.clear()
        asked = [asyncio.create_task(desk.ask(texts(word))) for word in ("good", "bad", "fine")]
        await waiting(desk, 3)
        reward.go.set()
        first, second, third = await asyncio.gather(*asked, return_exceptions=True)
        assert (first, third) == ([1.0], [1.0])
        assert isinstance(second, Failed)
        assert "the endpoint does not answer" in str(second)
        assert await desk.ask(texts("good")) == [1.0]
    assert desk.held == 0
    assert desk.counts.missing == {"reward failed": 1}


async def test_a_stop_answers_groups_that_wait_finishes_what_is_at_work_and_takes_nothing_new() -> None:
    reward = ScriptedReward()
    desk = Desk(reward, whole=True)
    async with desk.open():
        reward.go.clear()
        at_work = asyncio.create_task(desk.ask(texts("a", "b")))
        await waiting(desk, 2)
        waits = asyncio.create_task(desk.ask(texts("a"), [Group("g", 2)]))
        await waiting(desk, 4)
        desk.stop()
        assert await waits == [None]
        with pytest.raises(Failed, match="stopping"):
            await desk.ask(texts("a", "b"))
        reward.go.set()
        assert await at_work == [2001.0, 2001.0]


@given(
    sizes=st.lists(st.integers(1, 5), min_size=1, max_size=6),
    data=st.data(),
    batch=st.integers(1, 6),
)
def test_however_groups_are_cut_into_requests_each_is_scored_whole(
    sizes: list[int], data: st.DataObject, batch: int
) -> None:
    """Groups of few queries, shuffled, cut into requests anywhere: each text's score is that of its whole group."""
    rows = [
        (Text(f"query {number % 2}", "x" * place), Group(str(number), size))
        for number, size in enumerate(sizes)
        for place in range(size)
    ]
    rows = data.draw(st.permutations(rows))
    cuts = sorted({0, len(rows), *data.draw(st.lists(st.integers(0, len(rows)), max_size=6))})

    async def ask() -> list[float | None]:
        desk = Desk(ScriptedReward(), whole=True, limits=Limits(batch=batch))
        async with desk.open():
            requests = [rows[begin:end] for begin, end in pairwise(cuts)]
            asked = [desk.ask([text for text, _ in some], [group for _, group in some]) for some in requests]
            out = [score for scores in await asyncio.gather(*asked) for score in scores]
        assert desk.held == 0
        return out

    expected = [with_group(text.query, text.response, group.size) for text, group in rows]
    assert asyncio.run(ask()) == expected
