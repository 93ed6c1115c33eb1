"""The comparison: rates, paired differences, slices, and what length alone explains."""

from __future__ import annotations

import pytest

from inkfire.errors import InputError
from inkfire.evaluation.claims import claims
from inkfire.evaluation.compare import compare
from inkfire.evaluation.sight import sight_of
from inkfire.evaluation.signals import JudgeSignal, LengthSignal, Opinion, PairwiseDuel, RewardSignal
from inkfire.evaluation.texts import Texts
from inkfire.records import Comparison, Labelled, Query, Verdict
from inkfire.tasks.task import load_task


@pytest.fixture
def task(tiny_task):
    return load_task(tiny_task)


class Contains:
    """A signal that likes texts with a given character, and has no opinion of texts with a question mark."""

    def __init__(self, character: str, name: str = "contains"):
        self.character, self.name = character, name

    def label(self, queries, responses):
        return [
            Opinion(None, unscored="asked back")
            if "?" in text
            else Opinion(int(self.character in text), float(text.count(self.character)))
            for text in responses
        ]


def queries(task, n=20):
    tags = list(task.slices)
    return [Query.of(f"query {i}", (tags[i % len(tags)],)) for i in range(n)]


def test_rates_differences_and_slices(task):
    asked = queries(task)
    responses = {"base": ["plain text"] * 20, "sft": ["plain text"] * 10 + ["warm! text"] * 10}
    result = compare(task, Texts.single(asked, responses), [Contains("!")])
    base, sft = result["policies"]["base"], result["policies"]["sft"]
    assert base["excellent_rate"]["contains"] == 0
    assert sft["excellent_rate"]["contains"] == 0.5
    low, high = sft["excellent_rate_ci"]["contains"]
    assert 0.29 < low < 0.31
    assert 0.69 < high < 0.71  # Wilson, 10 of 20
    (row,) = result["differences"]
    assert (row["policy"], row["against"], row["difference"]) == ("sft", "base", 0.5)
    assert row["difference_ci"][0] > 0
    assert row["difference_p"] == pytest.approx(2 * 0.5**10)  # ten of twenty queries differ, all one way
    assert (row["difference_p_holm"], row["difference_clusters"], row["qualified"]) == (None, 20, False)
    assert sum(part["n"] for part in sft["slices"].values()) == 20


def test_an_unscored_text_is_counted_and_left_out(task):
    asked = queries(task, 10)
    responses = {"base": ["?"] * 5 + ["!"] * 5, "sft": ["!"] * 10}
    result = compare(task, Texts.single(asked, responses), [Contains("!")])
    assert result["policies"]["base"]["unscored"]["contains"] == 5
    assert result["policies"]["base"]["excellent_rate"]["contains"] == 1.0
    assert result["differences"][0]["n"] == 5


def test_a_text_that_is_missing_is_left_out_of_its_policys_numbers_and_of_its_pairs(task):
    asked = queries(task, 10)
    responses = {"base": ["plain"] * 4 + [None] * 4 + ["!"] * 2, "gpt": [None] * 2 + ["!!!!"] * 8}
    result = compare(task, Texts.single(asked, responses), [Contains("!"), LengthSignal(3, longer_is_better=True)])
    base, gpt = result["policies"]["base"], result["policies"]["gpt"]
    assert [(row["n"], row["missing"], row["scored"]["contains"]) for row in (base, gpt)] == [(6, 4, 6), (8, 2, 8)]
    assert base["unscored"] == {"contains": 0, "length": 0}
    assert (base["excellent_rate"]["contains"], gpt["excellent_rate"]["contains"]) == (pytest.approx(2 / 6), 1.0)
    assert (base["mean_length"], gpt["mean_length"]) == (pytest.approx(22 / 6), 4)
    assert (base["empty"], sum(part["n"] for part in base["slices"].values())) == (0, 6)
    contains, length = result["differences"]
    assert (contains["n"], contains["difference"]) == (4, 0.5)  # queries 2, 3, 8 and 9: both have a text
    assert (length["n"], length["difference"]) == (4, -0.5 + 1.0)
    assert [result["samples"][i]["responses"]["base"]["response"] for i in (0, 4)] == ["plain", None]
    assert result["samples"][4]["responses"]["base"]["labels"] == {"contains": None, "length": None}


