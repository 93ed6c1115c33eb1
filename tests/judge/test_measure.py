"""Metrics of a judge, and when it must not be a reward."""

import dataclasses
import random
from collections.abc import Callable
from typing import Any, Literal

import pytest

from inkfire.judge.measure import measure, measure_no_overlap, measure_twins, why_doubted, why_refused
from inkfire.records import Labelled, Verdict


def rows(*labels: int) -> list[Labelled]:
    return [Labelled(f"q{number}", "x" * (10 + number), 1 if label else 0) for number, label in enumerate(labels)]


def said(*probabilities: float | None) -> list[Verdict]:
    return [
        Verdict(None, unscored="refused") if p is None else Verdict(1 if p >= 0.5 else 0, probability=p)
        for p in probabilities
    ]


def test_by_hand() -> None:
    found = measure(rows(1, 1, 1, 0, 0, 0, 0, 1), said(0.9, 0.8, 0.2, 0.7, 0.1, 0.3, 0.2, None))
    assert (found["n"], found["scored"], found["unscored"]) == (8, 7, 1)
    assert found["accuracy"] == pytest.approx(5 / 7)
    assert found["precision"] == pytest.approx(2 / 3)
    assert found["recall"] == pytest.approx(2 / 3)
    assert found["f1"] == pytest.approx(2 / 3)
    assert found["balanced_accuracy"] == pytest.approx((2 / 3 + 3 / 4) / 2)
    chance = (3 * 3 + 4 * 4) / 49
    assert found["kappa"] == pytest.approx((5 / 7 - chance) / (1 - chance))
    assert found["auc"] == pytest.approx(9.5 / 12)
    assert found["says_good"] == pytest.approx(3 / 7)


def test_intervals_are_seeded_and_hold_the_estimate() -> None:
    labels, verdicts = rows(*[1, 0] * 30), said(*[0.9, 0.2, 0.4, 0.6, 0.8, 0.1] * 10)
    found = measure(labels, verdicts, seed=3)
    assert found == measure(labels, verdicts, seed=3)
    for name in ("accuracy", "balanced_accuracy", "precision", "recall", "f1", "kappa", "auc"):
        low, high = found[f"{name}_ci"]
        assert low <= found[name] <= high
        assert low < high


def test_texts_of_one_query_count_once() -> None:
    labels = [Labelled(f"q{number % 4}", "x", 1 if number % 2 else 0) for number in range(80)]
    verdicts = said(*[0.9 if number % 4 < 3 else 0.1 for number in range(80)])
    alone = [Labelled(f"q{number}", "x", row.label) for number, row in enumerate(labels)]
    wide, narrow = (measure(texts, verdicts)["accuracy_ci"] for texts in (labels, alone))
    assert wide[1] - wide[0] > 2 * (narrow[1] - narrow[0])


def test_one_class_has_no_auc_and_nothing_scored_no_metrics() -> None:
    found = measure(rows(1, 1, 1), said(0.9, 0.9, 0.1))
    assert found["auc"] is None
    assert found["accuracy"] == pytest.approx(2 / 3)
    assert measure(rows(1, 0), said(None, None)) == {"n": 2, "scored": 0, "unscored": 2}


@pytest.mark.parametrize(
    ("measured", "why"),
    [
        (None, "never measured"),
        ({"auc": None}, "never measured"),
        ({"scored": 80, "auc": 0.43, "auc_ci": [0.3, 0.55]}, "no better than a coin"),
        ({"scored": 80, "auc": 0.5, "auc_ci": [0.5, 0.5]}, "no better than a coin"),
        ({"scored": 20, "auc": 0.6, "auc_ci": [0.45, 0.75]}, "reaches 0.5"),
    ],
)
def test_a_judge_that_may_be_a_coin_is_refused(measured: dict[str, object] | None, why: str) -> None:
    assert why in str(why_refused(measured))


def test_a_judge_that_ranks_is_not_refused() -> None:
    assert why_refused({"scored": 80, "auc": 0.7, "auc_ci": [0.58, 0.8]}) is None


