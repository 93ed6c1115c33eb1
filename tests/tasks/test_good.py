"""The good texts that the greetings tasks ship: what a writer is fine-tuned on."""

from __future__ import annotations

from collections import Counter
from statistics import median, pstdev

import pytest

from inkfire.rewards.checks import Checks
from inkfire.stats.audit import NEAR
from inkfire.stats.texts import near_duplicates
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


def test_they_are_what_the_task_asks_for(task: Task) -> None:
    good = task.good_texts()
    failed = Checks.parse(task.checks, folder=task.folder).failures(
        [text.query for text in good], [text.response for text in good]
    )
    assert [text.response for text, names in zip(good, failed, strict=True) if names] == []
    shortest, longest, about = LENGTHS[task.name]
    lengths = [len(text.response) for text in good]
    assert shortest <= min(lengths)
    assert max(lengths) <= longest
    assert median(lengths) == pytest.approx(about, rel=0.1)
    assert pstdev(lengths) > 0.2 * about  # short ones and long ones, not all of one length


def test_no_text_is_another_again_or_stands_in_a_file_that_measures(task: Task) -> None:
    measured = [row.response for row in task.labelled()]
    measured += [text for pair in task.pairs() for text in (pair.chosen, pair.rejected)]
    good = [text.response for text in task.good_texts()]
    both = [*measured, *good]
    assert [both[later] for _, later in near_duplicates(both, NEAR) if later >= len(measured)] == []


def test_they_begin_in_many_ways(task: Task) -> None:
    texts = [text.response for text in task.good_texts()]
    first = Counter(text[:6] if task.language == "zh" else " ".join(text.lower().split()[:3]) for text in texts)
    assert max(first.values()) <= 3
