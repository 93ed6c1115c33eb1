"""The depth of a debate: what a full one asks, how ragged answers are read, and that a short one is what it was."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from inkfire.debate.debate import Debate
from inkfire.debate.settings import AGENTS, DebateSettings, DepthSettings, prompt_of
from inkfire.errors import InputError, TaskError
from inkfire.files.jsonl import write_jsonl
from inkfire.llm.scripted import ScriptedLLM
from inkfire.records import Example
from inkfire.search import Retriever
from inkfire.tasks.task import Task, load_task

FULL = DepthSettings(depth="full")
NONE = '{"points": []}'
KIND = '{"points": [{"point": "Kind", "reason": "It means well."}]}'
GOOD = '{"reason": "Nothing is wrong.", "judge": 1}'


async def debated(replies: list[str], depth: DepthSettings = FULL) -> tuple[Any, ScriptedLLM]:
    llm = ScriptedLLM(replies)
    return await Debate(load_task("greetings-en"), llm, depth=depth).run("QUERY", "RESPONSE"), llm


@pytest.mark.parametrize(
    ("reply", "points"),
    [
        (KIND, {"Kind": "It means well."}),
        (NONE, {}),
        ('{"points": null}', {}),
        ('[{"point": "Kind", "reason": "It means well."}]', {"Kind": "It means well."}),
        ('Here:\n```json\n[{"point": "Kind", "reason": "It means well."}]\n```', {"Kind": "It means well."}),
        ('{"points": ["kind", "short"]}', {"kind": "", "short": ""}),
        ('{"points": [{"point": "Kind"}, {"reason": "It reads well."}]}', {"Kind": "", "": "It reads well."}),
        (
            '{"points": {"Kind": "It means well.", "Fit": "Right name."}}',
            {"Kind": "It means well.", "Fit": "Right name."},
        ),
        ('{"Kind": "It means well.", "Fit": "Right name."}', {"Kind": "It means well.", "Fit": "Right name."}),
        (
            '{"points": [{"point": "Kind", "reason": "One."}, {"point": "Kind", "reason": "Two."}]}',
            {"Kind": "One. Two."},
        ),
        ('{"points": [{"point": "Kind", "reason": "x", "score": 9}], "mood": "good"}', {"Kind": "x"}),
        (
            json.dumps({"points": [{"point": f"P{i}", "reason": "x"} for i in range(12)]}),
            {f"P{i}": "x" for i in range(8)},
        ),
        (
            '{"points": [{"point": "Kind", "reason": "It means well."}, {"point": "Fit", "rea',
            {"Kind": "It means well."},
        ),
    ],
)
async def test_ragged_points_keep_their_meaning(reply: str, points: dict[str, str]) -> None:
    transcript, _ = await debated([reply, KIND, GOOD, GOOD])
    assert transcript.positive is not None, transcript.verdict
    said = transcript.positive.points
    assert {name: said.get(name) for name in points} == points
    assert len(said) == len(points) or reply.endswith('"rea')
    assert transcript.verdict.label == 1


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "I cannot say.",
        "{}",
        '{"error": "refused"}',
        '{"points": "none"}',
        '{"points": 3}',
        '{"points": [1, 2]}',
        '{"points": [{"aspect": "Kind"}]}',
        '{"judge": 1, "reason": "good"}',
    ],
)
async def test_what_is_no_list_of_points_leaves_the_text_unscored(reply: str) -> None:
    transcript, llm = await debated([reply, KIND, GOOD, GOOD])
    assert transcript.verdict.label is None
    assert transcript.verdict.unscored.startswith("positive: ")
    assert len(llm.calls) == 2  # nobody judges half a debate


@pytest.mark.parametrize(
    ("reply", "label"),
    [
        (GOOD, 1),
        ('{"judge": 0}', 0),
        ('{"judge": "0", "reason": "x"}', 0),
        ('{"reason": "x"}', None),
        ('{"judge": 2, "reason": "x"}', None),
        ('{"judge": 1, "reason": "x"} or {"judge": 0, "reason": "y"}', None),
        ('["good"]', None),
        ("", None),
    ],
)
async def test_a_ragged_verdict_is_never_a_default(reply: str, label: int | None) -> None:
    transcript, _ = await debated([KIND, KIND, reply, GOOD])
    assert (transcript.judge and transcript.judge.label) == label
    assert transcript.verdict.label == (None if label is None else 1)


async def test_where_neither_side_has_a_point_judge_decides_on_the_text() -> None:
    transcript, llm = await debated(
        [NONE, NONE, '{"reason": "Stale.", "judge": 0}', '{"reason": "So it is.", "judge": 0}']
    )
    assert (transcript.positive.points, transcript.negative.points) == ({}, {})
    assert transcript.verdict.label == 0
    for call in llm.calls[2:]:
        assert "Said for it: nothing." in call.messages[-1]["content"]
        assert "Said against it: nothing." in call.messages[-1]["content"]
        assert '"RESPONSE"' in call.messages[-1]["content"]
    short, _ = await debated([NONE, KIND, GOOD, GOOD], DepthSettings(depth="short"))  # it asks for a point
    assert short.verdict.unscored is not None


async def test_points_length_and_tokens_are_settings() -> None:
    settings = DepthSettings(depth="full", points=3, sentence=12, agent_tokens=300)
    _, llm = await debated([KIND, KIND, GOOD, GOOD], settings)
    asked = [call.messages[-1]["content"] for call in llm.calls]
    assert all("At most 3 points" in text and "of at most 12 words" in text for text in asked[:2])
    assert all("in at most 24 words" in text for text in asked[2:])
    assert [call.sampling.max_tokens for call in llm.calls] == [300] * 4
    assert llm.calls[0].schema is not None
    points = llm.calls[0].schema["properties"]["points"]
    assert (points["minItems"], points["maxItems"]) == (0, 3)
    assert points["items"]["properties"]["reason"]["maxLength"] >= 12 * 6


async def test_a_side_is_asked_for_its_own_aspects() -> None:
    _, llm = await debated([KIND, KIND, GOOD, GOOD])
    positive, negative, judge, reflect = (call.messages[-1]["content"] for call in llm.calls)
    assert "- Purity of intent" in positive
    assert "- Taboo" not in positive
    assert "- Taboo" in negative
    assert "- Purity of intent" not in negative
    assert '"Kind", "It means well."' in judge
    assert "The judge's verdict: 1" in reflect


@pytest.mark.parametrize(
    ("name", "digest"), [("greetings-en", "495868a3b00ca30e"), ("greetings-zh", "18f4e70f3dcb24ab")]
)
async def test_a_short_debate_asks_what_it_always_did(name: str, digest: str) -> None:
    """Replies are found again in a ledger by messages, schema and sampling: none of them may change."""
    twice = '{"points": [{"point": "A", "reason": "B"}, {"point": "A", "reason": "C"}]}'
    verdict = '{"reason": "D", "judge": 1}'
    llm = ScriptedLLM([twice, twice, verdict, verdict])
    retriever = Retriever([Example("QUERY one", "GOOD", 3)])
    await Debate(load_task(name), llm, retriever=retriever, seed=3).run("QUERY", "RESPONSE")
    asked = [[call.messages, call.schema, dataclasses.asdict(call.sampling)] for call in llm.calls]
    assert hashlib.sha256(json.dumps(asked, ensure_ascii=False).encode()).hexdigest()[:16] == digest


# ---- which depth ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "agents", "depth"),
    [
        ("gpt-5-mini", (), "full"),
        ("local/qwen2.5-coder-1.5b", (), "short"),
        ("gpt-5-mini", ("negative=local/qwen2.5-coder-1.5b",), "short"),
        ("local/qwen2.5-coder-1.5b", tuple(f"{agent}=gpt-5" for agent in AGENTS), "full"),
        ("local/qwen2.5-coder-1.5b", ("positive=off", "negative=off", "judge=gpt-5", "reflect=off"), "full"),
    ],
)
def test_full_is_for_models_behind_an_endpoint(model: str, agents: tuple[str, ...], depth: str) -> None:
    assert DebateSettings(agent=agents).settled(load_task("greetings-en"), model).depth == depth


def test_a_task_without_the_prompts_is_debated_in_short_and_that_is_said(
    task: Task, caplog: pytest.LogCaptureFixture
) -> None:
    assert DebateSettings().settled(task, "gpt-5").depth == "short"
    assert "no prompts/positive_full.jinja: its texts are debated in short" in caplog.text
    with pytest.raises(TaskError, match=r"positive_full\.jinja: no such prompt; it is for inkfire curate --depth full"):
        DebateSettings(depth="full").settled(task, "gpt-5")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"depth": "short", "points": 3}, "--points is a setting of a full debate"),
        ({"depth": "short", "agent_tokens": 300}, "--agent-tokens is a setting of a full debate"),
        ({"agent": ("chair=gpt",)}, "the agents are positive, negative, judge, reflect"),
        ({"agent": ("judge",)}, "write AGENT=MODEL or AGENT=off"),
        ({"agent": ("judge=off", "reflect=off")}, "needs judge or reflect"),
    ],
)
def test_settings_that_do_not_fit_together_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        DebateSettings(**settings).settled(load_task("greetings-en"), "gpt-5")


# ---- the task's part -----------------------------------------------------------------------------------------------


def test_without_aspects_a_side_goes_by_the_rubric(task: Task) -> None:
    assert task.aspects is None
    assert task.aspects_of("negative") == task.aspects_of("positive")
    assert task.aspects_of("positive")[:2] == ("language: Fluent and correct.", "creativity: Something new.")
    assert FULL.limits(task).points == (0, 5)


def test_aspects_of_one_side_alone_are_refused(tiny_task: Path) -> None:
    text = (tiny_task / "task.toml").read_text(encoding="utf-8")
    (tiny_task / "task.toml").write_text(f'aspects.positive = ["Kind"]\n{text}', encoding="utf-8")
    with pytest.raises(TaskError, match=r"the key 'aspects\.negative' is missing"):
        load_task(tiny_task)


def test_good_texts_are_the_tasks_own_file_or_else_its_good_labelled_ones(tiny_task: Path) -> None:
    assert [text.response for text in load_task(tiny_task).good_texts()] == [
        row.response for row in load_task(tiny_task).labelled() if row.label == 1
    ]
    write_jsonl(tiny_task / "good.jsonl", [{"query": "q", "response": "r", "clicks": 7}])
    assert load_task(tiny_task).good_texts() == [Example("q", "r", 7)]
    assert [text.response for text in load_task(tiny_task).exam_texts()] == [
        row.response for row in load_task(tiny_task).labelled() if row.label == 1
    ]
    (tiny_task / "labelled.jsonl").rename(tiny_task / "elsewhere.jsonl")
    assert load_task(tiny_task).exam_texts() == [Example("q", "r", 7)]
    (tiny_task / "elsewhere.jsonl").rename(tiny_task / "labelled.jsonl")
    for name in ("good", "labelled"):
        (tiny_task / f"{name}.jsonl").unlink()
    assert load_task(tiny_task).good_texts() == load_task(tiny_task).exam_texts() == []


def test_the_prompts_of_a_full_debate_have_names_of_their_own() -> None:
    assert [prompt_of(agent, "full") for agent in AGENTS] == [f"{agent}_full" for agent in AGENTS]
    assert [prompt_of(agent, "short") for agent in AGENTS] == list(AGENTS)
