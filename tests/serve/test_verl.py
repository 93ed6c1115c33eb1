"""The function that verl calls: a score, or an error where there is none. The server here is a script."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from inkfire.errors import InkfireError, InputError, ModelCallError
from inkfire.serve.verl import compute_score

Answer = tuple[int, Any]
Script = Callable[[dict[str, Any], int], Answer]


class Server:
    """Answers by a function of (body, how often that text came before) → (status, body)."""

    def __init__(self) -> None:
        self.script: Script = lambda body, before: (200, {"scores": [0.5 for _ in body["responses"]]})
        self.bodies: list[dict[str, Any]] = []
        self.heads: list[dict[str, str]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                before = sum(one["responses"] == body["responses"] for one in outer.bodies)
                outer.bodies.append(body)
                outer.heads.append({key.lower(): value for key, value in self.headers.items()})
                status, answer = outer.script(body, before)
                sent = json.dumps(answer).encode()
                try:
                    self.send_response(status)
                    self.send_header("content-length", str(len(sent)))
                    self.end_headers()
                    self.wfile.write(sent)
                except OSError:
                    pass  # who asked has given up

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("INKFIRE_TOKEN", "secret")
    monkeypatch.setattr("inkfire.llm.retry.Retry.wait", lambda *_: 0.01)
    found = Server()
    yield found
    found.http.shutdown()
    found.http.server_close()


ROW = {"data_source": "inkfire/tiny", "ground_truth": "a wish", "extra_info": {"index": 3, "split": "train"}}


def scored(text: str, **how: Any) -> float:
    return asyncio.run(compute_score(solution_str=text, **ROW, **how))


def test_the_server_is_asked_with_the_query_and_the_token(server: Server) -> None:
    assert scored("May it open.", reward=server.url) == 0.5
    assert server.bodies == [{"queries": ["a wish"], "responses": ["May it open."]}]
    assert server.heads[0]["authorization"] == "Bearer secret"


def test_among_samples_those_without_a_score_are_missing_and_the_others_have_theirs(server: Server) -> None:
    def script(body: dict[str, Any], before: int) -> Answer:
        [text] = body["responses"]
        if text == "slow":
            time.sleep(1.5)
        status = {"busy": 503 if before == 0 else 200, "down": 500, "refused": 422}.get(text, 200)
        return status, {"scores": [None if text == "null" else float("nan") if text == "nan" else len(text)]}

    server.script = script
    texts = ["good", "null", "nan", "busy", "down", "slow", "fine"]

    async def all_of_them() -> list[float | BaseException]:
        calls = (compute_score(solution_str=t, **ROW, reward=server.url, seconds=0.5, retries=1) for t in texts)
        return await asyncio.gather(*calls, return_exceptions=True)

    found = dict(zip(texts, asyncio.run(all_of_them()), strict=True))
    assert {text: score for text, score in found.items() if isinstance(score, float)} == {
        "good": 4.0, "busy": 4.0, "fine": 4.0
    }  # fmt: skip
    assert all(isinstance(found[text], ModelCallError) for text in ("null", "nan", "down", "slow"))
    assert [body["responses"][0] for body in server.bodies].count("down") == 2
    with pytest.raises(InputError, match="HTTP 422"):
        scored("refused", reward=server.url)


def test_a_group_is_named_and_not_counted_twice(server: Server) -> None:
    server.script = lambda body, before: (time.sleep(1.0), (200, {"scores": [1.0]}))[1]
    with pytest.raises(ModelCallError, match="no answer"):
        scored("slow", reward=server.url, group=4, seconds=0.2, retries=3)
    assert [body["groups"] for body in server.bodies] == [[{"id": "inkfire/tiny/3", "size": 4}]]
    held_out = ROW | {"extra_info": {"index": 3, "split": "val"}}
    server.script = lambda body, before: (200, {"scores": [1.0]})
    asyncio.run(compute_score(solution_str="one", **held_out, reward=server.url, group=4))
    assert "groups" not in server.bodies[-1]


def test_a_wrong_token_is_said(server: Server) -> None:
    server.script = lambda body, before: (401, {})
    with pytest.raises(InputError, match="INKFIRE_TOKEN"):
        scored("text", reward=server.url)


def test_no_server_is_an_error_that_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inkfire.llm.retry.Retry.wait", lambda *_: 0.01)
    with pytest.raises(ModelCallError, match=r"127\.0\.0\.1:9/score.*2 times"):
        scored("text", reward="http://127.0.0.1:9", retries=1)


def test_in_the_worker_a_reward_scores_or_raises(tmp_path: Path) -> None:
    source = tmp_path / "mine.py"
    source.write_text("def score(query, response):\n    return None if 'bad' in response else len(response)\n")
    spec = f"python:{source}:score"
    assert scored("four", reward=spec) == 4.0
    with pytest.raises(ModelCallError, match="no score"):
        scored("bad", reward=spec)
    with pytest.raises(InkfireError, match="no reward"):
        scored("x", reward=str(tmp_path / "nothing"))


def test_a_slow_reward_in_the_worker_is_missing(tmp_path: Path) -> None:
    source = tmp_path / "slow.py"
    source.write_text("import time\ndef score(query, response):\n    time.sleep(0.5)\n    return 1.0\n")
    with pytest.raises(ModelCallError, match=r"no score in 0\.1 s"):
        scored("four", reward=f"python:{source}:score", seconds=0.1)
