"""The Optimizer's answer: which rules go, which are added, and what is done where it does not hold up."""

import json
from pathlib import Path

import pytest

from inkfire.judge.principles import LIMIT, Principles
from inkfire.llm.scripted import ScriptedLLM
from inkfire.refine.proposals import Merged, copies, merge
from inkfire.tasks.task import load_task

NEW = "It names the day."


async def merged(tiny_task: Path, answer: object, rules: int = 3) -> tuple[tuple[str, ...], Merged]:
    task = load_task(tiny_task)
    current = Principles.of([f"Rule number {number} of the set." for number in range(1, rules + 1)])
    llm = ScriptedLLM(lambda messages: answer if isinstance(answer, str) else json.dumps(answer))
    return current.texts, await merge(task, llm, current, [NEW], kind="principles", seed=0)


async def test_rules_that_stay_are_not_written_again(tiny_task: Path) -> None:
    before, made = await merged(tiny_task, {"drop": [2], "add": [NEW, "It is warm to whoever reads it."]})
    assert made == Merged((before[0], before[2], NEW, "It is warm to whoever reads it."), "optimizer")


async def test_a_rule_that_is_dropped_and_written_again_stays_in_its_place(tiny_task: Path) -> None:
    before, made = await merged(tiny_task, {"drop": [1], "add": ["Rule number 1 of the set.", NEW]})
    assert made.texts == (*before, NEW)


async def test_what_is_added_finds_room(tiny_task: Path) -> None:
    before, made = await merged(tiny_task, {"drop": [], "add": [NEW]}, rules=LIMIT)
    assert made.texts == (*before[:-1], NEW)


async def test_numbers_before_what_is_added_go(tiny_task: Path) -> None:
    before, made = await merged(tiny_task, {"drop": [], "add": [f"4. {NEW}"]})
    assert made.texts == (*before, NEW)


async def test_appended_proposals_leave_half_of_a_full_set(tiny_task: Path) -> None:
    current = Principles.of([f"Rule number {number} of the set." for number in range(1, LIMIT + 1)])
    proposals = [f"It names the day in way {number}." for number in range(9)]
    llm = ScriptedLLM(lambda messages: "no JSON today")
    made = await merge(load_task(tiny_task), llm, current, proposals, kind="principles", seed=0)
    assert made.texts == (*current.texts[:5], *proposals[:5])


async def test_an_answer_may_only_drop(tiny_task: Path) -> None:
    before, made = await merged(tiny_task, {"drop": [2], "add": ["no"]})
    assert made == Merged((before[0], before[2]), "optimizer")


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ({"drop": [], "add": []}, "none of its 0 new rules"),
        ({"drop": [], "add": ["Rule number 1 of the set.", "no"]}, "none of its 2 new rules"),
        ({"drop": [1, 2], "add": ["It is warm to whoever reads it."]}, "it dropped 2 rules"),
        ("no JSON today", "optimizer: "),
        ({"items": [NEW]}, "optimizer: "),
    ],
)
async def test_an_answer_that_does_not_hold_up_appends_the_proposals(tiny_task: Path, answer: object, why: str) -> None:
    before, made = await merged(tiny_task, answer)
    assert (made.texts, made.how) == ((*before, NEW), "appended")
    assert why in made.why


TEXT = "饺子给你留着，今晚不管多晚，推门就有一盏灯等你。"


@pytest.mark.parametrize(
    ("rule", "source", "copied"),
    [
        ("好的祝福像“今晚不管多晚，推门就有一盏灯”这样具体。", TEXT, True),
        ("除夕晚归的祝福", "除夕晚归的祝福", True),
        ("好的祝福有具体的画面，例如推门就有一盏灯。", TEXT, False),
        (
            "Say: may the harbour lights find you on every road home.",
            "May the harbour lights find you on every road.",
            True,
        ),
        ("A good greeting names a place on every road.", "May the harbour lights find you on every road.", False),
    ],
)
def test_a_rule_that_copies_what_it_is_about(rule: str, source: str, copied: bool) -> None:
    assert copies(rule, source) is copied
