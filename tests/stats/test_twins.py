"""The length and n-gram twins: by hand on small data, measured on the release."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkfire.errors import DataError
from inkfire.files.formats import read_labelled, read_pairs, split_by_query
from inkfire.records import Labelled, Preference
from inkfire.stats.intervals import auc
from inkfire.stats.twins import (
    MATCH_RATIO,
    NgramPairModel,
    length_auc,
    length_best_accuracy,
    length_matched,
    ngram_cv_scores,
    pair_slices,
)

PAIRS = [Preference(f"q{i}", f"星辰大海{i}" * 2, f"万事如意{i}") for i in range(20)]
LABELLED = [Labelled(p.query, text, label) for p in PAIRS for text, label in ((p.chosen, 1), (p.rejected, 0))]  # type: ignore[arg-type]


def test_the_model_prefers_what_was_chosen() -> None:
    model = NgramPairModel().fit(PAIRS)
    good, bad = model.score(["x", "x"], ["星辰", "如意"])
    assert good > 0 > bad
    assert model.score([], []) == []
    assert model.score(["x"], [""]) == [0]


def test_a_repeated_text_scores_no_higher() -> None:
    model = NgramPairModel().fit(PAIRS)
    once, often = model.score(["x", "x"], ["星辰大海", "星辰大海" * 5])
    assert often == pytest.approx(once, rel=0.2)


def test_save_and_load(tmp_path: Path) -> None:
    model = NgramPairModel().fit(PAIRS)
    model.save(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["ngram.json", "ngram.npz"]
    texts = ["星辰大海", "万事如意", "别的", ""]
    assert NgramPairModel.load(tmp_path).score(texts, texts) == pytest.approx(model.score(texts, texts), abs=1e-12)
    NgramPairModel.load(tmp_path).save(tmp_path / "again")
    assert (tmp_path / "again" / "ngram.json").read_bytes() == (tmp_path / "ngram.json").read_bytes()


def test_damaged_models_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is this a linear reward model"):
        NgramPairModel.load(tmp_path)
    NgramPairModel().fit(PAIRS).save(tmp_path)
    (tmp_path / "ngram.json").write_text('{"ngrams": ["a"]}')
    with pytest.raises(DataError, match="differ in length"):
        NgramPairModel.load(tmp_path)
    (tmp_path / "ngram.npz").write_bytes(b"junk")
    with pytest.raises(DataError, match="damaged"):
        NgramPairModel.load(tmp_path)
    # A pickle inside an npz must not be run.
    np.savez(tmp_path / "ngram.npz", idf=np.array([print], dtype=object), weights=np.zeros(1))
    with pytest.raises(DataError, match="damaged"):
        NgramPairModel.load(tmp_path)


def test_too_little_to_learn_from() -> None:
    with pytest.raises(DataError, match="too few"):
        NgramPairModel().fit(PAIRS[:1])
    with pytest.raises(DataError, match="empty"):
        NgramPairModel().fit([Preference("q", "", "")] * 2)
    with pytest.raises(DataError, match="two different queries"):
        NgramPairModel.cross_validate([Preference("q", "a", "b")] * 4)


def test_pair_slices_by_hand() -> None:
    pairs = [
        Preference("a", "x" * 10, "y" * 5),  # right, longer
        Preference("b", "x" * 10, "y" * 10),  # right, matched
        Preference("c", "x" * 8, "y" * 10),  # wrong (a tie), matched, shorter
        Preference("d", "x" * 4, "y" * 10),  # right, shorter
        Preference("e", "x" * 9, "y" * 1),  # missing
    ]
    slices = pair_slices(pairs, [(1, 0), (1, 0), (1, 1), (1, 0), (None, 0)])
    assert (slices["n"], slices["missing"]) == (4, 1)
    assert slices["accuracy"] == 0.75
    assert (slices["n_length_matched"], slices["accuracy_length_matched"]) == (2, 0.5)
    assert (slices["n_chosen_shorter"], slices["accuracy_chosen_shorter"]) == (2, 0.5)
    assert slices["longer_wins"] == 0.25
    assert slices["longer_wins_length_matched"] == 0
    assert slices["accuracy_ci"][0] < 0.75 < slices["accuracy_ci"][1]
    empty = pair_slices(pairs[:1], [(1, 0)])
    assert empty["accuracy_length_matched"] is empty["accuracy_length_matched_ci"] is None


def test_length_auc() -> None:
    assert length_auc(LABELLED).estimate == 1
    assert math.isnan(length_auc([Labelled("q", "x", 1)]).estimate)


rows = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 1)), min_size=1, max_size=20)


@given(rows)
def test_length_best_accuracy_against_brute_force(data: list[tuple[int, int]]) -> None:
    labelled = [Labelled("q", "x" * size, label) for size, label in data]  # type: ignore[arg-type]
    best = 0
    for cut in range(8):
        right = sum((size >= cut) == bool(label) for size, label in data)
        best = max(best, right, len(data) - right)
    assert length_best_accuracy(labelled) == best / len(data)


def ngram_cv_auc(labelled: list[Labelled]) -> float:
    return auc([row.label for row in labelled], ngram_cv_scores(labelled) or [])


def test_ngram_cv_scores() -> None:
    assert ngram_cv_auc(LABELLED) == 1
    same = [Labelled(f"q{i}", "一样的话", i % 2) for i in range(20)]  # type: ignore[arg-type]
    assert 0.2 <= ngram_cv_auc(same) <= 0.8
    assert ngram_cv_scores(LABELLED[:2]) is None
    assert ngram_cv_scores([Labelled("q", row.response, row.label) for row in LABELLED]) is None
    assert ngram_cv_scores([Labelled(row.query, "", row.label) for row in LABELLED]) is None


def test_a_query_is_never_in_both_folds() -> None:
    # Each query has a word of its own that gives the label away; seen by query only, it must not help.
    leaky = [Labelled(f"q{i}", chr(0x4E00 + i) * 3, (i * 7919 % 13) % 2) for i in range(60) for _ in range(4)]  # type: ignore[arg-type]
    assert ngram_cv_auc(leaky) < 0.75


@pytest.mark.slow
def test_on_the_release(release_data: Path) -> None:
    began = time.perf_counter()
    pairs = read_pairs(release_data / "reward_data_train.json")
    train, _ = split_by_query(pairs, fraction=0.2, seed=0)
    NgramPairModel().fit(train)
    assert time.perf_counter() - began < 60
    found = NgramPairModel.cross_validate(pairs)
    assert found["n"] == 6310
    assert found["accuracy"] >= 0.985
    assert (found["n_length_matched"], found["n_chosen_shorter"]) == (503, 107)
    assert found["accuracy_length_matched"] >= 0.90
    assert found["accuracy_chosen_shorter"] >= 0.85
    assert found["longer_wins"] == pytest.approx(0.961, abs=5e-4)


def test_length_on_the_release(release_data: Path) -> None:
    labelled = read_labelled(release_data / "reward_data_train.json")
    assert length_auc(labelled).estimate == pytest.approx(0.913, abs=2e-3)
    assert length_best_accuracy(labelled) == pytest.approx(0.865, abs=2e-3)


@given(st.lists(st.tuples(st.integers(0, 200), st.sampled_from([0, 1])), max_size=60), st.integers(0, 9))
def test_a_length_matched_slice_has_as_many_good_as_bad_texts_of_every_length(
    texts: list[tuple[int, Any]], seed: int
) -> None:
    rows = [Labelled(f"q{n}", "x" * size, label) for n, (size, label) in enumerate(texts)]
    kept = length_matched(rows, seed)
    assert kept == sorted(set(kept))

    def counted(indices: Iterable[int]) -> dict[int, tuple[int, int]]:
        bins: dict[int, tuple[int, int]] = {}
        for index in indices:
            size = round(math.log(max(len(rows[index].response), 1)) / math.log(MATCH_RATIO))
            bad, good = bins.get(size, (0, 0))
            bins[size] = (bad + 1 - rows[index].label, good + rows[index].label)
        return bins

    everything = counted(range(len(rows)))
    assert counted(kept) == {size: (min(n), min(n)) for size, n in everything.items() if min(n)}


def test_a_fold_of_one_pair_is_too_few() -> None:
    with pytest.raises(DataError, match="1 pairs are too few"):
        NgramPairModel.cross_validate([Preference("q1", "good", "bad"), Preference("q2", "fine", "poor")])
