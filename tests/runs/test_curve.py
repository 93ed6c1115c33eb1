"""The learning curve of a calibration: offline, on answers that are there already."""

import math
import random

import pytest

from inkfire.errors import InputError
from inkfire.records import Label, Labelled, Preference, Verdict
from inkfire.runs.curve import learning_curve, pairs_of, reward_curve


def judged(n: int, *, prefix: str, seed: int, strength: float = 1.2) -> tuple[list[Labelled], list[Verdict]]:
    """Texts, two a query, and a judge that ranks fairly but says Good to nearly everything."""
    rng = random.Random(seed)
    rows, verdicts = [], []
    for number in range(n):
        label: Label = 1 if number % 2 else 0
        x = 4 + strength * (2 * label - 1) + rng.gauss(0, 1.2)
        rows.append(Labelled(f"{prefix}{number // 2}", f"text {number}", label))
        verdicts.append(Verdict(1 if x >= 0 else 0, probability=1 / (1 + math.exp(-x))))
    return rows, verdicts


FIT, TEST = judged(200, prefix="fit", seed=1), judged(200, prefix="test", seed=2)


def test_a_biased_judge_is_mended_by_a_few_labels() -> None:
    rows = learning_curve(*FIT, *TEST, sizes=(10, 50, 200))
    assert [row["labels"] for row in rows] == [0, 10, 50, 200]
    assert [row["draws"] for row in rows] == [1, 20, 20, 1]
    assert rows[0]["accuracy"] < 0.6
    assert rows[1]["accuracy"] > rows[0]["accuracy"] + 0.15
    assert rows[3]["accuracy"] > 0.75
    assert rows[0]["auc"] == pytest.approx(rows[3]["auc"])
    for row in rows:
        for name in ("accuracy", "balanced_accuracy", "auc"):
            low, high = row[f"{name}_ci"]
            assert low <= row[name] <= high


def test_few_labels_are_less_certain_than_many() -> None:
    rows = learning_curve(*FIT, *TEST, sizes=(10, 100), draws=40)
    few, many = (row["accuracy_ci"] for row in rows[1:])
    assert few[1] - few[0] > many[1] - many[0]


def test_it_is_seeded() -> None:
    first = learning_curve(*FIT, *TEST, sizes=(20,), draws=5, seed=4)
    assert first == learning_curve(*FIT, *TEST, sizes=(20,), draws=5, seed=4)
    assert first != learning_curve(*FIT, *TEST, sizes=(20,), draws=5, seed=5)


def test_labels_without_information_do_not_help() -> None:
    fit, test = judged(200, prefix="f", seed=3, strength=0.0), judged(400, prefix="t", seed=4, strength=0.0)
    rows = learning_curve(*fit, *test, sizes=(20, 100))
    assert all(row["balanced_accuracy_ci"][0] <= 0.5 <= row["balanced_accuracy_ci"][1] for row in rows[1:])


def test_unscored_texts_are_neither_drawn_nor_tested() -> None:
    texts, verdicts = TEST
    missing = [Verdict(None, unscored="refused")] * 2 + list(verdicts[2:])
    short = learning_curve(*FIT, texts[2:], verdicts[2:], sizes=(20,))
    assert learning_curve(*FIT, texts, missing, sizes=(20,)) == short
    fit, said = FIT
    assert [row["labels"] for row in learning_curve(fit[:60], said[:60], *TEST, sizes=(20, 100))] == [0, 20]


def test_what_cannot_be_drawn_is_said() -> None:
    fit, said = FIT
    with pytest.raises(InputError, match="both classes"):
        learning_curve(fit[::2], said[::2], *TEST)
    with pytest.raises(InputError, match="8 scored texts"):
        learning_curve(fit[:8], said[:8], *TEST)


@pytest.mark.parametrize("bad", [1, 3])
def test_a_draw_has_both_classes_however_rare_one_is(bad: int) -> None:
    fit, said = FIT
    rare = [(row, verdict) for row, verdict in zip(fit, said, strict=True) if row.label][:60]
    rare += [(row, verdict) for row, verdict in zip(fit, said, strict=True) if not row.label][:bad]
    rows = learning_curve([row for row, _ in rare], [v for _, v in rare], *TEST, sizes=(10, 60 + bad))
    assert [row["labels"] for row in rows] == [0, 10, 60 + bad]


# ---- a reward model ------------------------------------------------------------------------------------------------


def written(n: int, *, prefix: str, sharp: bool = True) -> list[Labelled]:
    """Texts of their own queries; good ones say "window" where they are ``sharp``."""
    rng = random.Random(prefix)
    words = ("rain", "door", "lamp", "river", "stone")
    rows = []
    for number in range(n):
        label: Label = 1 if number % 2 else 0
        thing = rng.choice(("window", "glass") if label else ("success", "luck")) if sharp else "thing"
        rows.append(Labelled(f"{prefix}{number}", f"May the {rng.choice(words)} bring a {thing}.", label))
    return rows


def test_a_reward_model_learns_from_pairs_of_labelled_texts() -> None:
    pool, test = written(120, prefix="a"), written(80, prefix="b")
    rows = reward_curve(pool, test, sizes=(10, 100, 400), draws=5)
    assert [(row["labels"], row["draws"], row["pairs"]) for row in rows] == [(10, 5, 5), (100, 5, 50)]
    assert rows[1]["auc"] > 0.9
    assert rows[1]["accuracy"] > 0.8
    assert rows[1]["auc_ci"][0] <= rows[1]["auc"] <= rows[1]["auc_ci"][1]
    assert rows == reward_curve(pool, test, sizes=(10, 100, 400), draws=5)


def test_pairs_that_cost_no_label_are_a_row_of_their_own_and_part_of_the_others() -> None:
    pool, test = written(40, prefix="a"), written(40, prefix="b")
    beside = [Preference(f"c{i}", "A window.", "All the luck.") for i in range(6)]
    rows = reward_curve(pool, test, beside=beside, sizes=(20,), draws=2)
    assert [(row["labels"], row["draws"], row["pairs"]) for row in rows] == [(0, 1, 6), (20, 2, 16)]
    with pytest.raises(InputError, match="tested on need both classes"):
        reward_curve(pool, test[::2])


def test_a_pair_is_of_one_query_where_there_are_two_texts_of_it() -> None:
    texts = [Labelled("q", "good", 1), Labelled("q", "bad", 0), Labelled("r", "fine", 1), Labelled("s", "well", 1)]
    pairs = pairs_of(texts)
    assert [(pair.chosen, pair.rejected) for pair in pairs] == [("good", "bad"), ("fine", "bad"), ("well", "bad")]
    assert pairs_of(texts[:1]) == []
    turned = pairs_of([Labelled(row.query, row.response, 1 - row.label) for row in texts])  # type: ignore[arg-type]
    assert [(pair.chosen, pair.rejected) for pair in turned] == [("bad", "good"), ("bad", "fine"), ("bad", "well")]