def grouped(scores: Callable[[int, int], float], queries: int) -> dict[str, Any]:
    """A judge measured on a good and a bad text of each of so many queries, and on a text of one label of sixty more.

    ``scores`` of a query's number and a label.
    """
    texts = [Labelled(f"q{n}", f"{label}", label) for n in range(queries) for label in LABELS]
    texts += [Labelled(f"alone{n}", "x", LABELS[n % 2]) for n in range(60)]
    said = [scores(n // 2, text.label) for n, text in enumerate(texts[: 2 * queries])]
    said += [0.9 if text.label else 0.1 for text in texts[2 * queries :]]
    return measure(texts, [Verdict(1 if p >= 0.5 else 0, probability=p) for p in said])


def test_a_judge_that_only_knows_the_query_is_refused() -> None:
    """Its pooled AUC is far from chance, and GRPO would learn nothing from it."""
    for queries in (5, 29, 40):
        found = grouped(lambda n, label: n % 7 / 10, queries)
        assert found["auc_ci"][0] > 0.5
        assert (found["auc_within_query"], found["ties_within_query"], found["n_within_query"]) == (0.5, 1, queries)
        assert "sees the query and not the text" in str(why_refused(found))
    # four ties may be chance, for a judge that gives labels only
    assert why_refused(grouped(lambda n, label: 0.5, 4)) is None


def test_enough_queries_with_both_labels_decide_and_not_the_pooled_texts() -> None:
    coin = grouped(lambda n, label: 0.5 + (0.1 if (n + label) % 2 else -0.1), 40)
    assert coin["auc_ci"][0] > 0.5
    assert str(why_refused(coin)).startswith("within the 40 queries that have texts of both labels its AUC is 0.50")
    # each query shifts the scores far more than the text does
    reads = grouped(lambda n, label: n / 50 + label / 100, 40)
    assert why_refused(reads) is None


def test_too_few_of_them_leave_it_to_the_pooled_texts_unless_they_are_wrong() -> None:
    assert why_refused(grouped(lambda n, label: 0.6 if (n + label) % 2 else 0.4, 20)) is None
    wrong = why_refused(grouped(lambda n, label: 0.4 if label else 0.6, 12))
    assert str(wrong).startswith("within the 12 queries")
    texts = rows(*[1, 0] * 4)
    few = why_refused(measure(texts, said(*[0.6, 0.4, 0.4, 0.6] * 2)))
    assert few is not None
    assert "on 8 labelled texts of only 8 queries, pooled over queries, since no query has texts of both" in few
    assert "only 1 query has texts" in str(why_refused(grouped(lambda n, label: 0.5, 1) | {"auc": 0.4}))


LABELS: tuple[Literal[0, 1], ...] = (1, 0)
LENGTH = {"auc": 0.87, "auc_ci": [0.84, 0.9], "length_auc": 0.92, "length_auc_ci": [0.9, 0.95], "n_length_matched": 100}


@pytest.mark.parametrize(
    ("matched", "why"),
    [
        ({"auc_length_matched": 0.54, "auc_length_matched_ci": [0.45, 0.62]}, "on the 100 texts of like length"),
        ({"auc_length_matched": None, "auc_length_matched_ci": None}, "too few texts of like length"),
    ],
)
def test_a_judge_that_may_measure_only_length_is_doubted(matched: dict[str, object], why: str) -> None:
    doubt = str(why_doubted(LENGTH | matched))
    assert why in doubt
    assert "length alone has an AUC of 0.92" in doubt
    assert "AUC of 0.08" in str(why_doubted(LENGTH | matched | {"length_auc": 0.08, "length_auc_ci": [0.05, 0.1]}))


def test_a_judge_that_ranks_texts_of_like_length_is_not_doubted() -> None:
    shown = LENGTH | {"auc_length_matched": 0.7, "auc_length_matched_ci": [0.6, 0.8]}
    assert why_doubted(shown) is None
    unshown = shown | {"auc_length_matched_ci": [0.4, 0.8]}
    assert why_doubted(unshown | {"length_auc_ci": [0.4, 0.6]}) is None  # length is no shortcut there
    assert why_doubted(unshown | {"auc_ci": [0.4, 0.6]}) is None  # refused anyway


def test_a_judge_that_may_know_no_more_than_its_examples_labels_is_doubted() -> None:
    shown = LENGTH | {"auc_length_matched": 0.7, "auc_length_matched_ci": [0.6, 0.8], "examples_auc": 0.86}
    assert why_doubted(shown | {"auc_minus_examples_auc_ci": [0.01, 0.05]}) is None
    assert why_doubted(shown | {"auc_minus_examples_auc_ci": None}) is None
    less = shown | {"auc_minus_examples_auc_ci": [-0.02, 0.04]}
    assert "an AUC of 0.86 by themselves, and its own 0.87 is not shown to be more" in str(why_doubted(less))
    both = str(why_doubted(less | {"auc_length_matched_ci": [0.4, 0.8]}))
    assert "little but length" in both
    assert "by themselves" in both


def test_the_labels_of_the_examples_are_a_twin_on_the_scored_texts() -> None:
    labelled = [Labelled(f"q{number}", "alike", number % 2) for number in range(40)]
    verdicts = said(*[0.9 if row.label else 0.2 for row in labelled[:39]], None)
    shares = [0.75 if row.label else 0.25 for row in labelled]
    shares[0], shares[39] = 1.0, 0.0  # one bad text looks good; the last is unscored and does not count
    found = measure_twins(labelled, verdicts, good_shares=shares)
    assert (found["n_length_matched"], found["examples_auc"]) == (38, pytest.approx(19 / 20))
    assert found["examples_auc_length_matched"] in (1.0, pytest.approx(18 / 19))
    assert found["examples_auc_ci"][0] < found["examples_auc"] <= found["examples_auc_ci"][1]
    assert found["auc_minus_examples_auc"] == pytest.approx(1 / 20)
    assert found["auc_minus_examples_auc_ci"][0] == 0.0
    assert "examples_auc" not in measure_twins(labelled, verdicts)


def test_one_class_or_nothing_scored_has_no_twin_of_examples() -> None:
    for labelled, verdicts in ((rows(1, 1), said(0.9, 0.8)), (rows(1, 0), said(None, None))):
        found = measure_twins(labelled, verdicts, good_shares=[0.5, 0.25])
        assert (found["examples_auc"], found["auc_minus_examples_auc"]) == (None, None)


def test_within_a_query_only_its_own_texts_are_compared() -> None:
    """Each query shifts the scores: across queries the judge looks poor, within them it is right thrice in four."""
    labelled, verdicts = [], []
    for number, (good, bad) in enumerate([(0.2, 0.1), (0.9, 0.8), (0.5, 0.4), (0.6, 0.7)]):
        labelled += [Labelled(f"q{number}", "x", 1), Labelled(f"q{number}", "x", 0)]
        verdicts += said(good, bad)
    found = measure(labelled, verdicts)
    assert found["auc_within_query"] == pytest.approx(0.75)
    low, high = found["auc_within_query_ci"]
    assert low < 0.75 < high
    assert measure(rows(1, 0), said(0.9, 0.1))["auc_within_query"] is None


def by_length(n: int, seed: int = 0) -> list[Labelled]:
    """Good texts that are mostly longer, one query each."""
    rng = random.Random(seed)
    sizes = [rng.randint(20, 60) if number % 2 else rng.randint(10, 50) for number in range(n)]
    return [Labelled(f"q{number}", "x" * size, 1 if number % 2 else 0) for number, size in enumerate(sizes)]


def test_a_judge_that_only_counts_characters_is_shown_up_by_the_matched_slice() -> None:
    texts = by_length(600)
    verdicts = said(*[len(row.response) / 100 for row in texts])
    found = measure(texts, verdicts) | measure_twins(texts, verdicts)
    assert found["length_auc"] == found["auc"] > 0.6
    assert found["auc_length_matched"] == found["length_auc_length_matched"]
    low, high = found["auc_length_matched_ci"]
    assert low < 0.5 < high
    assert 200 < found["n_length_matched"] < 600


def test_a_judge_that_reads_keeps_its_worth_where_length_says_nothing() -> None:
    texts = by_length(300)
    found = measure_twins(texts, said(*[0.9 if row.label else 0.1 for row in texts]))
    assert found["auc_length_matched"] == found["accuracy_length_matched"] == 1.0
    low, high = found["balanced_accuracy_length_matched_ci"]
    assert 0.9 < low < high == 1


def test_the_ngram_twin_sees_words_that_give_the_label_away() -> None:
    texts = [Labelled(f"q{n}", f"{'gold' if n % 2 else 'lead'} {n % 7}", 1 if n % 2 else 0) for n in range(40)]
    found = measure_twins(texts, said(*[0.5] * 40))
    assert found["ngram_auc"] == found["ngram_auc_length_matched"] == 1.0
    assert found["auc_length_matched"] == found["length_auc_length_matched"] == 0.5


@pytest.mark.parametrize("labels", [(1, 1, 1), (), (1, 0)])
def test_twins_that_cannot_be_computed_are_none(labels: tuple[int, ...]) -> None:
    found = measure_twins(rows(*labels), said(*[0.9] * len(labels)))
    assert found["ngram_auc"] is found["ngram_auc_length_matched"] is None
    assert found["n_length_matched"] in (0, 2)


def test_the_twins_are_classifiers_too_cross_validated_by_query() -> None:
    texts = [Labelled(f"q{n}", f"{'gold' if n % 2 else 'lead'} {n % 7}", 1 if n % 2 else 0) for n in range(40)]
    found = measure_twins(texts, said(*[0.5] * 40))
    assert [found[f"ngram_{name}"] for name in ("accuracy", "precision", "recall", "f1")] == [1.0] * 4
    assert found["length_accuracy"] < 0.8  # lengths do not tell
    low, high = found["length_f1_ci"]
    assert low <= found["length_f1"] <= high
    assert measure_twins(rows(1, 1), said(0.9, 0.9))["ngram_accuracy"] is None


def test_what_a_judge_may_have_seen_is_left_out_beside() -> None:
    texts = by_length(80)
    texts = [dataclasses.replace(row, response=f"{number} {row.response}") for number, row in enumerate(texts)]
    known = [f"  {row.response.upper()}" for row in texts[:20]]
    # Right on the texts that are known, and wrong on all others.
    verdicts = said(*[float(row.label if number < 20 else 1 - row.label) for number, row in enumerate(texts)])
    found = measure_no_overlap(texts, verdicts, known)
    assert (found["n_overlap"], found["n_no_overlap"]) == (20, 60)
    assert measure(texts, verdicts)["accuracy"] == 0.25
    assert (found["accuracy_no_overlap"], found["f1_no_overlap"]) == (0.0, 0.0)
    assert found["length_auc_no_overlap"] > 0.5
    assert {"precision_no_overlap_ci", "ngram_recall_no_overlap", "auc_no_overlap_ci"} <= found.keys()
    everything = measure_no_overlap(texts, verdicts, [row.response for row in texts])
    assert (everything["n_no_overlap"], everything["accuracy_no_overlap"]) == (0, None)
