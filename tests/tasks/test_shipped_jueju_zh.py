"""What the quatrains that ship promise beside what every task does: the kind that is asked for, and no line twice."""

from __future__ import annotations

import re
from collections import Counter

from inkfire.stats.texts import units
from inkfire.tasks.task import load_task

TASK = load_task("jueju-zh")
GOOD = [(row.query, row.response) for row in TASK.labelled() if row.label == 1]
GOOD += [(pair.query, pair.chosen) for pair in TASK.pairs()]
GOOD += [(text.query, text.response) for text in TASK.good_texts()]


def test_good_texts_have_the_kind_that_is_asked_for() -> None:
    wrong = []
    for query, text in GOOD:
        asked = 5 if re.search("五绝|五言", query) else 7
        if len(units(text.split("\n")[0])) != asked:
            wrong.append(text)
    assert wrong == []


def test_no_line_stands_twice_and_no_two_begin_alike() -> None:
    verses = Counter(verse for _, text in GOOD for verse in text.split("\n"))
    assert {verse: count for verse, count in verses.items() if count > 1} == {}
    assert {start: count for start, count in Counter(text[:2] for _, text in GOOD).items() if count > 1} == {}