def test_nothing_scored_is_none_and_not_zero(task):
    asked = queries(task, 4)
    result = compare(task, Texts.single(asked, {"base": ["?"] * 4, "sft": ["?"] * 4}), [Contains("!")])
    assert result["policies"]["base"]["excellent_rate"]["contains"] is None
    assert result["differences"][0]["difference"] is None


def test_a_reward_that_only_measures_length_is_told(task):
    asked = queries(task, 30)
    responses = {
        "base": ["x" * (10 + i) for i in range(30)],
        "sft": ["x" * (30 + i) for i in range(30)],
    }
    likes_long = LengthSignal(cut=35, longer_is_better=True, name="judge")
    result = compare(task, Texts.single(asked, responses), [likes_long])
    assert result["shortcut"]["judge"]["length_auc"] == 1.0
    (row,) = result["differences"]
    assert row["difference"] > 0.5
    assert row["difference_by_length"] > 0.8 * row["difference"]


def test_own_reward_is_marked(task):
    asked = queries(task, 6)
    result = compare(
        task,
        Texts.single(asked, {"base": ["a"] * 6, "rm-rl": ["a!"] * 6}),
        [Contains("!", "rm")],
        rewards={"rm-rl": ["rm"]},
    )
    assert result["policies"]["rm-rl"]["own_reward"] == ["rm"]
    assert result["differences"][0]["own_reward"] is True


def test_a_policy_must_answer_every_query(task):
    with pytest.raises(InputError, match="answered 1 of 2"):
        Texts.single(queries(task, 2), {"base": ["a"]})


def test_length_signal_fits_the_better_direction():
    rows = [Labelled("q", "x" * n, label) for n, label in [(5, 1), (6, 1), (20, 0), (30, 0)]]
    signal = LengthSignal.fit(rows)
    assert [o.label for o in signal.label(["q", "q"], ["x" * 5, "x" * 25])] == [1, 0]


class FixedReward:
    name = "fixed"

    def __init__(self, scores, threshold):
        self.scores, self.threshold = scores, threshold

    def score(self, queries, responses):
        return self.scores


def test_reward_signal_keeps_missing_scores_missing():
    signal = RewardSignal("rm", FixedReward([0.2, None, float("nan"), 0.9], 0.5))
    labels = [o.label for o in signal.label(["q"] * 4, ["a"] * 4)]
    assert labels == [0, None, None, 1]


def test_reward_without_threshold_is_refused():
    with pytest.raises(InputError, match="no threshold"):
        RewardSignal("rm", FixedReward([1.0], None)).label(["q"], ["a"])


class Half:
    name = "half"

    async def judge(self, query, response):
        return Verdict(label=None, unscored="refused") if response == "no" else Verdict(label=1, probability=0.8)


def test_judge_signal_keeps_order_and_reasons():
    signal = JudgeSignal("judge", Half())
    opinions = signal.label(["q"] * 3, ["yes", "no", "yes"])
    assert [o.label for o in opinions] == [1, None, 1]
    assert opinions[1].unscored == "refused"


# ---- several texts, several trainings ------------------------------------------------------------------------------

SEES = {"contains": sight_of({"looped": {"auc": 0.9, "sees": True}})}


def test_several_texts_of_a_query_are_one_piece_of_evidence(task):
    asked = queries(task, 12)
    base, sft = [["no", "no!"]] * 12, [["yes!", "no"]] * 6 + [["yes!", "yes!"]] * 6
    texts = Texts(asked, {"base": [base], "sft": [sft]})
    result = compare(task, texts, [Contains("!")], sights=SEES)
    assert (result["policies"]["sft"]["n"], result["policies"]["sft"]["excellent_rate"]["contains"]) == (24, 0.75)
    (row,) = result["differences"]
    assert (row["n"], row["difference"]) == (12, 0.25)
    assert row["difference_p"] == pytest.approx(2 * 0.5**6)  # six queries differ
    assert "seeds" not in row


def test_each_training_of_a_policy_stands_beside_their_mean(task):
    asked = queries(task, 20)
    texts = Texts(asked, {"base": [[["no"]] * 20], "rl": [[["yes!"]] * 20, [["no"]] * 20]})
    result = compare(task, texts, [Contains("!")], sights=SEES)
    (row,) = result["differences"]
    assert (row["difference"], row["seeds"], result["policies"]["rl"]["seeds"]) == (0.5, [1.0, 0.0], 2)


