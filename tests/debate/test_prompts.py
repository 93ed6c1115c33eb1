"""The shipped prompts: they render in every state of a debate, and agents share what comes first."""

import pytest

from inkfire.debate.debate import AGENTS
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


@pytest.mark.parametrize("agent", AGENTS)
def test_every_state_of_a_debate_renders(shipped: Task, agent: str) -> None:
    for case in CASES[agent]:
        for item in (ITEM, {**ITEM, "examples": []}):
            system, user = shipped.render(agent, **item, **case)
            assert (system["role"], user["role"]) == ("system", "user")
            text = user["content"]
            assert '"QUERY"' in text
            assert '"RESPONSE"' in text
            assert ('"GOOD"' in text) == bool(item["examples"])
            assert text.count("POINT") == sum(case.get(side) is POINTS for side in ("positive", "negative"))
            assert ('"WHY"' in text) == bool(case.get("verdict"))
            assert "\n\n\n" not in text


def test_agents_share_the_beginning_so_that_a_prefix_cache_serves_it(shipped: Task) -> None:
    """A small engine spends most of a debate on reading: system prompt and item are read once for all four."""
    cases = {agent: {**ITEM, **CASES[agent][0]} for agent in AGENTS}
    rendered = [[message["content"] for message in shipped.render(agent, **case)] for agent, case in cases.items()]
    assert len({system for system, _ in rendered}) == 1
    item, _, _ = rendered[0][1].partition('"RESPONSE"')
    assert all(user.startswith(item + '"RESPONSE"\n') for _, user in rendered)


@pytest.mark.parametrize("variant", ["writer", "writer_alt"])
def test_writers_get_the_query_as_it_is(shipped: Task, variant: str) -> None:
    system, user = shipped.messages('Say {{ 1 }} "now"', variant)
    assert system["role"] == "system"
    assert user == {"role": "user", "content": 'Say {{ 1 }} "now"'}
