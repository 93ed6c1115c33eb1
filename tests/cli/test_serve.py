"""``inkfire serve reward`` as a process: it says where it is, answers, and ends as it is told to."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette")
from httpx2 import Client
from stub_endpoint import served

from inkfire.files.jsonl import write_json
from inkfire.judge.spec import JudgeSpec

REWARD = """
import pathlib, time

def slow(query, response):
    pathlib.Path(__file__).with_name("asked").touch()
    time.sleep(1)
    return len(response)
"""


class Server:
    """The command in a process of its own."""

    def __init__(self, *args: str, token: str | None = None):
        env = {**os.environ} | ({"INKFIRE_TOKEN": token} if token else {})
        command = [sys.executable, "-m", "inkfire", "serve", "reward", *args, "--port", "0", "--json"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)
        assert self.process.stdout is not None
        self.told = json.loads(self.process.stdout.readline())

    def client(self) -> Client:
        headers = {"Authorization": f"Bearer {self.told['token']}"}
        return Client(base_url=self.told["url"], headers=headers, timeout=30)

    def score(self, *responses: str, **more: Any) -> Any:
        with self.client() as client:
            body = {"queries": ["q"] * len(responses), "responses": responses} | more
            return client.post("/score", json=body)

    def end(self, how: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        self.process.send_signal(how)
        _, err = self.process.communicate(timeout=30)
        return self.process.returncode, err


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    begun: list[Server] = []

    def begin(*args: str, **how: Any) -> Server:
        begun.append(Server(*args, **how))
        return begun[-1]

    yield begin
    for one in begun:
        one.process.kill()
        one.process.communicate()


Serve = Callable[..., Server]


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_what_is_in_flight_when_it_is_told_to_stop_is_answered(
    serve: Serve, tmp_path: Path, how: signal.Signals
) -> None:
    (tmp_path / "reward.py").write_text(REWARD)
    server = serve(f"python:{tmp_path}/reward.py:slow", token="a-token-of-mine")
    assert server.told["token"] == "a-token-of-mine"
    with ThreadPoolExecutor(3) as pool:
        answers = [pool.submit(server.score, "a")]
        while not (tmp_path / "asked").exists():
            time.sleep(0.01)
        answers += [pool.submit(server.score, "four") for _ in range(2)]  # they wait for the first
        with server.client() as client:
            while "inkfire_queue_texts 3\n" not in client.get("/metrics").text:
                time.sleep(0.01)
        code, err = server.end(how)
        assert [answer.result().json()["scores"] for answer in answers] == [[1.0], [4.0], [4.0]]
    assert (code, err) == (0, "")


@pytest.mark.slow
def test_a_group_that_waits_when_it_stops_is_missing_and_the_engines_paths_refuse(serve: Serve) -> None:
    server = serve("share:!", "--check", "length:1..", "--group-timeout", "600")
    assert server.told["whole_groups"] is True
    assert server.score("a!", "b").json() == {"scores": [0.75, 0.25]}
    with server.client() as client:
        assert client.post("/slime", json={"prompt": "q", "response": "a"}).status_code == 422
    with ThreadPoolExecutor(1) as pool:
        waits = pool.submit(server.score, "a", groups=[{"id": "g", "size": 2}])
        with server.client() as client:
            while "inkfire_queue_texts 2\n" not in client.get("/metrics").text:
                time.sleep(0.01)
        assert server.end() == (0, "")
        assert waits.result().json() == {"scores": [None]}


@pytest.mark.slow
def test_a_judge_is_served_and_asks_its_endpoint_once_for_a_text(serve: Serve, cli: Any, tmp_path: Path) -> None:
    judge = tmp_path / "judge"
    JudgeSpec("greetings-en", "stub", "logprob").save(judge)
    code, _, err = cli("serve", "reward", judge, "--port", "0")
    assert (code, "never measured" in err, "serve" in err) == (2, True, True)
    with served(mark="window") as stub:
        server = serve(str(judge), "--force", "--base-url", stub.url)
        good, bad = server.score("May it open a window.", "Be well.").json()["scores"]
        assert 0 < bad < good < 1
        asked = len(stub.log)
        assert server.score("Be well.", "May it open a window.").json() == {"scores": [bad, good]}
        with server.client() as client:
            body = {"prompt": "q", "response": "May it open a window."}
            assert client.post("/slime", json=body).json() == good
        assert len(stub.log) == asked
        assert server.end()[0] == 0
    assert (tmp_path / ".inkfire" / "ledger.sqlite").is_file()


@pytest.mark.slow
def test_who_hangs_up_does_not_count_twice(serve: Serve) -> None:
    server = serve("share:!", "--diversity", "0.3")
    body = json.dumps({"queries": ["q"], "responses": ["a!"], "groups": [{"id": "g", "size": 2}]})
    host, port = server.told["url"].removeprefix("http://").split(":")
    head = f"POST /score HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {server.told['token']}\r\n"
    with server.client() as client:
        for _ in range(3):
            with socket.create_connection((host, int(port))) as connection:
                connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
                while "inkfire_queue_texts 2\n" not in client.get("/metrics").text:
                    time.sleep(0.01)
            while "inkfire_queue_texts 0\n" not in client.get("/metrics").text:
                time.sleep(0.01)
    with ThreadPoolExecutor(2) as pool:
        groups = [{"id": "g", "size": 2}]
        answers = [pool.submit(server.score, text, groups=groups) for text in ("a!", "b c")]
        assert sorted(answer.result().json()["scores"][0] for answer in answers) == [0.25, 0.75]


@pytest.mark.slow
def test_openrlhfs_own_request_is_answered_byte_for_byte(serve: Serve, tmp_path: Path) -> None:
    """What version 0.11.2 sent (``benchmarks/bench_openrlhf.py --record``)."""
    (tmp_path / "reward.py").write_text("def both(query, response):\n    return len(query) + 1000 * len(response)\n")
    server = serve(f"python:{tmp_path}/reward.py:both", token="a-token-for-the-recording")
    host, port = server.told["url"].removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall((Path(__file__).parents[1] / "serve" / "openrlhf_0_11_2.http").read_bytes())
        answer = b""
        while not answer.endswith(b"}"):
            answer += connection.recv(65536)
    expected = len("a wish for Ana") + 1000.0 * len("Dear Ana, 愿你 well.")
    assert json.loads(answer.partition(b"\r\n\r\n")[2]) == {
        "rewards": [expected],
        "scores": [1.0],
        "extra_logs": {"missing": [0.0]},
    }


@pytest.mark.slow
def test_it_tells_people_what_to_copy(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "inkfire", "serve", "reward", "share:!", "--port", "0"]
    env = os.environ | {"INKFIRE_TOKEN": "abc"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env)
    late = threading.Timer(60, process.kill)
    late.start()
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(6)]
    process.terminate()
    last, _ = process.communicate()
    late.cancel()
    assert lines[0].startswith("share:! is served. It looks at each text alone.")
    assert lines[2].rstrip().endswith("/score   with the header   Authorization: Bearer abc")
    assert lines[3].startswith("  OpenRLHF: --reward.remote_url http://inkfire:abc@127.0.0.1:")
    assert lines[5].endswith("/llamafactory\n")
    assert (process.returncode, last) == (0, "0 texts were answered, all with a score.\n")


@pytest.mark.parametrize(
    ("args", "why"),
    [
        (["nothing"], "no reward"),
        (["share:!", "--check", "fluent"], "start policy"),
        (["share:!", "--check", "langth:2.."], "did you mean 'length'"),
        (["share:!", "--queue", "0"], "queue"),
        (["share:!", "--host", "no.such.host.invalid"], "cannot listen on no.such.host.invalid"),
    ],
)
def test_what_is_wrong_is_said_before_it_serves(cli: Any, args: list[str], why: str) -> None:
    code, _, err = cli("serve", "reward", *args, "--port", "0")
    assert code == 2
    assert why in err


def test_a_port_that_is_taken_and_a_damaged_reward_are_said(cli: Any, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, _, err = cli("serve", "reward", "share:!", "--port", taken.getsockname()[1])
    assert (code, "name another, for instance --port 0" in err) == (2, True)
    write_json(tmp_path / "reward.json", {"kind": "other"})
    code, _, err = cli("serve", "reward", tmp_path, "--port", "0")
    assert (code, "not the card of a reward model" in err) == (2, True)


def test_a_token_that_no_header_carries_is_refused(cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INKFIRE_TOKEN", "schlüssel")
    code, _, err = cli("serve", "reward", "share:!", "--port", "0")
    assert (code, "INKFIRE_TOKEN is no token" in err) == (2, True)
