"""The judge by a checklist: who writes it, what a text comes to, what is dropped."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from inkfire.errors import ModelCallError
from inkfire.judge.checklist import Checklist, ChecklistJudge, Criterion, counted, sifted
from inkfire.judge.examples import Examples
from inkfire.judge.spec import JudgeSpec
from inkfire.llm.base import Message
from inkfire.llm.loop import run
from inkfire.llm.scripted import Scripted, ScriptedLLM
from inkfire.records import Labelled, Verdict
from inkfire.tasks.task import Task

WRITTEN = [
    {"text": "Does it name a window?", "weight": 2, "must": False},
    {"text": "Does it name a friend?", "weight": 1, "must": False},
    {"text": "Is it a wish?", "weight": 1, "must": True},
]


def meets(messages: list[Message]) -> str:
    """A judge that looks for the last word of each criterion."""
    _, text, *points = messages[-1]["content"].split("\n", 2)
    words = [line.rstrip('?"').split()[-1] for line in points[0].splitlines() if line]
    return json.dumps({str(number): int(word in text) for number, word in enumerate(words, 1)})


def author(written: Any = WRITTEN) -> ScriptedLLM:
    return ScriptedLLM(lambda _: json.dumps({"criteria": written}), name="author")


def judged(task: Task, text: str, written: Any = WRITTEN) -> Verdict:
    return run(ChecklistJudge(task, ScriptedLLM(meets), author=author(written)).judge("q", text))


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("a wish, a window, a friend", 1.0),
        ("a wish and a window", 0.75),
        ("a wish and a friend", 0.5),
        ("a wish", 0.25),
        ("a window and a friend", 0.0),  # no wish: vetoed
    ],
)
def test_the_score_is_the_share_of_the_weights_unless_one_vetoes(task: Task, text: str, share: float) -> None:
    said = judged(task, text)
    assert (said.probability, said.label) == (share, int(share >= 0.5))
    assert said.points is not None
    assert said.points["Is it a wish?"] == int("wish" in text)
    assert ("Does it name a window?" in said.reason) is ("window" not in text)


def test_a_checklist_is_written_once_a_query_and_answered_in_one_call(task: Task) -> None:
    llm, strong = ScriptedLLM(meets), author()
    judge = ChecklistJudge(task, llm, author=strong)

    async def all_at_once() -> Sequence[Verdict]:
        return await asyncio.gather(*(judge.judge(f"q{i % 2}", f"a wish {i}") for i in range(16)))

    assert all(said.scored for said in run(all_at_once()))
    assert (len(strong.calls), len(llm.calls)) == (2, 16)
    assert [criterion.weight for criterion in judge.lists["q1"].criteria] == [2, 1, 1]


BAD_LISTS: list[Scripted] = [
    "no JSON",
    '{"criteria": []}',
    json.dumps({"criteria": WRITTEN[:2]}),
    json.dumps({"criteria": [WRITTEN[0]] * 5}),  # one, said five times
    json.dumps({"criteria": [one | {"text": " "} for one in WRITTEN]}),
    json.dumps({"criteria": [one | {"weight": 0} for one in WRITTEN]}),
    json.dumps({"criteria": [one | {"must": "perhaps"} for one in WRITTEN]}),
    ModelCallError("timed out"),
]


@pytest.mark.parametrize("reply", BAD_LISTS)
def test_without_a_checklist_there_is_no_verdict(task: Task, reply: Scripted) -> None:
    judge = ChecklistJudge(task, ScriptedLLM(meets), author=ScriptedLLM(lambda _: reply))
    said = run(judge.judge("q", "a wish"))
    assert said.label is None
    assert (said.unscored or "").startswith("no checklist for its query: ")
    assert judge.lists == {}


BAD_ANSWERS = [
    "yes, yes, no",
    "{}",
    '{"1": 1, "2": 1}',
    '{"1": 1, "2": 1, "3": 2}',
    '{"1": 1, "2": 1, "3": null}',
    '{"1": 1, "2": 1, "3":',
    '{"1": 1, "2": 1, "3": 1} no: {"1": 0, "2": 1, "3": 1}',
    "[1, 1, 1]",
]


@pytest.mark.parametrize("reply", BAD_ANSWERS)
def test_an_answer_that_lacks_a_criterion_is_no_verdict(task: Task, reply: str) -> None:
    said = run(ChecklistJudge(task, ScriptedLLM([reply]), author=author()).judge("q", "a wish"))
    assert (said.label, said.probability) == (None, None)
    assert said.unscored


def test_eight_criteria_are_the_most(task: Task) -> None:
    many = [{"text": f"Is it number{i}?", "weight": 1, "must": False} for i in range(12)]
    judge = ChecklistJudge(task, ScriptedLLM(meets), author=author(many))
    assert run(judge.judge("q", "number0 number1")).probability == 0.25


def test_an_author_that_vetoes_by_most_of_its_list_vetoes_by_none(task: Task) -> None:
    assert judged(task, "a window", [one | {"must": True} for one in WRITTEN]).probability == 0.5


def test_the_author_is_shown_good_and_bad_texts_of_other_queries(task: Task) -> None:
    pool = tuple(Labelled(f"q{i}", f"{'fine' if i % 2 else 'poor'} text {i}", 1 if i % 2 else 0) for i in range(6))
    strong, llm = author(), ScriptedLLM(meets)
    judge = ChecklistJudge(task, llm, None, Examples(pool, 5), author=strong)
    run(judge.judge("q1", "a wish"))
    shown = strong.calls[0].messages[0]["content"]
    assert "fine text 3" in shown
    assert "poor text 2" in shown
    assert "text 1" not in shown
    assert "text 3" not in str(llm.calls[0].messages)


ONE, TWO, THREE = (Criterion(name) for name in ("one", "two", "three"))


def verdict(one: int, two: int, three: int) -> Verdict:
    return Verdict(1, probability=1.0, points={"one": one, "two": two, "three": three})


def test_criteria_that_separate_nothing_are_dropped_and_shown() -> None:
    lists = {query: Checklist(query, (ONE, TWO, THREE)) for query in ("a", "b", "c", "d")}
    texts = [Labelled("a", "good", 1), Labelled("a", "bad", 0), Labelled("b", "good", 1), Labelled("b", "bad", 0)]
    texts += [Labelled("c", "good", 1), Labelled("d", "good", 1), Labelled("d", "bad", 0)]
    said = [verdict(1, 1, 0), verdict(0, 1, 1), verdict(1, 1, 1), verdict(1, 1, 1), verdict(0, 0, 0)]
    kept = sifted(lists, texts, [*said, Verdict(None, unscored="no"), verdict(0, 0, 0)])
    assert kept[0] == Checklist("a", (ONE,), (TWO, THREE))  # two: both; three: the bad one
    assert kept[1:] == tuple(lists[query] for query in "bcd")  # nothing would be left; one label; unscored
    found = counted(kept)
    assert (found["checklists"], found["criteria"]) == (4, 12)
    assert found["dropped_criteria"] == [{"query": "a", "criterion": "two"}, {"query": "a", "criterion": "three"}]


def test_a_saved_judge_has_its_checklists_and_writes_no_known_one(task: Task, tiny_task: Path, tmp_path: Path) -> None:
    known = Checklist("q", (Criterion("Is it a wish?", 3, must=True),))
    spec = JudgeSpec(str(tiny_task), "m", "checklist", author="strong", checklists=(known,))
    spec.save(tmp_path)
    read = JudgeSpec.read(tmp_path)
    assert (read.author, read.checklists) == ("strong", (known,))
    strong = author()
    judge = JudgeSpec.build(
        read.opened(lambda name: {"strong": strong}[name], lambda name: pytest.fail(name)), ScriptedLLM(meets)
    )
    assert run(judge.judge("q", "a wish")).probability == 1.0
    assert len(strong.calls) == 0
    assert run(judge.judge("other", "a wish and a window")).probability == 0.75
    assert len(strong.calls) == 1
    other = JudgeSpec(str(tiny_task), "m", "logprob")
    other.save(tmp_path / "other")
    assert "checklists" not in (tmp_path / "other" / "judge.json").read_text()
    assert spec.foreign(JudgeSpec(str(tiny_task), "m", "checklist")) == "author of checklists"
