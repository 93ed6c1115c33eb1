"""The good texts that the greetings tasks ship: what a writer is fine-tuned on."""

from __future__ import annotations

from collections import Counter
from statistics import median, pstdev

import pytest

from inkfire.tasks.task import HELD_OUT, Task, load_task

# Characters: the shortest, the longest, about the median.
LENGTHS = {"greetings-zh": (20, 90, 50), "greetings-en": (90, 300, 160)}


@pytest.fixture(params=sorted(LENGTHS))
def task(request: pytest.FixtureRequest) -> Task:
    return load_task(request.param)


def test_there_are_three_hundred_for_as_many_queries(task: Task) -> None:
    good = task.good_texts()
    assert (len(good), len({text.query for text in good})) == (300, 300)
    known = {query.query for query in task.queries()}
    assert 100 <= sum(text.query in known for text in good) <= 200
    assert not (task.folder / HELD_OUT).exists()  # else they keep away from its queries


def test_they_are_long_and_short(task: Task) -> None:
    shortest, longest, about = LENGTHS[task.name]
    lengths = [len(text.response) for text in task.good_texts()]
    assert shortest <= min(lengths)
    assert max(lengths) <= longest
    assert median(lengths) == pytest.approx(about, rel=0.1)
    assert pstdev(lengths) > 0.2 * about  # short ones and long ones, not all of one length


def test_they_begin_in_many_ways(task: Task) -> None:
    texts = [text.response for text in task.good_texts()]
    first = Counter(text[:6] if task.language == "zh" else " ".join(text.lower().split()[:3]) for text in texts)
    assert max(first.values()) <= 3
