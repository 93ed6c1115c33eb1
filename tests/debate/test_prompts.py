"""The shipped prompts: they render in every state of a debate, and agents share what comes first."""

from typing import Any, get_args

import pytest

from inkfire.debate.settings import AGENTS, DebateSettings, Depth, prompt_of
from inkfire.tasks.task import Task, load_task, task_names

ITEM = {"query": "QUERY", "response": "RESPONSE", "examples": [{"query": "NEAR", "response": "GOOD"}]}
POINTS = {"POINT": "REASON"}
CASES = {
    "positive": [{}],
    "negative": [{}],
    "judge": [{"positive": p, "negative": n} for p in (POINTS, None) for n in (POINTS, None)],
    "reflect": [
        {"positive": p, "negative": n, "verdict": v}
        for p in (POINTS, None)
        for n in (POINTS, None)
        for v in ({"judge": 0, "reason": "WHY"}, None)
    ],
}


@pytest.fixture(params=task_names())
def shipped(request: pytest.FixtureRequest) -> Task:
    return load_task(request.param)


def rendered(task: Task, agent: str, depth: Depth, values: dict[str, Any]) -> list[str]:
    asked = DebateSettings(depth=depth).asked(task, "negative" if agent == "negative" else "positive")
    messages = task.render(prompt_of(agent, depth), **values, **asked)
    assert [message["role"] for message in messages] == ["system", "user"]
    return [message["content"] for message in messages]


@pytest.mark.parametrize("depth", get_args(Depth))
@pytest.mark.parametrize("agent", AGENTS)
def test_every_state_of_a_debate_renders(shipped: Task, agent: str, depth: Depth) -> None:
    for case in CASES[agent]:
        for item in (ITEM, {**ITEM, "examples": []}):
            _, text = rendered(shipped, agent, depth, {**item, **case})
            assert '"QUERY"' in text
            assert '"RESPONSE"' in text
            assert ('"GOOD"' in text) == bool(item["examples"])
            assert text.count("POINT") == sum(case.get(side) is POINTS for side in ("positive", "negative"))
            assert ('"WHY"' in text) == bool(case.get("verdict"))
            assert "\n\n\n" not in text


@pytest.mark.parametrize("depth", get_args(Depth))
def test_agents_share_the_beginning_so_that_a_prefix_cache_serves_it(shipped: Task, depth: Depth) -> None:
    """A small engine spends most of a debate on reading: system prompt and item are read once for all four."""
    cases = {agent: {**ITEM, **CASES[agent][0]} for agent in AGENTS}
    said = [rendered(shipped, agent, depth, case) for agent, case in cases.items()]
    assert len({system for system, _ in said}) == 1
    item, _, _ = said[0][1].partition('"RESPONSE"')
    assert all(user.startswith(item + '"RESPONSE"\n') for _, user in said)


def test_a_full_debate_asks_for_every_aspect_of_its_side(shipped: Task) -> None:
    assert shipped.aspects is not None
    assert (len(shipped.aspects.positive), len(shipped.aspects.negative)) == (8, 8)
    for agent, aspects in (("positive", shipped.aspects.positive), ("negative", shipped.aspects.negative)):
        _, text = rendered(shipped, agent, "full", ITEM)
        assert all(f"- {aspect}\n" in text for aspect in aspects)
        assert "8" in text
    for agent in ("judge", "reflect"):  # good on every count
        _, text = rendered(shipped, agent, "full", {**ITEM, **CASES[agent][0]})
        assert all(f"- {aspect}\n" in text for aspect in shipped.aspects.positive)


def test_a_side_without_a_point_is_said_to_have_none(shipped: Task) -> None:
    none, off = ({"positive": side, "negative": side, "verdict": None} for side in ({}, None))
    for agent in ("judge", "reflect"):
        given = {name: value for name, value in none.items() if name != "verdict" or agent == "reflect"}
        left = {name: value for name, value in off.items() if name in given}
        said = [rendered(shipped, agent, "full", {**ITEM, **values})[1] for values in (given, left)]
        assert said[0].count("没有说出" if shipped.language == "zh" else "it: nothing.") == 2
        assert "没有说出" not in said[1]
        assert "nothing." not in said[1]


@pytest.mark.parametrize("variant", ["writer", "writer_alt"])
def test_writers_get_the_query_as_it_is(shipped: Task, variant: str) -> None:
    system, user = shipped.messages('Say {{ 1 }} "now"', variant)
    assert system["role"] == "system"
    assert user == {"role": "user", "content": 'Say {{ 1 }} "now"'}
