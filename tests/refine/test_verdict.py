"""The Detector that writes: one reply holds verdict, explanation and advice, and each reaches who learns from it."""

import ast
import dataclasses
import json
import re
from typing import Any

import pytest

from inkfire.errors import InputError
from inkfire.files.formats import split_by_query
from inkfire.judge.spec import JudgeSpec
from inkfire.llm.base import Message
from inkfire.llm.scripted import ScriptedLLM
from inkfire.records import Labelled
from inkfire.refine.history import Refined, unsteady
from inkfire.refine.rounds import Refiner
from inkfire.refine.settings import RefineSettings
from inkfire.runs.refine import refine_and_measure, split_labelled
from inkfire.tasks.task import Task

PAPER = RefineSettings(
    detector="verdict",
    rounds=3,
    attacks=8,
    errors=4,
    errors_choice="random",
    merge="proposal",
    accept="all",
    patience=3,
)
ADVICE = "Hide it deeper in the second clause."
FLAW = "It praises a custom of another feast."
CAUGHT = "The feast is the wrong one."
BLIND = "It says nothing of this reader."
RULE = "A good text names a window."
QUERIES = [f"a query for the generator {number}" for number in range(12)]


class Writer:
    """A model without log-probabilities. It catches the forgeries of even queries, ``said`` of them; it calls good what
    has a window once a rule says so, and everything until then; as Optimizer it adds what was proposed."""

    def __init__(self, said: Any) -> None:
        self.said = said

    def __call__(self, messages: list[Message]) -> str:
        system, user = messages[0]["content"], messages[-1]["content"]
        reply: Any = {"reason": BLIND, "judge": int("window" in user or RULE not in system)}
        if "advise" in system:
            even = int(re.findall(r"\d+", user)[-1]) % 2 == 0
            reply = self.said if even else {"reason": "It is fine.", "judge": 1, "advice": ""}
        elif "flawed" in system:
            reply = {"flaw": FLAW, "text": f"A wish of its own, like {re.findall('[0-9]+', user)[0]} others."}
        elif "Merge" in system:
            reply = {"drop": [], "add": ast.literal_eval(user[user.rindex("['") :])}
        elif re.search("Is [01], was", user):
            reply = {"why": "It was not told.", "proposal": RULE}
        return reply if isinstance(reply, str) else json.dumps(reply)


def writer(said: Any = None) -> ScriptedLLM:
    return ScriptedLLM(Writer(said or {"reason": CAUGHT, "judge": 0, "advice": ADVICE}))


def refiner(task: Task, llm: ScriptedLLM, texts: list[Labelled], settings: RefineSettings) -> Refiner:
    training, validation = split_by_query(texts, fraction=0.5, seed=0)
    return Refiner(task, llm, QUERIES, training, validation, settings)


async def refined(task: Task, llm: ScriptedLLM, texts: list[Labelled], **changed: Any) -> Refined:
    return await refiner(task, llm, texts, dataclasses.replace(PAPER, **changed)).run()


def asked(llm: ScriptedLLM, word: str) -> list[str]:
    """The prompts in whose system turn the word stands."""
    return ["\n".join(m["content"] for m in c.messages) for c in llm.calls if word in c.messages[0]["content"]]


async def test_three_rounds_without_log_probabilities(task: Task, texts: list[Labelled]) -> None:
    llm = writer()
    made = await refined(task, llm, texts)
    assert [row["accepted"] for row in made.history] == [True, False, False]
    assert {call.sampling.top_logprobs for call in llm.calls} == {0}
    assert asked(llm, "Say Good or Bad") == []
    first = made.history[0]
    assert (first["caught"], first["fooled"], first["unscored"]) == (
        sum(int(attempt.split()[-1]) % 2 == 0 for attempt in forged(llm)[:8]),
        8 - first["caught"],
        0,
    )
    assert first["caught_share"] == first["caught"] / 8
    assert {row["frozen"]["n"] for row in made.history} == {8}
    assert made.history[-1]["frozen"]["caught"] == 8  # by then a rule asks for a window
    assert first["validation"]["accuracy"] == 1.0
    assert (first["validation"]["n"], "auc" in first["validation"]) == (40, False)
    assert (first["effect"], first["why"]) == (None, "taken without a test")


def forged(llm: ScriptedLLM) -> list[str]:
    """The queries that the Generator was given."""
    return [re.findall('"(a query [^"]*)"', prompt)[0] for prompt in asked(llm, "flawed")]


