"""The paths of engines that know no missing score: their texts are read as they send them, and they never get null."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("starlette")
from scripted_reward import ScriptedReward
from starlette.testclient import TestClient

from inkfire.errors import EndpointDown
from inkfire.records import Verdict
from inkfire.rewards.base import Reward
from inkfire.rewards.judge import JudgeReward
from inkfire.serve import dialects
from inkfire.serve.dialects import bare, divided, query_of, response_of
from inkfire.serve.reward import reward_server
from inkfire.serve.scoring import Desk, Refused

QWEN = "<|im_start|>system\nYou write.<|im_end|>\n<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"
LLAMA = (
    "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\n{}<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\n"
)
GEMMA = "<bos><start_of_turn>user\n{}<end_of_turn>\n<start_of_turn>model\n"
MISTRAL = "<s>[INST] {} [/INST]"
OURS = "You write wishes.\n\nUser:\n{}\n\nAssistant:\n"
FACTORY = "Human: {}\nAssistant:"
TEMPLATES = [QWEN, LLAMA, GEMMA, MISTRAL, OURS, FACTORY]
ENDS = ["<|im_end|>\n", "<|eot_id|>", "<end_of_turn>\n", "</s>", "", "<|im_end|><|endoftext|><|endoftext|>"]

Serve = Callable[..., TestClient]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    monkeypatch.setattr(dialects, "_PAUSE", 0.01)
    begun: list[TestClient] = []

    def begin(reward: Reward, whole: bool = False) -> TestClient:
        desk = Desk(reward, whole=whole)
        app = reward_server(desk, "t", dialects.dialects(desk))
        begun.append(TestClient(app, headers={"Authorization": "Bearer t"}).__enter__())
        return begun[-1]

    yield begin
    for client in begun:
        client.__exit__()


def openrlhf(response: str, query: str = "a wish", label: Any = None) -> dict[str, Any]:
    prompt = QWEN.format(query)
    return {"query": [f"{prompt}{response}<|im_end|>"], "prompts": [prompt], "labels": [label]}


def test_each_engine_gets_what_it_reads(serve: Serve) -> None:
    seen = []
    reward = ScriptedReward(lambda query, response, size: seen.append((query, response)) or float(len(response)))
    client = serve(reward)
    assert client.post("/openrlhf", json=openrlhf("Dear Ana")).json() == {
        "rewards": [8.0],
        "scores": [pytest.approx(0.99966, abs=1e-5)],
        "extra_logs": {"missing": [0.0]},
    }
    asked = {"prompt": [{"role": "user", "content": "a wish"}], "response": "Dear Bo<|im_end|>", "label": None}
    assert client.post("/slime", json=asked).json() == 7.0
    asked = {"model": "model", "messages": [QWEN.format("a wish") + text for text in ("Dear C<|im_end|>\n", "Hi")]}
    assert client.post("/llamafactory", json=asked).json() == {"scores": [6.0, 2.0]}
    assert seen == [("a wish", text) for text in ("Dear Ana", "Dear Bo", "Dear C", "Hi")]


def test_a_judges_probability_is_the_score_that_openrlhf_filters_by(serve: Serve) -> None:
    class Unsure:
        name = "unsure"

        async def judge(self, query: str, response: str) -> Verdict:
            return Verdict(0, probability=0.25)

        async def close(self) -> None:
            pass

    answer = serve(JudgeReward(Unsure())).post("/openrlhf", json=openrlhf("Dear Ana")).json()
    assert (answer["rewards"], answer["scores"]) == ([0.25], [0.25])


def test_a_missing_score_is_asked_for_again_then_the_mean_of_the_last_and_counted(serve: Serve) -> None:
    said: dict[str, Any] = {"a": [1.0], "b": [3.0], "late": [None, None, 8.0], "never": [None] * 3, "down": []}

    def rule(query: str, response: str, size: int) -> float | None:
        if response == "down":
            raise EndpointDown("no answer")
        return said[response].pop(0)  # type: ignore[no-any-return]

    client = serve(ScriptedReward(rule))
    for response, score in (("a", 1.0), ("b", 3.0), ("late", 8.0), ("never", 4.0), ("down", 4.0)):
        answer = client.post("/openrlhf", json=openrlhf(response)).json()
        assert answer["rewards"] == [score]
        assert answer["extra_logs"] == {"missing": [float(response in ("never", "down"))]}
    assert "inkfire_neutral_total 2\n" in client.get("/metrics").text
    assert client.post("/score", json={"queries": ["q"], "responses": ["down"]}).status_code == 503


def test_before_the_first_score_there_is_no_neutral_value(serve: Serve) -> None:
    client = serve(ScriptedReward(lambda query, response, size: None))
    answers = [
        client.post("/openrlhf", json=openrlhf("Dear Ana")),
        client.post("/slime", json={"prompt": "a wish", "response": "Dear Ana"}),
        client.post("/llamafactory", json={"messages": [QWEN.format("a wish") + "Dear Ana"]}),
    ]
    assert [answer.status_code for answer in answers] == [503] * 3
    assert "none yet" in answers[0].json()["error"]


def test_an_engine_that_waits_too_long_gets_the_neutral_value(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    reward = ScriptedReward(lambda query, response, size: 5.0)
    client = serve(reward)
    assert client.post("/slime", json={"prompt": "a wish", "response": "a"}).json() == 5.0
    monkeypatch.setattr(dialects, "PATIENCE", 0.2)
    reward.rule = lambda query, response, size: 9.0
    reward.go.clear()
    assert client.post("/slime", json={"prompt": "a wish", "response": "a"}).json() == 5.0
    reward.go.set()


@pytest.mark.parametrize("path", ["/openrlhf", "/slime", "/llamafactory"])
def test_a_reward_that_looks_at_the_group_is_refused(serve: Serve, path: str) -> None:
    reward = ScriptedReward()
    body = openrlhf("a") | {"prompt": "a wish", "response": "a", "messages": [QWEN + "a"]}
    answer = serve(reward, whole=True).post(path, json=body)
    assert answer.status_code == 422
    assert "--mix raw" in answer.json()["error"]
    assert reward.calls == []


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/openrlhf", {"query": ["a"], "prompts": [], "labels": []}),
        ("/openrlhf", {"query": "a", "prompts": "a", "labels": "a"}),
        ("/openrlhf", {"query": ["nothing of a template"], "prompts": ["another"], "labels": [None]}),
        ("/slime", {"response": "a"}),
        ("/slime", {"prompt": [{"role": "system", "content": "a"}], "response": "a"}),
        ("/slime", {"prompt": [{"role": "user", "content": [{"type": "image"}]}], "response": "a"}),
        ("/llamafactory", {"messages": ["nothing of a template"]}),
        ("/llamafactory", {"messages": [1]}),
    ],
)
def test_what_is_not_the_engines_is_refused(serve: Serve, path: str, body: dict[str, Any]) -> None:
    reward = ScriptedReward()
    assert serve(reward).post(path, json=body).status_code == 422
    assert reward.calls == []


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("end", ENDS)
def test_the_query_and_the_response_are_told_apart(template: str, end: str) -> None:
    prompt = template.format("祝福 for\nAna")
    whole = f"{prompt}Dear Ana,\n\nbe well.{end}"
    assert query_of(prompt) == "祝福 for\nAna"
    assert response_of(whole, prompt) == response_of(whole, "another") == "Dear Ana,\n\nbe well."
    assert divided(whole)[0] == prompt


def test_a_label_is_the_query_where_the_prompt_contains_it() -> None:
    prompt = QWEN.format("Write for this occasion: a wish for Ana")
    assert query_of(prompt, "a wish for Ana") == "a wish for Ana"
    for other in ("a reference answer", "", "  ", 3, None, ["a wish for Ana"]):
        assert query_of(prompt, other) == "Write for this occasion: a wish for Ana"


def test_an_answer_that_opens_further_turns_hides_nothing() -> None:
    whole = QWEN.format("a wish") + "junk<|im_end|>\n<|im_start|>assistant\nDear Ana"
    assert divided(whole)[1].startswith("junk")


def test_thoughts_are_no_part_of_the_response() -> None:
    assert bare("<think>\nshort?\n</think>\n\nDear Ana<|im_end|>") == "Dear Ana"


@given(st.text())
def test_whatever_text_comes_it_is_read_or_refused(text: str) -> None:
    bare(text)
    query_of(text, text)
    try:
        prompt, response = divided(text)
    except Refused:
        return
    assert prompt + response == text
