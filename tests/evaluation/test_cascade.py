"""A cascade: what it asks, what that saves, and what it may lose."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkfire.errors import InputError
from inkfire.evaluation.cascade import Asked, Band, Cost, fit_band, measure_cascade
from inkfire.llm.bill import Bill
from inkfire.records import Label, Labelled


def bill(tokens: int, money: float | None) -> Bill:
    made = Bill()
    made.add("m", {"calls": 1, "prompt_tokens": tokens, "cached_tokens": 0, "completion_tokens": 0}, money)
    return made


CHEAP, DEAR = Cost(0, 0.25), Cost(4, 8.0, bill(100, 0.5))


def asked(n: int, *, seed: int = 0, sharp: float = 1.5, dear_right: float = 0.95, prefix: str = "q") -> list[Asked]:
    """Two texts a query: a cheap score that ranks fairly, and a dear signal that is right with that chance."""
    rng = random.Random(seed)
    rows = []
    for number in range(n):
        label: Label = 1 if number % 2 else 0
        said: Label = label if rng.random() < dear_right else 1 - label  # type: ignore[assignment]
        score = sharp * (2 * label - 1) + rng.gauss(0, 1.5)
        rows.append(Asked(Labelled(f"{prefix}{number // 2}", f"text {number}", label), score, said, CHEAP, DEAR))
    return rows


def test_it_saves_what_it_does_not_ask() -> None:
    band = fit_band(asked(400, seed=1), tolerance=0.01)
    test = asked(300, seed=2, prefix="t")
    found = measure_cascade(test, band)
    unsure = [one for one in test if abs((one.score or 0.0) - band.cut) < (band.width or 0.0)]
    assert 0 < len(unsure) < len(test)
    assert (found["n"], found["asked"]) == (300, len(unsure))
    assert (found["dear_calls"], found["cascade_calls"]) == (4 * 300, 4 * len(unsure))
    assert found["calls_saved"] == 4 * (300 - len(unsure))
    assert found["seconds_saved"] == pytest.approx(8 * (300 - len(unsure)) - 0.25 * 300)
    assert found["tokens_saved_share"] == pytest.approx(1 - len(unsure) / 300)
    assert found["cost_saved"] == pytest.approx(0.5 * (300 - len(unsure)))
    assert found["cascade_accuracy"] > found["cheap_accuracy"]
    low, high = found["accuracy_difference_ci"]
    assert low <= found["accuracy_difference"] == pytest.approx(found["cascade_accuracy"] - found["dear_accuracy"])
    assert found["accuracy_difference"] <= high


def test_a_better_cheap_signal_asks_nobody_and_a_blind_one_everybody() -> None:
    perfect = fit_band(asked(200, sharp=20.0, dear_right=0.8))
    assert (perfect.width, measure_cascade(asked(100, sharp=20.0, seed=3), perfect)["asked"]) == (0.0, 0)
    blind = fit_band(asked(200, sharp=0.0, dear_right=1.0))
    found = measure_cascade(asked(100, sharp=0.0, seed=3, dear_right=1.0), blind)
    assert found["asked"] > 90
    assert found["seconds_saved"] < 100 * 8 * 0.1


def test_what_has_no_score_is_asked_and_what_has_no_label_is_counted() -> None:
    row = asked(1)[0]
    rows = [Asked(row.text, None, 1, CHEAP, DEAR), Asked(row.text, 0.1, None, CHEAP, DEAR),
            Asked(row.text, 9.0, None, CHEAP, DEAR), Asked(row.text, None, None, CHEAP, DEAR)]  # fmt: skip
    found = measure_cascade(rows, Band(cut=0.0, width=1.0))
    assert (found["asked"], found["cheap_unscored"], found["dear_unscored"]) == (3, 2, 3)
    assert (found["cascade_n"], found["cascade_unscored"], found["n_paired"]) == (2, 2, 1)


def test_money_that_is_unknown_is_not_saved() -> None:
    dear = Cost(1, 1.0, bill(10, None))
    rows = [Asked(Labelled("q", "t", 1), 5.0, 1, CHEAP, dear), Asked(Labelled("q", "u", 0), 0.0, 0, CHEAP, dear)]
    found = measure_cascade(rows, Band(0.0, 1.0))
    assert (found["cost_saved"], found["cost_saved_share"], found["dear_unpriced_calls"]) == (None, None, 2)


def test_too_few_answers_cannot_fit_it() -> None:
    good = [one for one in asked(8) if one.text.label][:3]
    with pytest.raises(InputError, match=r"3 of 4 have an answer of both signals, all of one label"):
        fit_band([*good, Asked(Labelled("q", "t", 0), None, 0, CHEAP, DEAR)])


SCORES = st.one_of(st.integers(-3, 3).map(float), st.floats(-5, 5))
LABELS = st.sampled_from([0, 1])
ROWS = st.lists(st.tuples(SCORES, LABELS, LABELS), min_size=2, max_size=40).filter(
    lambda rows: len({label for _, label, _ in rows}) == 2
)


@given(ROWS, st.sampled_from([0.0, 0.05, 0.3]))
def test_on_the_texts_that_fit_it_it_loses_no_more_than_is_allowed(
    rows: list[tuple[float, Label, Label]], tolerance: float
) -> None:
    fit = [Asked(Labelled(f"q{i}", "t", y), s, said, CHEAP, DEAR) for i, (s, y, said) in enumerate(rows)]
    found = measure_cascade(fit, fit_band(fit, tolerance=tolerance))
    assert found["cascade_accuracy"] >= found["dear_accuracy"] - tolerance - 1e-9
    assert found["calls_saved"] == 4 * (len(rows) - found["asked"])
