"""The task of taglines: enough of everything, nothing held out that is used, and good texts that keep the style."""

from __future__ import annotations

from collections import Counter

import pytest

from inkfire.files.formats import read_queries
from inkfire.files.jsonl import read_jsonl
from inkfire.records import Query
from inkfire.rewards.checks import Checks
from inkfire.tasks.task import HELD_OUT, Task, load_task


@pytest.fixture(scope="module")
def task() -> Task:
    return load_task("taglines-en")


def failures(task: Task, texts: list[tuple[str, str]]) -> dict[str, list[str]]:
    checks = Checks.parse(task.checks, folder=task.folder)
    asked = checks.failures([query for query, _ in texts], [text for _, text in texts])
    return {text: failed for (_, text), failed in zip(texts, asked, strict=True) if failed}


def test_there_is_enough_of_everything(task: Task) -> None:
    labels = Counter(row.label for row in task.labelled())
    assert min(labels.values()) >= 60
    assert len(task.queries()) >= 60
    assert len(task.pairs()) >= 60
    assert len(task.good_texts()) >= 100
    assert len(read_queries(task.folder / HELD_OUT)) >= 24


def test_every_flaw_is_there_about_as_often(task: Task) -> None:
    for name in ("labelled", "pairs"):
        flaws = Counter(row["flaw"] for row in read_jsonl(task.data_file(name)) if row.get("label") != 1)
        assert len(flaws) == len(task.flaws)
        assert max(flaws.values()) <= 2 * min(flaws.values())


def test_queries_are_the_tasks_own_and_none_is_held_out(task: Task) -> None:
    own = {query.query for query in task.queries()}
    assert {row.query for row in (*task.labelled(), *task.pairs(), *task.good_texts())} <= own
    held_out = read_queries(task.folder / HELD_OUT)
    assert own.isdisjoint(query.query for query in held_out)
    assert all(task.slice_of(query) in query.tags for query in (*task.queries(), *held_out))
    untagged = [(task.slice_of(Query.of(query.query)), query.tags[0]) for query in held_out]
    assert sum(found == tag for found, tag in untagged) / len(untagged) > 0.8


def test_no_good_text_stands_twice(task: Task) -> None:
    texts = [row.response for row in task.labelled()] + [row.response for row in task.good_texts()]
    texts += [text for pair in task.pairs() for text in (pair.chosen, pair.rejected)]
    assert [text for text, n in Counter(texts).items() if n > 1] == []


def test_good_texts_keep_the_style_and_most_bad_ones_too(task: Task) -> None:
    good = [(row.query, row.response) for row in task.labelled() if row.label == 1]
    good += [(pair.query, pair.chosen) for pair in task.pairs()]
    good += [(text.query, text.response) for text in task.good_texts()]
    assert failures(task, good) == {}
    bad = [(row.query, row.response) for row in task.labelled() if row.label == 0]
    bad += [(pair.query, pair.rejected) for pair in task.pairs()]
    assert len(failures(task, bad)) <= 0.1 * len(bad)


# By hand: what a reader of the house style would send back, and what not.
KEPT = """
The first warm thing in Whitby.|Sit. Stand. That's one.|Mended before the 8.14.|Four in the morning, and there's butter.
North-facing is not a diagnosis.|Lend us the sheets, borrow a Brontë.|It'll rain again. Bring it here.|Yours for £2.50.
Closed Mondays: the cows insist.|The Steinway went up Tuesday. So can yours.|Ask us who you're knitting.|No lilies. Ever.
Open at 4.|Soup; bread; home.|Pies by the front row.|The hens' own soap.|80% of it is rain.|Where the boats turn round.
He meets every train.|Grandad first, then the baby, then the scones.|Half past nine, or when it's gone.
""".strip().replace("\n", "|").split("|")
SENT_BACK = """
Best rolls in Whitby!|Need a button?|Rolls.|Rolls for you|Your morning starts here.|Where bread meets butter.|Pies #1.
A journey in every jar.|The one with the rolls that are warm when you come in.|Bread (fresh) for all.|Unleash the loaf today.
“The first warm thing.”|The first warm thing 🥐.|Wait for it…|Warm rolls…and butter.|Quality you can taste.|Hot rolls..
It's not a roll, it's a hug.|新鲜面包 every day.|The first warm thing.\\nIn Whitby.|- The first warm thing.|Redefine breakfast now.
More than just a bakery.|Rolls — and butter.|Solutions for a hungry harbour.|World-class buttons from Leeds.
""".strip().replace("\n", "|").replace("\\|", "|").replace("\\n", "\n").split("|")


@pytest.mark.parametrize("text", KEPT)
def test_the_style_lets_pass(task: Task, text: str) -> None:
    assert failures(task, [("", text)]) == {}


@pytest.mark.parametrize("text", SENT_BACK)
def test_the_style_sends_back(task: Task, text: str) -> None:
    assert text in failures(task, [("", text)])
