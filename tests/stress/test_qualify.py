"""What a signal sees: of scripted signals it is known."""

from collections.abc import Sequence

import pytest

from inkfire.errors import InputError
from inkfire.records import Candidate, Comparison, Preference
from inkfire.stress.damage import KINDS, clauses
from inkfire.stress.qualify import blind, check_rated, qualify, qualify_groups, qualify_pairs, within_query
from inkfire.tasks.task import load_task

GOOD = [Candidate(row.query, row.response) for row in load_task("greetings-en").labelled() if row.label == 1]
OWN = {text.response: text.query for text in GOOD}


def finished(queries: Sequence[str], responses: Sequence[str]) -> list[float | None]:
    return [float(not text[-1].isalnum()) for text in responses]


def loops(queries: Sequence[str], responses: Sequence[str]) -> list[float | None]:
    return [len(set(clauses(text))) / len(clauses(text)) for text in responses]


def own(queries: Sequence[str], responses: Sequence[str]) -> list[float | None]:
    """Knows which query each good text answers, and nothing of texts that it has not met."""
    return [
        None if text not in OWN else float(OWN[text] == query) for query, text in zip(queries, responses, strict=True)
    ]


def test_each_signal_sees_what_it_looks_at() -> None:
    seen = qualify(finished, GOOD)
    assert list(seen) == list(KINDS)
    assert [kind for kind in KINDS if seen[kind]["sees"]] == ["cut"]
    assert seen["cut"]["auc"] > 0.9
    assert seen["cut"]["length_auc"] > 0.9  # and so does length
    assert seen["swapped"]["auc"] == seen["swapped"]["length_auc"] == 0.5
    assert {row["n"] for row in seen.values()} == {40}
    assert blind(seen) == [kind for kind in KINDS if kind != "cut"]
    assert "looped" not in blind(qualify(loops, GOOD))


def test_a_judge_of_pairs_sees_what_it_prefers_whole_texts_by() -> None:
    def likes_whole(pairs: Sequence[Preference]) -> list[Comparison]:
        ends = [[one.rstrip().endswith(tuple("。！!.?？")) for one in (pair.chosen, pair.rejected)] for pair in pairs]
        return [Comparison("tie" if a == b else "a" if a else "b") for a, b in ends]

    found = qualify_pairs(likes_whole, [Candidate(t.query, t.response) for t in GOOD], n=30)
    assert found["cut"]["sees"]
    assert found["cut"]["auc"] > 0.9
    assert (found["swapped"]["auc"], found["swapped"]["sees"]) == (0.5, False)
    assert "swapped" in blind(found)
    nobody = qualify_pairs(lambda pairs: [Comparison(None, unscored="no")] * len(pairs), GOOD, n=5)
    assert (nobody["cut"]["auc"], nobody["cut"]["missing"], nobody["cut"]["sees"]) == (None, 5, False)


def test_texts_without_a_score_are_missing_and_nothing_else() -> None:
    seen = qualify(own, GOOD)
    assert seen["foreign"] | {"auc_ci": 0, "length_auc": 0, "length_auc_ci": 0} == {
        "auc": 1.0, "auc_ci": 0, "length_auc": 0, "length_auc_ci": 0, "n": 40, "missing": 0, "sees": True,
    }  # fmt: skip
    assert (seen["swapped"]["n"], seen["swapped"]["missing"], seen["swapped"]["auc"]) == (0, 40, None)
    assert seen["swapped"]["sees"] is False
    assert blind(seen) == []  # of what could not be measured nothing is said


def test_it_is_the_same_whatever_the_order_and_asks_once_a_text() -> None:
    asked: list[str] = []

    def score(queries: Sequence[str], responses: Sequence[str]) -> list[float | None]:
        asked.extend(responses)
        return [float(len(text)) for text in responses]

    once = qualify(score, GOOD, n=10, seed=3)
    assert len(asked) == 70
    assert qualify(score, GOOD[::-1], n=10, seed=3) == once != qualify(score, GOOD, n=10, seed=4)
    assert once["cut"]["auc"] == once["cut"]["length_auc"]


def test_texts_of_many_queries_come_before_several_of_one() -> None:
    texts = [Candidate("q", f"One, two, three, {i}.") for i in range(30)]
    texts += [Candidate(f"q{i}", f"Four, five, six, {i}.") for i in range(9)]
    asked: list[str] = []

    def score(queries: Sequence[str], responses: Sequence[str]) -> list[float | None]:
        asked.extend(queries[:10])
        return [1.0] * len(queries)

    qualify(score, texts, n=10)
    assert len(set(asked[:10])) == 10


def test_no_damage_can_be_made_of_texts_of_one_query() -> None:
    seen = qualify(finished, [Candidate("q", "H.")])
    assert {row["n"] for row in seen.values()} == {0}
    assert blind(seen) == []


def test_a_signal_that_ranks_as_the_reader_does() -> None:
    queries = [f"q{i}" for i in range(25) for _ in range(4)]
    ratings = [float((7 * i) % 5) for i in range(100)]
    scores: list[float | None] = [rating + 10 * (i // 4) for i, rating in enumerate(ratings)]
    found = within_query(scores, ratings, queries)
    assert (found["correlation"], found["n_texts"], found["n_queries"]) == (pytest.approx(1), 100, 25)
    found = within_query([None, *scores[1:]], ratings, queries)
    assert (found["correlation"], found["n_texts"]) == (pytest.approx(1), 99)
    assert within_query([1.0] * 100, ratings, queries)["correlation"] is None
    against = within_query([-rating for rating in ratings], ratings, queries)
    assert against["correlation"] == pytest.approx(-1)
    assert against["correlation_ci"] == pytest.approx([-1, -1])


def test_ratings_of_few_queries_are_refused() -> None:
    check_rated([f"q{i % 20}" for i in range(60)])
    with pytest.raises(InputError, match="ratings of 19 queries with 3 texts or more; 20 are needed"):
        check_rated([f"q{i % 20}" for i in range(59)])


def test_a_signal_that_looks_at_groups_is_shown_each_text_beside_its_damage() -> None:
    good = [Candidate(f"q{i}", f"Dear friend {i}, all the best, and may your window open wide.") for i in range(12)]
    good += [Candidate("q0", "Another one, of the same query, with a window, and a door.")]
    asked: list[tuple[str, str]] = []

    def score(queries: Sequence[str], responses: Sequence[str]) -> list[float | None]:
        asked.extend(zip(queries, responses, strict=True))
        return [None if "friend 3" in text else float("window" in text) for text in responses]

    found = qualify_groups(score, good, n=12)
    queries = [query for query, _ in asked]
    assert len([query for query, before in zip(queries, ["", *queries], strict=False) if query != before]) == 12
    assert all(queries.count(query) == 1 + len(KINDS) for query in set(queries))
    assert {kind: row["sees"] for kind, row in found.items() if kind in ("shuffled", "cut", "swapped")} == {
        "shuffled": False, "cut": True, "swapped": True,
    }  # fmt: skip
    assert (found["cut"]["n"], found["cut"]["missing"], found["shuffled"]["auc"]) == (11, 1, 0.5)
    assert qualify_groups(score, [], n=12)["cut"]["n"] == 0
