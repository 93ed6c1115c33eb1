"""Damaged texts: each kind is what it says, the same again by seed and text, and nothing breaks on wild texts."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from inkfire.errors import InputError
from inkfire.records import Candidate
from inkfire.stats.texts import units
from inkfire.stress.damage import KINDS, Pool, beside_damaged, clauses, damaged
from inkfire.tasks.task import load_task

TASKS = ["greetings-en", "greetings-zh"]


def good_of(task: str) -> list[Candidate]:
    return [Candidate(row.query, row.response) for row in load_task(task).labelled() if row.label == 1]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("task", TASKS)
def test_it_is_the_same_again_wherever_a_text_stands(task: str, kind: str) -> None:
    good = good_of(task)
    made = beside_damaged(kind, good, seed=1)
    assert len(made) == len(good)
    assert all(text.query == worse.query and text.response != worse.response for text, worse in made)
    assert list(reversed(beside_damaged(kind, good[::-1], seed=1))) == made
    assert beside_damaged(kind, good[:5], pool=good, seed=1) == made[:5]
    assert damaged(kind, good, seed=1) == [worse for _, worse in made] != damaged(kind, good, seed=2)


@pytest.mark.parametrize("task", TASKS)
def test_shuffled_has_the_same_words_or_clauses_in_another_order(task: str) -> None:
    by_clause = 0
    for text, worse in beside_damaged("shuffled", good_of(task)):
        assert sorted(units(text.response)) == sorted(units(worse.response))
        assert units(text.response) != units(worse.response)
        by_clause += sorted(map(_bare, clauses(text.response))) == sorted(map(_bare, clauses(worse.response)))
    assert 0.25 < by_clause / len(good_of(task)) < 0.75


@pytest.mark.parametrize("task", TASKS)
def test_looped_says_one_clause_over_and_over_and_is_as_long(task: str) -> None:
    for text, worse in beside_damaged("looped", good_of(task)):
        parts = [_bare(clause) for clause in clauses(worse.response)]
        assert len(parts) > 2 or len(clauses(text.response)) == 2
        assert len(set(parts[-3:])) == 1
        assert parts[0] == _bare(clauses(text.response)[0])
        longest = max(len(part) for part in parts)
        assert abs(len(worse.response) - len(text.response)) <= 2 * longest + 4


@pytest.mark.parametrize("task", TASKS)
def test_strung_is_of_clauses_or_phrases_of_other_texts_and_as_long(task: str) -> None:
    good = good_of(task)
    favourites, phrased = Pool(good).favourites, 0
    every = " | ".join(" ".join(units(text.response)) for text in good)
    for text, worse in beside_damaged("strung", good):
        parts = [_bare(clause) for clause in clauses(worse.response)]
        phrased += all(part in favourites for part in parts)
        assert len(parts) >= 3
        assert all(" ".join(units(part)) in every for part in parts)
        assert sum(part in text.response for part in parts) < len(parts)
        assert 0.8 * len(text.response) < len(worse.response) < 2.2 * len(text.response) + 80
    assert 0.25 < phrased / len(good) < 0.75


def test_favourite_phrases_are_those_of_many_queries() -> None:
    texts = [Candidate(f"q{i}", f"May the spring wind find you, friend {i}.") for i in range(4)]
    texts += [Candidate("q0", "Bright lamps forever, bright lamps forever.")] * 3  # of one query alone
    assert Pool(texts).favourites[0] == "May the spring wind find"
    assert not any("lamps" in phrase for phrase in Pool(texts).favourites)


@pytest.mark.parametrize("task", TASKS)
def test_cut_breaks_off_within_a_clause(task: str) -> None:
    for text, worse in beside_damaged("cut", good_of(task)):
        assert text.response.startswith(worse.response)
        assert len(text.response) / 3 - 1 <= len(worse.response) < len(text.response)
        assert text.response[len(worse.response)].isalnum()
        assert worse.response[-1].isalnum()


@pytest.mark.parametrize("task", TASKS)
def test_foreign_answers_another_query(task: str) -> None:
    good = good_of(task)
    queries = {text.response: text.query for text in good}
    made = damaged("foreign", good)
    assert all(queries[text.response] != text.query for text in made)
    assert len({text.response for text in made}) > len(made) / 3


@pytest.mark.parametrize("task", TASKS)
def test_swapped_exchanges_neighbours_and_nothing_else(task: str) -> None:
    for text, worse in beside_damaged("swapped", good_of(task)):
        assert sorted(text.response) == sorted(worse.response)
        moved = [a != b for a, b in zip(text.response, worse.response, strict=True)]
        assert 0.1 < sum(moved) / len(moved) < 0.7
        at = 0
        while at < len(moved):
            if moved[at]:
                assert worse.response[at : at + 2] == text.response[at : at + 2][::-1]
                at += 1
            at += 1


@pytest.mark.parametrize(
    ("kind", "response"),
    [
        ("shuffled", "Hello"),
        ("shuffled", "ha ha ha"),
        ("looped", "One clause alone."),
        ("strung", "Two clauses, no more."),
        ("cut", "a b c d e f"),
        ("swapped", "aaaa bb c"),
        *((kind, "") for kind in KINDS if kind != "foreign"),
    ],
)
def test_what_cannot_be_damaged_is_left_out(kind: str, response: str) -> None:
    others = [Candidate(f"q{i}", f"A text, number {i}, of its own.") for i in range(6)]
    assert beside_damaged(kind, [Candidate("q", response)], pool=others) == []


def test_nothing_is_foreign_where_there_is_one_query() -> None:
    texts = [Candidate("q", "One, two, three, four."), Candidate("q", "Five, six, seven, eight.")]
    assert damaged("foreign", texts) == damaged("strung", texts) == []


def test_an_unknown_kind_is_named() -> None:
    with pytest.raises(InputError, match="'eaten'; known: shuffled"):
        damaged("eaten", [Candidate("q", "Text.")])


wild = st.lists(st.tuples(st.sampled_from("abcde"), st.text(max_size=60)), max_size=8)


@example([("a", ""), ("b", ""), ("c", " "), ("d", "0.0:0")], "strung")
@example([("a", "0"), ("b", ""), ("c", ""), ("d", "0.0:0")], "strung")
@given(wild, st.sampled_from(KINDS))
def test_wild_texts(rows: list[tuple[str, str]], kind: str) -> None:
    texts = [Candidate(query, response) for query, response in rows]
    made = beside_damaged(kind, texts)
    assert made == beside_damaged(kind, texts)
    assert all(worse.response.strip() and worse.response != text.response for text, worse in made)


def _bare(clause: str) -> str:
    return clause.strip(' ，。！？；、,.!?;:：…\n"”“)）')
