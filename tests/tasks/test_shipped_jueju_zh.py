"""The quatrains that ship: as many as promised, in form, and not told apart by length or wording."""

from __future__ import annotations

import json
import re
from collections import Counter

import pytest

from inkfire.files.formats import read_queries
from inkfire.rewards.checks import Checks
from inkfire.stats.audit import audit
from inkfire.stats.texts import near_duplicates, repeats, units
from inkfire.tasks.check import check_task
from inkfire.tasks.task import HELD_OUT, load_task

TASK = load_task("jueju-zh")
GOOD, LABELLED, PAIRS = TASK.good_texts(), TASK.labelled(), TASK.pairs()
CHOSEN = [*GOOD, *(row for row in LABELLED if row.label == 1)]
GOOD_TEXTS = [(row.query, row.response) for row in CHOSEN] + [(pair.query, pair.chosen) for pair in PAIRS]
BAD_TEXTS = [(row.query, row.response) for row in LABELLED if row.label == 0]
BAD_TEXTS += [(pair.query, pair.rejected) for pair in PAIRS]


def failures(texts: list[tuple[str, str]]) -> list[list[str]]:
    queries, responses = zip(*texts, strict=True)
    return Checks.parse(TASK.checks, folder=TASK.folder).failures(queries, responses)


def test_there_is_enough_of_everything() -> None:
    assert len(TASK.queries()) >= 60
    assert Counter(row.label for row in LABELLED) == {1: 60, 0: 60}
    assert len(PAIRS) >= 60
    assert len(GOOD) >= 100
    assert len(read_queries(TASK.folder / HELD_OUT)) >= 24


def test_held_out_queries_are_held_out() -> None:
    held = {query.query for query in read_queries(TASK.folder / HELD_OUT)}
    known = {query.query for query in TASK.queries()}
    assert {query for query, _ in GOOD_TEXTS + BAD_TEXTS} <= known
    assert repeats(held, known) == set()


def test_good_texts_pass_the_tasks_own_checks() -> None:
    found = failures(GOOD_TEXTS)
    assert {text: names for (_, text), names in zip(GOOD_TEXTS, found, strict=True) if names} == {}


def test_most_bad_texts_pass_them_too() -> None:
    failed = sum(bool(names) for names in failures(BAD_TEXTS))
    assert failed / len(BAD_TEXTS) < 0.1


def test_good_texts_have_the_kind_that_is_asked_for() -> None:
    wrong = []
    for query, text in GOOD_TEXTS:
        asked = 5 if re.search("五绝|五言", query) else 7
        if len(units(text.split("\n")[0])) != asked:
            wrong.append(text)
    assert wrong == []


@pytest.mark.parametrize("data", [{"labelled": LABELLED}, {"pairs": PAIRS}], ids=["labelled", "pairs"])
def test_neither_length_nor_wording_gives_the_label_away(data: dict[str, list[object]]) -> None:
    found = audit(**data)  # type: ignore[arg-type]
    assert 0.45 <= found["length_auc"] <= 0.55
    assert found["ngram_auc"] <= 0.85
    assert (found["near_duplicates"], found["contradictions"], found["mixed_share"]) == (0, 0, 0)


def test_no_two_good_texts_are_alike() -> None:
    texts = [text for _, text in GOOD_TEXTS]
    assert near_duplicates(texts, 0.5) == []
    verses = Counter(verse for text in texts for verse in text.split("\n"))
    assert {verse: count for verse, count in verses.items() if count > 1} == {}
    assert {start: count for start, count in Counter(text[:2] for text in texts).items() if count > 1} == {}


@pytest.mark.parametrize("name", ["labelled", "pairs"])
def test_every_bad_text_has_a_flaw_that_is_named(name: str) -> None:
    rows = [json.loads(line) for line in TASK.data_file(name).read_text(encoding="utf-8").splitlines()]
    flaws = Counter(row["flaw"] for row in rows if row.get("label") != 1)
    kinds = {"off_topic", "hollow", "stock", "flat", "slogan", "register", "illogical", "forced_rhyme"}
    assert set(flaws) == kinds | {"form"}
    assert min(flaws[kind] for kind in kinds) >= 6


def test_the_folder_has_no_error_and_no_warning() -> None:
    found = check_task("jueju-zh")
    assert [one for one in found["findings"] if one["level"] != "note"] == []
    assert all(command["ready"] for command in found["commands"].values())
