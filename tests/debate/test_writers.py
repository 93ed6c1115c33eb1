"""Writers: what they ask for, what they leave out."""

from typing import Any

import pytest

from inkfire.debate.writers import GivenWriter, ModelWriter, clean
from inkfire.errors import BudgetExceeded, ModelCallError
from inkfire.llm.base import Reply
from inkfire.llm.scripted import ScriptedLLM
from inkfire.records import Candidate
from inkfire.tasks.task import Task


async def test_each_draw_has_its_own_seed_and_index(task: Task) -> None:
    llm = ScriptedLLM(["one", "two", "three"], name="m")
    writer = ModelWriter(task, llm, variant="writer_alt", temperature=0.7)
    assert await writer.write("Easter", 3, seed=10) == ["one", "two", "three"]
    assert [(call.sampling.seed, call.sampling.sample) for call in llm.calls] == [(10, 0), (11, 1), (12, 2)]
    assert {call.sampling.temperature for call in llm.calls} == {0.7}
    assert {call.sampling.max_tokens for call in llm.calls} == {task.max_tokens}
    assert llm.calls[0].messages[0]["content"] == "You write unusual wishes."
    assert writer.name == "m,prompt=writer_alt,temperature=0.7"


async def test_failed_empty_and_cut_off_texts_are_left_out(task: Task) -> None:
    llm = ScriptedLLM(["kept", ModelCallError("refused"), "  ", Reply(text="cut o", finish_reason="length")])
    assert await ModelWriter(task, llm).write("Easter", 4, seed=0) == ["kept"]


async def test_a_spend_limit_stops_the_writer(task: Task) -> None:
    with pytest.raises(BudgetExceeded):
        await ModelWriter(task, ScriptedLLM([BudgetExceeded("spent")])).write("Easter", 1, seed=0)


async def test_given_texts_are_handed_out_once_by_source() -> None:
    given = [
        Candidate("q", "a", "sft"),
        Candidate("q", "b", "base"),
        Candidate("p", "c", "sft"),
        Candidate("q", "d", "sft"),
    ]
    writers, queries = GivenWriter.of(given)
    assert [writer.name for writer in writers] == ["sft", "base"]
    assert [query.query for query in queries] == ["q", "p"]
    assert await writers[0].write("q", 1, seed=0) == ["a", "d"]
    assert await writers[0].write("q", 1, seed=1) == []
    assert await writers[1].write("p", 1, seed=0) == []


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("  “愿你安好。”\n", "愿你安好。"),
        ('"Be well."', "Be well."),
        ("“福”到了，“喜”也到了", "“福”到了，“喜”也到了"),
        ('"a" and "b"', '"a" and "b"'),
        ('"', '"'),
        ("", ""),
        ("plain", "plain"),
    ],
)
def test_clean(raw: str, text: Any) -> None:
    assert clean(raw) == text
