"""Arms beside each other: what is paired with what, and what a difference could have been."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t

from inkfire.evaluation.ablation import GROUPS, Seen, against, classifiers, described, settled
from inkfire.records import Labelled, Preference, Verdict
from inkfire.stats.intervals import bootstrap_mean_difference, sign_test

TEXTS = [
    Labelled(f"q{number // 2}", f"text {number} {'good' if number % 2 else 'bad'}", number % 2) for number in range(40)
]
UNSCORED = Verdict(None, unscored="refused")


def judged(*wrong: int, missing: tuple[int, ...] = ()) -> Seen:
    """Verdicts that are right but for some."""
    said = [
        UNSCORED if i in missing else Verdict(1 - row.label if i in wrong else row.label) for i, row in enumerate(TEXTS)
    ]
    return Seen(verdicts=list(zip(TEXTS, said, strict=True)))


def test_a_difference_is_paired_and_clustered_by_query() -> None:
    found = against(judged(0, 1, 2, 3, 7), judged(3), seed=5)
    a = [float(i not in (0, 1, 2, 3, 7)) for i in range(40)]
    b = [float(i != 3) for i in range(40)]
    queries = [row.query for row in TEXTS]
    wanted = bootstrap_mean_difference(a, b, queries, 5)
    assert found["accuracy_difference"] == pytest.approx(-0.1)
    assert found["accuracy_difference_ci"] == [wanted.low, wanted.high]
    assert (found["accuracy_difference_n"], found["accuracy_difference_clusters"]) == (40, 20)
    assert found["accuracy_difference_changed"] == 4
    assert found["accuracy_difference_p"] == sign_test(a, b, queries)
    reach = (wanted.high - wanted.low) / 2
    assert found["accuracy_difference_could_show"] == pytest.approx(reach * (1.96 + 0.8416) / 1.96, rel=1e-3)
    assert not [name for name in found if name.startswith(("pair_share", "rm_"))]  # neither made pairs


def test_what_has_no_verdict_is_in_no_difference() -> None:
    found = against(judged(0, 1, missing=(5, 6)), judged(1, missing=(0, 7)), seed=0)
    assert (found["accuracy_difference_n"], found["accuracy_difference_changed"]) == (36, 0)
    assert (found["accuracy_difference"], found["accuracy_difference_could_show"]) == (0, None)
    row = described(judged(0, 1, missing=(5, 6)))
    assert (row["n"], row["scored"], row["unscored"]) == (40, 38, 2)
    assert row["accuracy"] == pytest.approx(36 / 38)


PAIRS = [Preference(f"q{n}", "a good one" if n % 2 else "a good one that is long", "a bad one") for n in range(20)]


def asked(*models: list[float | None]) -> Seen:
    """A reward model of all pairs, and those without a group of them: the last one again where fewer are given."""
    return Seen(held_out=PAIRS, models=[*models, *[models[-1]] * (GROUPS + 1 - len(models))])


def test_pairs_are_paired_by_query() -> None:
    mine = Seen(paired={f"q{n}": n < 5 for n in range(20)})
    other = Seen(paired={f"q{n}": n < 15 for n in range(20)})
    row = described(mine)
    assert (row["queries"], row["pair_share"]) == (20, 0.25)
    found = against(mine, other)
    assert found["pair_share_difference"] == -0.5
    assert found["pair_share_difference_ci"][1] < 0


def test_a_reward_model_that_other_pairs_would_not_change_has_the_error_of_the_held_out_ones() -> None:
    whole, other = asked([1.0] * 20), asked([0.0] * 4 + [None] * 16)
    row = described(whole)
    assert (row["rm_n"], row["rm_accuracy"], row["rm_n_length_matched"], row["rm_n_chosen_shorter"]) == (20, 1, 10, 0)
    assert row["rm_accuracy_chosen_shorter"] is None
    assert described(other)["rm_missing"] == 16
    found = against(whole, other)
    assert (found["rm_accuracy_difference"], found["rm_accuracy_difference_n"]) == (1.0, 4)
    assert found["rm_accuracy_length_matched_difference_n"] == 2
    assert "rm_accuracy_chosen_shorter_difference" not in found
    a, b = [1.0] * 10 + [0.0] * 10, [1.0] * 4 + [0.0] * 16
    plain = bootstrap_mean_difference(a, b, [pair.query for pair in PAIRS], 0)
    low, high = against(asked(a), asked(b))["rm_accuracy_difference_ci"]
    assert high - low == pytest.approx((plain.high - plain.low) * t.ppf(0.975, GROUPS - 1) / 1.96, rel=1e-3)


def test_a_reward_model_that_hangs_on_a_few_pairs_is_not_said_to_be_better() -> None:
    """It has six more of twenty right, in each of many held-out queries: but not without one group of its pairs."""
    a, b = [1.0] * 16 + [0.0] * 4, [1.0] * 10 + [0.0] * 10
    steady, shaky = asked(a), asked(a, b, a, a, b, a)
    [sure, unsure] = (
        settled([{"arm": "mine", "against": "A"} | against(mine, asked(b))], {"mine": mine, "A": asked(b)})[0]
        for mine in (steady, shaky)
    )
    assert sure["rm_accuracy_difference"] == unsure["rm_accuracy_difference"] == pytest.approx(0.3)
    assert sure["rm_accuracy_difference_shown"]
    assert not unsure["rm_accuracy_difference_shown"]
    assert unsure["rm_accuracy_difference_could_show"] > 2 * sure["rm_accuracy_difference_could_show"]
    (low, high), (lower, higher) = (described(seen)["rm_accuracy_ci"] for seen in (steady, shaky))
    assert higher - lower > high - low


def test_several_arms_share_the_chance_of_a_mistake() -> None:
    arms = {"A": judged(), "worse": judged(*range(0, 40, 2)), "little": judged(1, 2), "same": judged()}
    rows = [
        {"arm": name, "against": "A"} | (against(seen, arms["A"]) if name != "A" else {}) for name, seen in arms.items()
    ]
    whole, worse, little, same = settled(rows, arms)
    assert whole == {"arm": "A", "against": "A"}
    assert worse["accuracy_difference_p_holm"] == pytest.approx(3 * worse["accuracy_difference_p"])
    assert worse["accuracy_difference_shown"]
    assert "accuracy_difference_more_queries" not in worse
    assert not little["accuracy_difference_shown"]
    assert little["accuracy_difference_more_queries"] > 0
    assert (same["accuracy_difference_shown"], "accuracy_difference_more_queries" in same) == (False, False)


def test_frameworks_stand_beside_the_twins_on_the_texts_that_all_judged() -> None:
    rows = classifiers({"A": judged(0, missing=(2,)), "B": judged(0, 1, 3, missing=(4, 5))})
    assert [row["name"] for row in rows] == ["A", "B", "length", "n-grams"]
    assert {(row["n"], row["queries"]) for row in rows} == {(37, 19)}
    a, b, length, ngrams = rows
    assert (a["accuracy"], b["accuracy"]) == (pytest.approx(36 / 37), pytest.approx(34 / 37))
    assert b["precision"] == pytest.approx(17 / 18)
    assert b["accuracy_difference"] == pytest.approx(b["accuracy"] - ngrams["accuracy"])
    assert "accuracy_difference" in length
    assert "accuracy_difference" not in ngrams
    assert classifiers({}) == []
    nothing = Seen(verdicts=[(row, UNSCORED) for row in TEXTS])
    assert classifiers({"A": judged(), "B": nothing}) == []


@given(st.lists(st.tuples(st.integers(0, 4), st.sampled_from([0, 1]), st.sampled_from([0, 1, None])), max_size=20))
def test_whatever_was_judged_can_be_said(rows: list[tuple[int, int, int | None]]) -> None:
    texts = [Labelled(f"q{query}", f"text {i}", label) for i, (query, label, _) in enumerate(rows)]  # type: ignore[arg-type]
    said = [UNSCORED if label is None else Verdict(label) for _, _, label in rows]  # type: ignore[arg-type]
    seen = Seen(verdicts=list(zip(texts, said, strict=True)))
    numbers = described(seen) | against(seen, seen)
    assert not [name for name, value in numbers.items() if isinstance(value, float) and math.isnan(value)]
    if any(verdict.scored for verdict in said):
        assert numbers["accuracy_difference"] == 0
    classifiers({"A": seen})
