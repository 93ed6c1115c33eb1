"""The one-token judge: which tokens count for which word, and when there is no verdict."""

import math
from collections.abc import Callable

import pytest

from inkfire.errors import ModelCallError
from inkfire.judge.logprob import LogprobJudge, read_answer
from inkfire.llm.base import Reply, TokenLogprob
from inkfire.llm.scripted import ScriptedLLM
from inkfire.tasks.task import Task

Word = Callable[[float], Reply]


def tokens(**masses: float) -> list[TokenLogprob]:
    return [TokenLogprob(token.replace("_", " "), math.log(mass)) for token, mass in masses.items()]


def test_variants_of_a_word_are_summed() -> None:
    answer = read_answer(tokens(Good=0.4, _good=0.2, Go=0.1, Bad=0.1, _BAD=0.1, OK=0.1), "Good", "Bad")
    assert answer is not None
    assert answer.mass == pytest.approx(0.9)
    assert answer.log_odds == pytest.approx(math.log(0.7 / 0.2))


def test_a_beginning_that_both_words_share_counts_for_neither() -> None:
    answer = read_answer(tokens(G=0.5, Good=0.2, Grim=0.1), "Good", "Grim")
    assert answer is not None
    assert answer.mass == pytest.approx(0.3)


@pytest.mark.parametrize("stray", ["", " ", "Goodness", "Not", '"Good"'])
def test_other_tokens_count_for_nothing(stray: str) -> None:
    alternatives = [TokenLogprob(stray, math.log(0.5)), *tokens(Good=0.2, Bad=0.2)]
    answer = read_answer(alternatives, "Good", "Bad")
    assert answer is not None
    assert answer.mass == pytest.approx(0.4)


def test_a_word_that_does_not_occur_has_at_most_the_smallest_mass_listed() -> None:
    answer = read_answer(tokens(好=0.9, 嗯=0.01), "好", "差")
    assert answer is not None
    assert answer.log_odds == pytest.approx(math.log(90))
    assert read_answer(tokens(嗯=0.9), "好", "差") is None


@pytest.mark.parametrize(
    ("alternatives", "odds"),
    [
        ([("Good", -0.2)], math.log(math.exp(-0.2) / -math.expm1(-0.2))),  # only the token that was written
        ([("Bad", -0.2)], -math.log(math.exp(-0.2) / -math.expm1(-0.2))),
        ([("Good", -0.9)], None),  # the other word may have more
        ([("Bad", -0.9)], None),
        ([("Good", -1.0), ("Bad", -1.0)], None),
        ([("Bad", 0.0), ("Good", -9999.0)], -25.0),
        ([("Good", 0.0), ("Bad", -3.4e38)], 25.0),
        ([("Bad", 0.0)], -25.0),
        ([("ĠGood", -0.2), ("ĠBad", -1.8)], 1.6),
        ([("▁Bad", -0.2), ("▁Good", -1.8)], -1.6),
    ],
)
def test_what_is_not_shown_is_bounded_and_a_tie_is_no_verdict(
    alternatives: list[tuple[str, float]], odds: float | None
) -> None:
    answer = read_answer([TokenLogprob(token, value) for token, value in alternatives], "Good", "Bad")
    assert answer is not None
    assert answer.told is (odds is not None)
    if answer.told:
        assert answer.log_odds == pytest.approx(odds)


def test_raw_pieces_of_chinese_words_are_read() -> None:
    answer = read_answer([TokenLogprob("å·®", -0.1), TokenLogprob("å¥½", -3.1)], "好", "差")
    assert answer is not None
    assert answer.log_odds == pytest.approx(-3.0)


async def test_it_reads_the_probability_of_good(task: Task, word: Word) -> None:
    verdict = await LogprobJudge(task, ScriptedLLM([word(-1.0)])).judge("q", "r")
    assert verdict.label == 0
    assert verdict.probability == pytest.approx(1 / (1 + math.e))
    assert verdict.principles


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (Reply("Good"), "no log-probabilities"),
        (Reply("Well", logprobs=(tuple(tokens(Well=0.9, Good=0.05)),)), "probability 0.0"),
        (Reply("Well", logprobs=(tuple(tokens(Well=0.9)),)), "probability 0.00"),
        (Reply("G", logprobs=((TokenLogprob("Good", -0.9),),)), "cannot be told"),
        (Reply("<", logprobs=((TokenLogprob("<think>", -0.0),),)), "thinks before"),
        (ModelCallError("timed out"), "timed out"),
    ],
)
async def test_no_answer_is_unscored(task: Task, reply: Reply | Exception, why: str) -> None:
    verdict = await LogprobJudge(task, ScriptedLLM([reply])).judge("q", "r")
    assert verdict.label is None
    assert verdict.probability is None
    assert why in str(verdict.unscored)


async def test_it_asks_for_one_token_and_the_text_comes_last(task: Task, word: Word) -> None:
    llm = ScriptedLLM([word(1.0), word(1.0)])
    judge = LogprobJudge(task, llm)
    await judge.judge("first query", "first text")
    await judge.judge("second query", "second text")
    first, second = (call.messages for call in llm.calls)
    assert llm.calls[0].sampling.max_tokens == 1
    assert first[0] == second[0]
    assert "first text" in first[-1]["content"]
