"""Several samples of a judge: who wins, and when nobody does."""

import json

import pytest

from inkfire.errors import InputError, ModelCallError
from inkfire.judge.answers import RubricJudge, VerdictJudge
from inkfire.judge.spec import build_judge
from inkfire.judge.votes import VotingJudge
from inkfire.llm.scripted import ScriptedLLM
from inkfire.tasks.task import Task


def said(label: int | None) -> str:
    return "no JSON" if label is None else json.dumps({"reason": f"because {label}", "judge": label})


@pytest.mark.parametrize(
    ("votes", "label", "probability"),
    [
        ([1, 1, 1], 1, 1.0),
        ([0, 1, 0], 0, 1 / 3),
        ([None, 1, 1, 0], 1, 2 / 3),
        ([None, None, 0], 0, 0.0),
    ],
)
async def test_the_majority_decides_and_failed_samples_are_no_votes(
    task: Task, votes: list[int | None], label: int, probability: float
) -> None:
    judge = VotingJudge.of(VerdictJudge(task, ScriptedLLM([said(vote) for vote in votes])), len(votes))
    verdict = await judge.judge("q", "r")
    assert (verdict.label, verdict.reason) == (label, f"because {label}")
    assert verdict.probability == pytest.approx(probability)
    assert verdict.principles


@pytest.mark.parametrize(
    ("votes", "why"), [([1, 0], "1 of 2 votes"), ([0, None, 1], "1 of 2 votes"), ([None, None], "no JSON")]
)
async def test_a_tie_is_unscored(task: Task, votes: list[int | None], why: str) -> None:
    judge = VotingJudge.of(VerdictJudge(task, ScriptedLLM([said(vote) for vote in votes])), len(votes))
    verdict = await judge.judge("q", "r")
    assert verdict.label is None
    assert why in str(verdict.unscored)


async def test_a_failed_call_is_no_vote(task: Task) -> None:
    llm = ScriptedLLM([ModelCallError("timed out"), said(1)])
    assert (await VotingJudge.of(VerdictJudge(task, llm), 2).judge("q", "r")).probability == 1.0


async def test_samples_are_drawn_at_a_temperature_with_a_seed_each(task: Task) -> None:
    llm = ScriptedLLM(lambda messages: json.dumps(dict.fromkeys(RATING, 3)))
    judge = VotingJudge.of(RubricJudge(task, llm, seed=7), 3)
    assert (await judge.judge("q", "r")).probability == 1.0
    assert [call.sampling.seed for call in llm.calls] == [7, 8, 9]
    assert all(call.sampling.temperature > 0 for call in llm.calls)
    assert judge.name == "rubric:scripted ×3"


RATING = ("language", "creativity", "emotion", "culture", "richness")


@pytest.mark.parametrize("mode", ["logprob", "debate"])
def test_what_does_not_vary_cannot_vote(task: Task, mode: str) -> None:
    with pytest.raises(InputError, match=f"{mode} cannot vote: it answers the same every time"):
        build_judge(mode, task, ScriptedLLM([]), votes=3)