async def test_advice_and_explanations_reach_who_learns_from_them(task: Task, texts: list[Labelled]) -> None:
    llm = writer()
    made = await refined(task, llm, texts)
    before, after = (asked(llm, "flawed")[part] for part in (slice(0, 8), slice(8, 24)))
    assert not any(ADVICE in prompt for prompt in before)
    assert all(ADVICE in prompt for prompt in after)  # what the Detector advised is among the strategies of S_G
    assert ADVICE in made.flaws.texts
    merged = asked(llm, "Merge")
    assert any("principles" in prompt and f"['{FLAW}']" in prompt for prompt in merged)  # the Generator's own words
    assert FLAW in made.principles.texts
    reflected = asked(llm, "Rules")  # the Reflector's among them
    reflected = [prompt for prompt in reflected if re.search("Is [01], was", prompt)]
    assert len(reflected) >= 4
    assert all(BLIND in prompt for prompt in reflected)  # the Detector's explanation of its error
    assert all(FLAW in prompt for prompt in reflected)  # the forgeries' rules were merged before
    assert RULE in made.principles.texts


async def test_proposals_are_merged_one_by_one_or_together(task: Task, texts: list[Labelled]) -> None:
    each, together = writer(), writer()
    await refined(task, each, texts, rounds=1)
    row = (await refined(task, together, texts, rounds=1, merge="round")).history[0]
    proposed = [re.findall(r"\['.*\]$", prompt)[0] for prompt in asked(each, "Merge")]
    assert all(len(ast.literal_eval(one)) == 1 for one in proposed)
    assert len(asked(together, "Merge")) == 2  # S_G and S_D
    assert row["candidate"]["parent"] == row["from"]


@pytest.mark.parametrize(
    "reply", [{"reason": CAUGHT, "judge": 0}, {"judge": 0}, {"judge": 0, "advice": "", "reason": ""}]
)
async def test_a_reply_without_advice_is_a_verdict_that_teaches_nothing(
    task: Task, texts: list[Labelled], reply: dict[str, Any]
) -> None:
    row = (await refined(task, writer(reply), texts, rounds=1)).history[0]
    assert row["caught"] > 0
    assert [one for one in row["proposals"] if one["kind"] == "flaws"] == []
    assert row["changes"]["flaws"] == {"added": [], "removed": []}


@pytest.mark.parametrize("reply", ['{"judge": 0} or rather {"judge": 1}', "I cannot judge this.", '{"judge": 2}'])
async def test_a_verdict_that_is_none_is_unscored(task: Task, texts: list[Labelled], reply: str) -> None:
    row = (await refined(task, writer(reply), texts, rounds=1)).history[0]
    assert (row["caught"], row["caught_share"]) == (0, 0.0)
    assert row["unscored"] == 8 - row["fooled"] > 0
    assert row["dropped"] == []


async def test_a_set_keeps_its_limit(task: Task, texts: list[Labelled]) -> None:
    made = await refined(task, writer(), texts, max_rules=2)
    assert len(made.principles.texts) == len(made.flaws.texts) == 2


async def test_a_candidate_of_written_verdicts_can_be_tested(task: Task, texts: list[Labelled]) -> None:
    row = (await refined(task, writer(), texts, rounds=1, accept="better")).history[0]
    assert row["accepted"]
    assert row["effect"] == 0.5  # from a judge that says Good to everything to one that is always right
    unseen = (await refined(task, writer('{"judge": 0, "reason": "no"}'), texts, rounds=1, errors=1)).history[0]
    assert unseen["validation"]["n"] == 40


async def test_the_judge_before_and_after_writes_too_and_is_not_calibrated(task: Task, texts: list[Labelled]) -> None:
    splits = split_labelled(texts, seed=0)
    one = Refiner(task, writer(), QUERIES, splits.training, splits.validation, PAPER)
    made = await refine_and_measure(one, JudgeSpec("tiny", "scripted", "verdict"), splits.test)
    assert (made.after.mode, made.after.calibration) == ("verdict", None)
    told = made.to_json()
    assert (told["detector"], told["before"]["accuracy"], told["after"]["accuracy"]) == ("verdict", 0.5, 1.0)


async def test_log_probabilities_that_are_missing_name_the_way_out(task: Task, texts: list[Labelled]) -> None:
    with pytest.raises(InputError, match="refine has --detector"):
        await refined(task, writer(), texts, detector="logprob")


def test_going_back_and_forth_is_said() -> None:
    def row(value: float | None, added: list[str], removed: list[str]) -> dict[str, Any]:
        none = {"added": [], "removed": []}
        seen = None if value is None else {"n": 40, "scored": 38, "accuracy": value}
        return {"changes": {"principles": {"added": added, "removed": removed}, "flaws": none}, "validation": seen}

    steady = [row(0.5, [], ["a"]), row(0.6, ["b"], []), row(0.7, ["c"], []), row(0.7, [], [])]
    assert unsteady(steady) == []
    assert unsteady([row(None, ["a"], []), row(None, [], ["a"])]) == []
    assert "an earlier round removed what this one added, 'a'" in unsteady([*steady, row(0.8, ["a"], [])])[0]
    turning = [row(value, [], []) for value in (0.5, 0.6, 0.55, 0.7)]
    assert unsteady(turning) == [
        "the validation accuracy only goes up and down (0.50, 0.60, 0.55, 0.70): the rounds undo each other, or 38 "
        "texts are too few to tell"
    ]
    assert unsteady(turning[1:]) == []
