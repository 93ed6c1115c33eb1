"""The reward server over HTTP: who may ask, what is answered to what is wrong, and what it says of itself."""

from __future__ import annotations

import json
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest

pytest.importorskip("starlette")
from scripted_reward import ScriptedReward
from starlette.testclient import TestClient

from inkfire.errors import BudgetExceeded
from inkfire.serve import reward as server
from inkfire.serve.scoring import Desk, Limits

TOKEN = "0123456789abcdef"
Serve = Callable[..., TestClient]


@pytest.fixture
def serve() -> Iterator[Serve]:
    with ExitStack() as stack:

        def begin(reward: ScriptedReward, whole: bool = False, **limits: Any) -> TestClient:
            desk = Desk(reward, whole=whole, limits=Limits(**limits))
            app = server.reward_server(desk, TOKEN)
            return stack.enter_context(TestClient(app, headers={"Authorization": f"Bearer {TOKEN}"}))

        yield begin


def asked(*responses: str, **more: Any) -> dict[str, Any]:
    return {"queries": ["a wish"] * len(responses), "responses": responses} | more


def test_scores_come_in_order_and_what_is_missing_is_null(serve: Serve) -> None:
    client = serve(ScriptedReward(lambda query, response, size: None if response == "?" else float(len(response))))
    cut = [True, None, False, None, None]
    answer = client.post("/score", json=asked("a", "?", "愿你…", "\U0001f339\u2028", "", truncated=cut))
    assert (answer.status_code, answer.json()) == (200, {"scores": [1.0, None, 3.0, 2.0, 0.0]})
    assert client.post("/score", json=asked()).json() == {"scores": []}


@pytest.mark.parametrize(
    ("header", "status"),
    [
        (f"Bearer {TOKEN}", 200),
        (f"bearer  {TOKEN}", 200),
        (f"Basic {b64encode(f'inkfire:{TOKEN}'.encode()).decode()}", 200),
        (f"Basic {b64encode(f'{TOKEN}:wrong'.encode()).decode()}", 401),
        ("Basic not base64", 401),
        (f"Bearer {TOKEN}0", 401),
        (f"Bearer {TOKEN[:-1]}", 401),
        ("Bearer ", 401),
        (f"Token {TOKEN}", 401),
        ("Bearer ü", 401),
        ("", 401),
    ],
)
def test_only_who_has_the_token_is_answered(serve: Serve, header: str, status: int) -> None:
    reward = ScriptedReward()
    client = serve(reward)
    headers = {"Authorization": header.encode("latin-1")}
    answers = [client.post("/score", json=asked("a"), headers=headers), client.get("/metrics", headers=headers)]
    answers += [client.get("/nothing", headers=headers)]
    assert [answer.status_code for answer in answers] == ([200, 200, 404] if status == 200 else [401] * 3)
    assert len(reward.calls) == (status == 200)
    assert client.get("/health", headers=headers).json() == {"status": "ok"}


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "Invalid JSON"),
        (b"{", "Invalid JSON"),
        (b"\xff\xfe", "Invalid JSON"),
        (b"[" * 10_000, "Invalid JSON"),
        (b"[]", "Input should be an object"),
        (b"null", "Input should be an object"),
        (b'{"queries": ["a"]}', "responses: Field required"),
        (b'{"queries": ["a"], "responses": ["a"], "response": 1}', "response: "),
        (b'{"queries": ["a"], "responses": [1]}', "responses.0: Input should be a valid string"),
        (b'{"queries": ["a"], "responses": "a"}', "responses: "),
        (b'{"queries": ["a"], "responses": ["\\ud800"]}', "Invalid JSON"),
        (b'{"queries": ["a"], "responses": ["a", "b"]}', "queries has 1 entries, responses 2"),
        (b'{"queries": ["a"], "responses": ["a"], "truncated": []}', "truncated has 0 entries, responses 1"),
        (b'{"queries": ["a"], "responses": ["a"], "truncated": ["no"]}', "truncated.0: "),
        (b'{"queries": ["a"], "responses": ["a"], "groups": [{"id": "", "size": 1}]}', "groups.0.id: "),
        (b'{"queries": ["a"], "responses": ["a"], "groups": [{"id": "g", "size": 0}]}', "groups.0.size: "),
        (b'{"queries": ["a"], "responses": ["a"], "groups": [{"id": "g"}]}', "groups.0.size: Field required"),
        (b'{"queries": ["a"], "responses": ["a"]}', "the only one of its query"),
    ],
)
def test_what_is_malformed_is_told_where(serve: Serve, body: bytes, why: str) -> None:
    reward = ScriptedReward()
    answer = serve(reward, whole=True).post("/score", content=body)
    assert answer.status_code == 422
    assert why in answer.json()["error"]
    assert reward.calls == []


