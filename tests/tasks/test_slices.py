"""Which slice a query is in: by its tag, by a word, by a pattern, or in none."""

from __future__ import annotations

from pathlib import Path

import pytest

from inkfire.errors import TaskError
from inkfire.records import Query
from inkfire.tasks.slices import Slice, slice_of
from inkfire.tasks.task import load_task

FEASTS = Slice(description="Festivals", words=("Eid", "New Year", "春节"))
SLICES = {
    "feasts": FEASTS,
    "cars": Slice(description="Cars", pattern=r"\bcars?\b"),
    "rest": Slice(description="By tag"),
}


@pytest.mark.parametrize(
    ("query", "tags", "slice_"),
    [
        ("an EID card", (), "feasts"),
        ("a card for Reid", (), "other"),
        ("New  Year's eve", (), "other"),  # year's is another word
        ("the new year!", (), "feasts"),
        ("祝春节快乐", (), "feasts"),
        ("for a new Car", (), "cars"),
        ("a car for Eid", (), "feasts"),  # the first one
        ("a car for Eid", ("odd", "cars"), "cars"),  # tags win
        ("a card", ("rest",), "rest"),
        ("a card", ("odd",), "other"),
    ],
)
def test_a_tag_decides_then_words_and_patterns(query: str, tags: tuple[str, ...], slice_: str) -> None:
    assert slice_of(Query.of(query, tags), SLICES) == slice_


def test_the_shipped_words_say_what_the_tags_say() -> None:
    for name in ("greetings-zh", "greetings-en"):
        task = load_task(name)
        assert list(task.slices) == ["high-frequency", "general"]
        tagged = [(task.slice_of(query), task.slice_of(Query.of(query.query))) for query in task.queries()]
        assert {ours for ours, _ in tagged} == {"high-frequency", "general"}
        assert [pair for pair in tagged if pair[0] != pair[1]] == []
    assert load_task("greetings-zh").slice_of(Query.of("祝朋友喜提新车")) == "general"


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ('description = "F"\npattern = "("', "no regular expression"),
        ('description = "F"\nwords = ["…"]', "'…' is no word"),
        ('words = ["a"]', "description"),
        ('description = "F"\nword = ["a"]', "did you mean 'words'"),
    ],
)
def test_a_slice_that_is_none_is_named_with_its_line(tiny_task: Path, toml: str, message: str) -> None:
    file = tiny_task / "task.toml"
    text = file.read_text(encoding="utf-8").replace('festival = "Festivals of the year"\n', "")
    file.write_text(text.replace("[slices]", f"[slices.festival]\n{toml}\n\n[slices]"), encoding="utf-8")
    with pytest.raises(TaskError, match=message) as found:
        load_task(tiny_task)
    assert "task.toml:" in str(found.value)
