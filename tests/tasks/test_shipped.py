"""Every task that ships: enough of everything, in form, varied, and not told apart by length or wording.

One bound for all of them, the strictest. The greetings tasks came first and hold out no queries: what is asked of how a
task is split, and of how its texts begin and end, is asked of the others. What one task alone promises stands in a file
of its own.
"""

from __future__ import annotations

from collections import Counter

import pytest

from inkfire.files.formats import read_queries
from inkfire.files.jsonl import read_jsonl
from inkfire.rewards.checks import Checks
from inkfire.stats.audit import NEAR, audit
from inkfire.stats.slop import Slop
from inkfire.stats.texts import near_duplicates, repeats, units
from inkfire.tasks.check import check_task
from inkfire.tasks.task import HELD_OUT, Task, load_task, task_names

Texts = list[tuple[str, str]]
HELD = [name for name in task_names() if not name.startswith("greetings-")]


@pytest.fixture(scope="module", params=task_names())
def task(request: pytest.FixtureRequest) -> Task:
    return load_task(request.param)


@pytest.fixture(scope="module", params=HELD)
def split(request: pytest.FixtureRequest) -> Task:
    """A task that holds queries out."""
    return load_task(request.param)


def good_of(task: Task) -> Texts:
    texts = [(row.query, row.response) for row in task.labelled() if row.label == 1]
    texts += [(pair.query, pair.chosen) for pair in task.pairs()]
    return texts + [(text.query, text.response) for text in task.good_texts()]


def bad_of(task: Task) -> Texts:
    texts = [(row.query, row.response) for row in task.labelled() if row.label == 0]
    return texts + [(pair.query, pair.rejected) for pair in task.pairs()]


def failures(task: Task, texts: Texts) -> dict[str, list[str]]:
    found = Checks.parse(task.checks, folder=task.folder).failures(*zip(*texts, strict=True))
    return {text: names for (_, text), names in zip(texts, found, strict=True) if names}


def test_there_is_enough_of_everything(task: Task) -> None:
    labels = Counter(row.label for row in task.labelled())
    assert labels[0] == labels[1] >= 60
    assert len(task.queries()) >= 60
    assert len(task.pairs()) >= 60
    assert len(task.good_texts()) >= 100


def test_the_folder_has_no_error_and_no_warning(task: Task) -> None:
    found = check_task(task.name)
    assert [one for one in found["findings"] if one["level"] != "note"] == []
    assert all(command["ready"] for command in found["commands"].values())
    assert sum(found["slices"].values()) == found["data"]["queries"]
    assert "other" not in found["slices"]
    assert {tag for query in task.queries() for tag in query.tags} >= set(task.slices)


def test_neither_length_nor_wording_gives_the_label_away(task: Task) -> None:
    for found in (audit(labelled=task.labelled()), audit(pairs=task.pairs())):
        assert 0.45 <= found["length_auc"] <= 0.55
        assert found["ngram_auc"] <= 0.85
        assert (found["duplicates"], found["contradictions"]) == (0, 0)


def test_no_two_texts_are_alike(task: Task) -> None:
    good, bad = ([text for _, text in texts] for texts in (good_of(task), bad_of(task)))
    assert near_duplicates([*good, *bad], NEAR) == []
    assert near_duplicates(good, 0.5) == []


def test_good_texts_pass_the_tasks_own_checks(task: Task) -> None:
    assert failures(task, good_of(task)) == {}


def test_good_texts_have_hardly_a_stock_phrase(task: Task) -> None:
    slop = Slop(task.slop())
    assert sum(bool(slop.found(text)) for _, text in good_of(task)) < 0.05 * len(good_of(task))


def test_damaged_texts_fail_the_checks(task: Task) -> None:
    foreign = "and then I told him that it is the end of the story" if task.language == "zh" else "中文"
    for query, text in good_of(task)[:20]:
        half = text[: len(text) // 2].rstrip(' .,!?。，！？”"*」…') + ("，" if task.language == "zh" else ",")
        damaged = [half, " ".join([text] * 3), foreign * 20 + "."]
        assert set(failures(task, [(query, one) for one in damaged])) == set(damaged)


def test_nearly_all_bad_texts_pass_the_checks_too(split: Task) -> None:
    bad = bad_of(split)
    assert len(failures(split, bad)) < 0.05 * len(bad)


def test_held_out_queries_are_held_out(split: Task) -> None:
    known = {query.query for query in split.queries()}
    held = read_queries(split.folder / HELD_OUT)
    assert len(held) >= 24
    assert {query for query, _ in good_of(split) + bad_of(split)} <= known
    assert repeats({query.query for query in held}, known) == set()
    assert {tag for query in held for tag in query.tags} >= set(split.slices)


def test_texts_that_judges_are_measured_on_share_no_query_with_those_that_are_learnt(split: Task) -> None:
    learnt = {text.query for text in split.good_texts()} | {pair.query for pair in split.pairs()}
    assert learnt.isdisjoint(row.query for row in split.labelled())


def test_a_query_is_in_the_slice_of_its_tag(split: Task) -> None:
    queries = [*split.queries(), *read_queries(split.folder / HELD_OUT)]
    assert all(split.slice_of(query) in query.tags for query in queries)


def test_no_script_is_mixed_in(split: Task) -> None:
    assert audit(labelled=split.labelled(), pairs=split.pairs())["mixed_share"] == 0


@pytest.mark.parametrize("data", ["labelled", "pairs"])
def test_every_flaw_is_there_about_as_often(split: Task, data: str) -> None:
    flaws = Counter(row["flaw"] for row in read_jsonl(split.data_file(data)) if row.get("label") != 1)
    often = [flaw for flaw, count in flaws.items() if count >= 6]
    assert len(often) == len(split.flaws)
    assert max(flaws.values()) <= 2 * min(flaws[flaw] for flaw in often)


def test_good_texts_begin_and_end_in_many_ways(split: Task) -> None:
    good = [text for _, text in good_of(split)]
    assert max(Counter(tuple(units(text)[:3]) for text in good).values()) <= 2
    assert max(Counter(units(text)[0] for text in good).values()) <= 0.1 * len(good)
    assert sum(text[0] in '"“' for text in good) <= 0.2 * len(good)
    assert max(Counter(tuple(units(text)[-4:]) for text in good).values()) == 1
