"""The story openings that ship: as many as promised, in form, varied, and not told apart by length or wording."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from inkfire.files.formats import read_queries
from inkfire.rewards.checks import Checks
from inkfire.stats.audit import NEAR, audit
from inkfire.stats.slop import Slop
from inkfire.stats.texts import near_duplicates, repeats, units
from inkfire.tasks.check import check_task
from inkfire.tasks.task import HELD_OUT, Task, load_task

Texts = list[tuple[str, str]]
NAMES = ("story-opening-en",)


@pytest.fixture(scope="module", params=NAMES)
def task(request: pytest.FixtureRequest) -> Task:
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
    assert len(task.queries()) >= 60
    assert Counter(row.label for row in task.labelled()) == {1: 60, 0: 60}
    assert len(task.pairs()) >= 60
    assert len(task.good_texts()) >= 100
    assert len(read_queries(task.folder / HELD_OUT)) >= 24


def test_held_out_queries_are_held_out(task: Task) -> None:
    known = {query.query for query in task.queries()}
    held = {query.query for query in read_queries(task.folder / HELD_OUT)}
    assert {query for query, _ in good_of(task) + bad_of(task)} <= known
    assert repeats(held, known) == set()
    assert {tag for query in read_queries(task.folder / HELD_OUT) for tag in query.tags} == set(task.slices)


def test_texts_that_judges_are_measured_on_share_no_query_with_those_that_are_learnt(task: Task) -> None:
    learnt = {text.query for text in task.good_texts()} | {pair.query for pair in task.pairs()}
    assert learnt.isdisjoint(row.query for row in task.labelled())


def test_good_texts_pass_the_tasks_own_checks(task: Task) -> None:
    assert failures(task, good_of(task)) == {}


def test_nearly_all_bad_texts_pass_them_too(task: Task) -> None:
    bad = bad_of(task)
    assert len(failures(task, bad)) < 0.05 * len(bad)


def test_damaged_texts_fail_them(task: Task) -> None:
    other = "中文" if task.language == "en" else "and then I told him that it is the end of the story"
    for query, text in good_of(task)[:20]:
        half = text[: len(text) // 2].rstrip(' .!?。！？”"*」…') + ("," if task.language == "en" else "，")
        damaged = [half, f"{text} {text}", text + "\n\n" + text[:40], other * 20 + "."]
        assert set(failures(task, [(query, one) for one in damaged])) == set(damaged)


@pytest.mark.parametrize("data", ["labelled", "pairs"])
def test_neither_length_nor_wording_gives_the_label_away(task: Task, data: str) -> None:
    found = audit(**{data: getattr(task, data)()})
    assert 0.45 <= found["length_auc"] <= 0.55
    assert found["ngram_auc"] <= 0.85
    assert (found["near_duplicates"], found["contradictions"], found["mixed_share"]) == (0, 0, 0)


def test_no_two_texts_are_alike_and_good_ones_begin_in_many_ways(task: Task) -> None:
    good = [text for _, text in good_of(task)]
    assert near_duplicates([*good, *(text for _, text in bad_of(task))], NEAR) == []
    assert max(Counter(tuple(units(text)[:3]) for text in good).values()) <= 2
    assert max(Counter(units(text)[0] for text in good).values()) <= 0.1 * len(good)
    assert sum(text[0] in '"“' for text in good) <= 0.2 * len(good)
    assert max(Counter(tuple(units(text)[-4:]) for text in good).values()) == 1


def test_good_texts_have_hardly_a_stock_phrase(task: Task) -> None:
    slop = Slop(task.slop())
    assert sum(bool(slop.found(text)) for _, text in good_of(task)) < 0.05 * len(good_of(task))


@pytest.mark.parametrize("data", ["labelled", "pairs"])
def test_every_flaw_is_there_about_as_often(task: Task, data: str) -> None:
    rows: list[dict[str, Any]] = list(map(json.loads, task.data_file(data).read_text(encoding="utf-8").splitlines()))
    flaws = Counter(row["flaw"] for row in rows if row.get("label") != 1)
    assert set(flaws) == {"premise", "summary", "vague", "hook", "stock", "purple", "preach", "slip"}
    assert min(flaws.values()) >= 7
    assert len(task.flaws) == len(flaws)


def test_the_folder_has_no_error_and_no_warning(task: Task) -> None:
    found = check_task(task.name)
    assert [one for one in found["findings"] if one["level"] != "note"] == []
    assert all(command["ready"] for command in found["commands"].values())
