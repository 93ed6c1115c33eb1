"""``inkfire agree``: files beside each other, raters of one file, rewards beside ratings, votes."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from inkfire.files.jsonl import write_jsonl
from inkfire.stats.intervals import within_cluster_correlation

Cli = Callable[..., tuple[int, dict[str, Any], str]]
Row = dict[str, Any]


@pytest.fixture
def file(tmp_path: Path) -> Callable[..., Path]:
    def write(name: str, rows: Sequence[Row]) -> Path:
        write_jsonl(tmp_path / name, rows)
        return tmp_path / name

    return write


def texts(n: int = 60, **more: Any) -> list[Row]:
    return [{"query": f"a wish {i // 3}", "response": f"text {i}", **more} for i in range(n)]


def with_labels(rows: Sequence[Row], seed: int, wrong: float) -> list[Row]:
    draw = random.Random(seed)
    return [row | {"label": (i % 2) ^ (draw.random() < wrong)} for i, row in enumerate(rows)]


def test_two_files_of_labels(cli: Cli, file: Callable[..., Path]) -> None:
    a = file("a.jsonl", [*with_labels(texts(), 1, 0.0), *texts(1, label=1, query="mine")])
    verdicts = [row | {"probability": 0.2 + 0.6 * row["label"]} for row in with_labels(texts(57), 2, 0.2)]
    b = file("b.jsonl", [*verdicts, *texts(1, label=None, unscored="refused", response="text 58")])
    code, found, err = cli("agree", a, b, "--json", "--show", 2)
    assert (code, err) == (0, "")
    assert {"n": 57, "queries": 19, "level": "nominal", "voices": ["a.jsonl", "b.jsonl"]}.items() <= found.items()
    assert found["only"] == {"a.jsonl": 4, "b.jsonl": 0}
    assert [row["missing"] for row in found["files"]] == [0, 1]
    (pair,) = found["pairs"]
    right = pair["confusion"]["counts"]
    assert found["accuracy"] == pytest.approx((right[0][0] + right[1][1]) / 57)
    assert found["kappa"] == pytest.approx(found["alpha"], abs=0.02)
    for name in ("kappa", "alpha", "accuracy"):
        assert found[f"{name}_ci"][0] < found[name] < found[f"{name}_ci"][1]
    assert [row["higher"] for row in found["disagreements"]] == ["a.jsonl"] * 2 + ["b.jsonl"] * 2
    assert all(row["scores"][0] > row["scores"][1] for row in found["disagreements"])
    assert found["settle"]["question"] == "alpha"


def test_for_people_the_finding_comes_first_and_what_is_left_out_is_said(cli: Cli, file: Callable[..., Path]) -> None:
    a, b = file("a.jsonl", with_labels(texts(), 1, 0.0)), file("b.jsonl", with_labels(texts(30), 2, 0.1))
    code, found, _ = cli("agree", a, b)
    assert code == 0
    assert found["text"].startswith("a.jsonl and b.jsonl agree better than chance: Krippendorff's alpha 0.")
    assert "! Texts that no other rated are left out of the agreement: 30 by a.jsonl alone.\n" in found["text"]
    noise = file("noise.jsonl", with_labels(texts(), 3, 0.5))
    assert "are not shown to agree better than chance" in cli("agree", a, noise)[1]["text"]


def test_slices_and_the_dimensions_of_a_rubric(cli: Cli, file: Callable[..., Path]) -> None:
    draw = random.Random(0)
    rows = [row | {"tags": ["even" if i % 6 < 3 else "odd"]} for i, row in enumerate(texts())]
    first = [row | {"points": {"rhyme": draw.randint(1, 3), "wit": draw.randint(1, 3)}} for row in rows]
    other = [row | {"points": {"rhyme": row["points"]["rhyme"], "wit": draw.randint(1, 3)}} for row in first]
    _, found, _ = cli("agree", file("a.jsonl", first), file("b.jsonl", other), "--json")
    assert found["level"] == "ordinal"
    assert found["dimensions"]["rhyme"]["alpha"] == 1
    assert found["dimensions"]["wit"]["alpha_ci"][0] < 0.2
    assert {name: row["n"] for name, row in found["slices"].items()} == {"even": 30, "odd": 30}


def test_raters_of_one_file_and_their_repeats(cli: Cli, file: Callable[..., Path]) -> None:
    by = {name: with_labels(texts(rater=name, seconds=5), seed, 0.1) for seed, name in enumerate(("ann", "bob", "eve"))}
    again = [row | {"label": 1 - row["label"]} for row in by["ann"][:4]] + by["ann"][4:8]
    path = file("votes.jsonl", [*again, *by["ann"], *by["bob"], *by["eve"]])
    _, found, _ = cli("agree", path, "--json")
    assert found["voices"] == ["ann", "bob", "eve"]
    assert len(found["pairs"]) == 3
    assert found["kappa"] == pytest.approx(sum(row["kappa"] for row in found["pairs"]) / 3)
    ann, bob, _ = found["raters"]
    assert (ann["repeats"], ann["same"], ann["seconds"], bob["repeats"]) == (8, 0.5, 5.0, 0)
    alone = file("alone.jsonl", [*again, *by["ann"]])
    assert "raters said the same of: ann 50 %" in cli("agree", alone)[1]["text"]


def test_files_that_cannot_be_compared_end_with_2(cli: Cli, file: Callable[..., Path]) -> None:
    labels = file("labels.jsonl", texts(6, label=1))
    others = file("others.jsonl", [row | {"response": f"other {i}"} for i, row in enumerate(texts(6, label=1))])
    foreign = file("foreign.jsonl", texts(6, label=1, query="a poem"))
    ratings, votes = file("ratings.jsonl", texts(6, rating=4)), file("votes.jsonl", texts(6, chosen="a", rejected="b"))
    rated_twice = file("once.jsonl", texts(6, rating=4, rater="ann"))
    for given, why in {
        (labels, others): "labels.jsonl and others.jsonl have no text in common (texts are matched by query and text): "
        "2 queries are in both, with other texts; to 'a wish 0' one has 'text 0', the other 'other 0'",
        (labels, foreign): "nor a query: 2 queries like 'a wish 0' in one, 1 like 'a poem' in the other",
        (labels, ratings): "labels.jsonl has labels and ratings.jsonl has ratings; say which ratings are good",
        (labels, votes): "one has votes on pairs, the other single texts",
        (rated_twice,): "has one rater, and none of its texts twice",
        (labels, labels): "a file is named twice",
        (votes, "--reward", "share:a"): "votes on pairs do not rate single texts",
        (ratings, "--reward", "share:a"): "ratings of 2 queries with 3 texts or more; 20 are needed",
        (): "FILES is missing",
    }.items():
        code, found, err = cli("agree", *given, "--json")
        assert (code, why in found.get("error", err)) == (2, True), (given, found, err)
    assert cli("agree", labels, ratings, "--excellent", 3, "--json")[1]["accuracy"] == 1


def test_two_scales_are_no_agreement(cli: Cli, file: Callable[..., Path]) -> None:
    five = file("five.jsonl", [row | {"rating": 1 + i % 5} for i, row in enumerate(texts())])
    unit = file("unit.jsonl", [row | {"score": (1 + i % 5) / 5} for i, row in enumerate(texts())])
    _, found, _ = cli("agree", five, unit, "--json")
    assert found["warnings"] == [
        "five.jsonl rates from 1 to 5 and unit.jsonl from 0.2 to 1: if these are two scales, only the correlation "
        "within the query means something"
    ]
    assert found["pairs"][0]["correlation"] == pytest.approx(1)


def test_votes_say_how_strong_the_writers_are(cli: Cli, file: Callable[..., Path]) -> None:
    draw = random.Random(0)
    rows = []
    for i in range(200):
        won, lost = ("rl", "base") if draw.random() < 0.73 else ("base", "rl")  # odds of e
        writers = {"chosen_source": won, "rejected_source": lost}
        rows.append({"query": f"q{i}", "chosen": f"{won} {i}", "rejected": f"{lost} {i}", "provenance": writers})
    path = file("votes.jsonl", [row | {"rater": name} for row in rows for name in ("ann", "bob")])
    _, found, _ = cli("agree", path, "--json")
    rl = found["strengths"]["rl"]
    assert rl["strength_ci"][0] < 0.5 < rl["strength_ci"][1]
    assert found["accuracy"] == 1  # bob votes as ann does


# ---- rewards -------------------------------------------------------------------------------------------------------


@pytest.fixture
def rated(file: Callable[..., Path]) -> Path:
    """30 queries of 4 texts, rated by how many ! they have, each query on its own level."""
    draw = random.Random(1)
    rows = []
    for query in range(30):
        for text in range(4):
            marks = draw.randint(0, 6)
            response = "ab" * draw.randint(0, 5) + "!" * marks + "." * (12 - marks) + f" {text}"
            rows.append({"query": f"q{query}", "response": response, "rating": marks + 5 * (query % 3)})
    return file("rated.jsonl", rows)


def test_the_reward_to_train_with_ranks_as_the_ratings_do(cli: Cli, rated: Path) -> None:
    code, found, _ = cli("agree", rated, "--reward", "share:a", "--reward", "share:!", "--json")
    assert code == 0
    assert found["train_with"] == "share:!"
    best, other = found["rewards"]
    assert (best["reward"], best["n_texts"], best["n_queries"], best["missing"]) == ("share:!", 120, 30, 0)
    assert best["correlation_ci"][0] > 0.5 > other["correlation_ci"][1]
    same = cli("score", "--reward", "share:!", "--data", rated, "--ratings", rated, "--qualify", 0, "--json")[1]
    assert best["correlation"] == pytest.approx(same["within_query"]["correlation"])
    assert len(best["overrated"]) == len(best["underrated"]) == 3
    assert found["next"]["reward"] == "share:a"
    assert found["next"]["behind_ci"][0] > 0
    assert "kappa" not in found  # one reader


def test_the_recommendation_is_one_sentence_and_the_first(cli: Cli, rated: Path) -> None:
    said = cli("agree", rated, "--reward", "share:!", "--reward", "share:a")[1]["text"].splitlines()
    assert said[0].startswith("Train with share:!: it ranks the texts of a query as the ratings do, correlation 0.")
    assert said[1].startswith("share:a is behind by 1.")
    none = cli("agree", rated, "--reward", "share:x", "--reward", "share:a")[1]["text"].splitlines()
    assert none[0] == (
        "Train with none of them: none of the 2 rewards is shown to rank the texts of a query as the ratings do "
        "(120 texts of 30 queries)."
    )


def test_the_best_of_many_is_not_taken_by_luck(cli: Cli, file: Callable[..., Path]) -> None:
    """Ratings that are noise: of 12 rewards one has an interval above 0, and is not recommended."""
    letters = "abcdefghijkl"
    for seed in range(40):
        draw = random.Random(seed)
        rows = [
            {"query": f"q{i // 4}", "response": "".join(draw.choices(letters, k=20)), "rating": draw.random()}
            for i in range(100)
        ]
        told = [
            within_cluster_correlation(
                [row["response"].count(letter) for row in rows],
                [row["rating"] for row in rows],
                [row["query"] for row in rows],
            )
            for letter in letters
        ]
        if 0 < max(one.low for one in told) < 0.04:  # nearly one in three is above 0
            break
    options = [word for letter in letters for word in ("--reward", f"share:{letter}")]
    _, found, _ = cli("agree", file("noise.jsonl", rows), *options, "--json")
    assert found["rewards"][0]["correlation_ci"][0] > 0
    assert found["train_with"] is None
