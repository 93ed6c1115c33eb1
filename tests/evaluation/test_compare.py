"""The comparison: rates, paired differences, slices, and what length alone explains."""

from __future__ import annotations

import pytest

from inkfire.errors import InputError
from inkfire.evaluation.compare import compare
from inkfire.evaluation.signals import JudgeSignal, LengthSignal, Opinion, RewardSignal
from inkfire.records import Labelled, Query, Verdict
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
    result = compare(task, asked, responses, [Contains("!")], corpus=["nothing alike at all"])
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
    assert (row["difference_p_holm"], row["difference_clusters"]) == (row["difference_p"], 20)
    assert sum(part["n"] for part in sft["slices"].values()) == 20


def test_an_unscored_text_is_counted_and_left_out(task):
    asked = queries(task, 10)
    responses = {"base": ["?"] * 5 + ["!"] * 5, "sft": ["!"] * 10}
    result = compare(task, asked, responses, [Contains("!")], corpus=[])
    assert result["policies"]["base"]["unscored"]["contains"] == 5
    assert result["policies"]["base"]["excellent_rate"]["contains"] == 1.0
    assert result["differences"][0]["n"] == 5


def test_a_text_that_is_missing_is_left_out_of_its_policys_numbers_and_of_its_pairs(task):
    asked = queries(task, 10)
    responses = {"base": ["plain"] * 4 + [None] * 4 + ["!"] * 2, "gpt": [None] * 2 + ["!!!!"] * 8}
    result = compare(task, asked, responses, [Contains("!"), LengthSignal(3, longer_is_better=True)], corpus=[])
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
    result = compare(task, asked, {"base": ["?"] * 4, "sft": ["?"] * 4}, [Contains("!")], corpus=[])
    assert result["policies"]["base"]["excellent_rate"]["contains"] is None
    assert result["differences"][0]["difference"] is None


def test_a_reward_that_only_measures_length_is_told(task):
    asked = queries(task, 30)
    responses = {
        "base": ["x" * (10 + i) for i in range(30)],
        "sft": ["x" * (30 + i) for i in range(30)],
    }
    likes_long = LengthSignal(cut=35, longer_is_better=True, name="judge")
    result = compare(task, asked, responses, [likes_long], corpus=[])
    assert result["shortcut"]["judge"]["length_auc"] == 1.0
    (row,) = result["differences"]
    assert row["difference"] > 0.5
    assert row["difference_by_length"] > 0.8 * row["difference"]


def test_own_reward_is_marked(task):
    asked = queries(task, 6)
    result = compare(
        task,
        asked,
        {"base": ["a"] * 6, "rm-rl": ["a!"] * 6},
        [Contains("!", "rm")],
        corpus=[],
        rewards={"rm-rl": ["rm"]},
    )
    assert result["policies"]["rm-rl"]["own_reward"] == ["rm"]
    assert result["differences"][0]["own_reward"] is True


def test_a_policy_must_answer_every_query(task):
    with pytest.raises(InputError, match="answered 1 of 2"):
        compare(task, queries(task, 2), {"base": ["a"]}, [Contains("!")], corpus=[])


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