def test_what_is_too_large_is_refused(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "LARGEST", 2000)
    client = serve(ScriptedReward(), queue=3)
    assert client.post("/score", json=asked("x" * 1900)).status_code == 200
    answers = [client.post("/score", json=asked(*texts)) for texts in (["x" * 2000], ["x" * 50_000], "abcd")]
    assert [answer.status_code for answer in answers] == [413] * 3
    assert client.post("/score", json=asked("a", "b", "c")).status_code == 200


def test_a_full_queue_says_when_to_ask_again(serve: Serve) -> None:
    reward = ScriptedReward()
    client = serve(reward, queue=2)
    reward.go.clear()
    with ThreadPoolExecutor(2) as pool:
        first = [pool.submit(client.post, "/score", json=asked("a")) for _ in range(2)]
        while "inkfire_queue_texts 2\n" not in client.get("/metrics").text:
            time.sleep(0.01)
        answer = client.post("/score", json=asked("b"))
        assert (answer.status_code, answer.headers["Retry-After"]) == (429, "1")
        reward.go.set()
        assert [one.result().status_code for one in first] == [200, 200]
    assert client.post("/score", json=asked("b")).status_code == 200


def test_a_reward_that_cannot_be_asked_is_said_and_no_score_is_made_up(serve: Serve) -> None:
    def rule(query: str, response: str, size: int) -> float:
        raise BudgetExceeded("the spend limit of 1 USD is reached")

    answer = serve(ScriptedReward(rule)).post("/score", json=asked("a"))
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert answer.json() == {"error": "the reward failed: the spend limit of 1 USD is reached"}


def test_a_group_comes_in_several_requests(serve: Serve) -> None:
    client = serve(ScriptedReward(), whole=True, deadline=20.0)
    with ThreadPoolExecutor(4) as pool:
        bodies = [asked("x" * i, groups=[{"id": "g", "size": 4}]) for i in range(4)]
        answers = list(pool.map(lambda body: client.post("/score", json=body).json(), bodies))
    assert answers == [{"scores": [4000.0 + i]} for i in range(4)]


def test_a_group_that_never_completes_is_answered_as_missing(serve: Serve) -> None:
    client = serve(ScriptedReward(), whole=True, deadline=0.2)
    answer = client.post("/score", json=asked("a", "b", groups=[{"id": "g", "size": 3}] * 2))
    assert (answer.status_code, answer.json()) == (200, {"scores": [None, None]})
    assert 'inkfire_texts_missing_total{reason="incomplete group"} 2\n' in client.get("/metrics").text


def test_the_metrics_are_what_prometheus_reads(serve: Serve) -> None:
    reward = ScriptedReward(lambda query, response, size: None)
    client = serve(reward)
    reward.unscored['the model said "no\\"\nand went'] = 0
    client.post("/score", json=asked("a", "b"))
    reward.rule = lambda query, response, size: reward.unscored.update(['said "no\\"\nand went'])
    client.post("/score", json=asked("a"))
    client.post("/score", content=b"{")
    client.get("/%0a")
    told = client.get("/metrics")
    assert told.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = told.text.splitlines()
    samples = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    assert samples['inkfire_requests_total{path="/score",status="200"}'] == "2"
    assert samples['inkfire_requests_total{path="/score",status="422"}'] == "1"
    assert samples['inkfire_requests_total{path="other",status="404"}'] == "1"
    assert samples["inkfire_texts_total"] == "3"
    assert samples['inkfire_texts_missing_total{reason="no reason given"}'] == "2"
    assert samples['inkfire_texts_missing_total{reason="said \\"no\\\\\\"\\nand went"}'] == "1"
    assert samples['inkfire_request_seconds_bucket{path="/score",le="+Inf"}'] == "3"
    assert samples['inkfire_request_seconds_count{path="/score"}'] == "3"
    heads = [line.split()[2] for line in lines if line.startswith("# TYPE")]
    assert len(heads) == len(set(heads)) == 9
    assert all(any(name.startswith(head) for head in heads) for name in samples)


def test_what_is_answered_is_json_that_everybody_reads(serve: Serve) -> None:
    client = serve(ScriptedReward(lambda query, response, size: float(response)))
    answer = client.post("/score", json=asked("nan", "-inf", "1e308", "0.1"))
    assert json.loads(answer.text, parse_constant=pytest.fail) == {"scores": [None, None, 1e308, 0.1]}