def test_a_policy_that_is_better_in_every_text_is_called_so(task):
    """Nothing varies, so that no interval has a width."""
    texts = Texts.single(queries(task, 12), {"base": ["plain."] * 12, "sft": ["plain!"] * 12})
    result = compare(task, texts, [Contains("!")], sights=SEES)
    (row,), (claim,) = result["differences"], claims(result)
    assert (row["difference"], row["difference_lc_p"], claim["kind"]) == (1.0, 0.0, "better")


class Longer:
    """Prefers the longer text, whatever the order; of equal ones it prefers a place."""

    async def compare(self, query, a, b):
        if len(a) == len(b):
            return Comparison("tie", place=1)
        return Comparison("a" if len(a) > len(b) else "b")


def test_wins_are_counted_against_each_baseline_and_at_equal_length(task):
    asked = queries(task, 30)
    responses = {
        "base": ["x" * (20 + i % 5) for i in range(30)],
        "sft": ["x" * (21 + i % 3) for i in range(30)],
    }
    result = compare(task, Texts.single(asked, responses), [], duels=[PairwiseDuel(Longer())])
    (row,) = result["differences"]
    won = sum((a > b) + (a == b) / 2 for a, b in ((len(s), len(b)) for b, s in zip(*responses.values(), strict=True)))
    assert (row["signal"], row["win_rate"], row["difference"]) == ("pairwise", won / 30, pytest.approx(won / 30 - 0.5))
    assert row["ties"] == sum(len(a) == len(b) for a, b in zip(*responses.values(), strict=True))
    low, high = row["win_rate_lc_ci"]
    assert low <= 0.5 <= high  # at equal length it is a tie
    assert row["n_matched"] == 30


def test_a_signal_that_is_blind_where_code_counts_more_damage_is_not_qualified_there(task):
    asked = queries(task, 20)
    blind = sight_of({"looped": {"auc": 0.5, "sees": False}, "cut": {"auc": 0.9, "sees": True}})
    loop = "may it open like a window, may it open like a window, may it open like a window!"
    for rl, qualified in ((["Be well!"] * 20, True), ([loop] * 20, False)):
        texts = Texts.single(asked, {"base": ["Be well."] * 20, "rl": rl})
        (row,) = compare(task, texts, [Contains("!")], sights={"contains": blind})["differences"]
        assert row["qualified"] is qualified, row["unqualified_because"]


def test_what_the_rubric_says_of_each_dimension(task):
    class Rubric:
        name = "rubric"

        def label(self, queries, responses):
            return [Opinion(1, 0.5, points={"language": 3 if text == "a" else 1, "fit": 2}) for text in responses]

    result = compare(task, Texts.single(queries(task, 4), {"base": ["a", "a", "a", "b"]}), [Rubric()])
    found = result["policies"]["base"]["dimensions"]["rubric"]
    assert (found["language"]["mean"], found["fit"]["mean"], found["fit"]["n"]) == (2.5, 2.0, 4)
    assert found["language"]["mean_ci"][0] < 2.5 < found["language"]["mean_ci"][1]


def test_a_judge_that_knows_only_the_query_is_told_by_its_share(task):
    asked = queries(task, 30)
    text = {"base": [f"one {i}" for i in range(30)], "sft": [f"two {i}" for i in range(30)]}

    class Knows:
        def __init__(self, name, of):
            self.name, self.of = name, of

        def label(self, queries, responses):
            scores = [self.of(query, text) for query, text in zip(queries, responses, strict=True)]
            return [Opinion(int(score > 0.5), score) for score in scores]

    query = Knows("query", lambda q, t: (int(q.split()[1]) % 7) / 7)
    both = Knows("both", lambda q, t: ((int(q.split()[1]) * 3 + 5 * len(t.split()[0]) + ord(t[0])) % 7) / 7)
    result = compare(task, Texts.single(asked, text), [query, both])
    assert result["shortcut"]["query"]["query_share_ci"][0] > 0.9
    assert result["shortcut"]["both"]["query_share_ci"][0] < 0.8
