"""The embedded engine: what it says when it cannot start, and (marked ``model``) a real one."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import math
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from inkfire.errors import MissingExtraError, ModelNameError
from inkfire.models import engine
from inkfire.models.engine import Engine


def post(running: Engine, path: str, body: Any, api_key: str | None = None) -> Any:
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {api_key or running.api_key}"}
    request = urllib.request.Request(running.base_url + path, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=120) as response:
        return json.load(response)


def is_listening(running: Engine) -> bool:
    port = urllib.parse.urlsplit(running.base_url).port
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_without_xllamacpp_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'inkfire\[local\]'"):
        engine.acquire(tmp_path / "any.gguf")


def test_cores_are_at_least_one_and_no_more_than_there_are() -> None:
    assert 1 <= engine.cores() <= (os.cpu_count() or 1)


def test_weights_that_cannot_be_loaded_are_the_users_error(tmp_path: Path) -> None:
    pytest.importorskip("xllamacpp")
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + bytes(1000))
    with pytest.raises(ModelNameError, match=r"broken\.gguf: llama\.cpp cannot load"):
        engine.acquire(broken)
    assert not engine._running


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of weights whose server is a process that only says an address and lives till it is let go."""
    monkeypatch.setenv("INKFIRE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "1.0")
    monkeypatch.setattr(engine, "__file__", str(tmp_path / "engine.py"))
    script = (
        'import sys; sys.stdin.readline(); print(\'{"address": "http://127.0.0.1:9"}\', flush=True); sys.stdin.read()'
    )
    (tmp_path / "engine_server.py").write_text(script)
    file = tmp_path / "own.gguf"
    file.write_bytes(b"GGUF")
    return file


def test_an_engine_is_shared_and_ends_with_its_last_user(weights: Path) -> None:
    held = engine.acquire(weights)
    assert engine.acquire(weights) is held
    embedding = engine.acquire(weights, embedding=True)
    adapter = weights.with_name("adapter.gguf")
    adapter.write_bytes(b"GGUF adapter")
    adapted = engine.acquire(weights, adapter)
    assert len({id(one) for one in (held, embedding, adapted)}) == 3
    digests = f"{engine.store.digest(weights)}+{engine.store.digest(adapter)}"
    assert adapted.model_key == held.model_key.replace(engine.store.digest(weights), digests)
    adapted.release()
    held.release()
    assert held.is_alive
    held.release()
    assert not held.is_alive
    assert embedding.is_alive
    embedding.release()
    assert not engine._running


def test_a_dead_engine_is_replaced_and_its_users_end_nobody_elses(weights: Path) -> None:
    dead = engine.acquire(weights)
    dead._process.kill()
    dead._process.wait()
    fresh = engine.acquire(weights)
    assert fresh is not dead
    dead.release()
    assert fresh.is_alive
    assert engine.acquire(weights) is fresh
    fresh.release()
    fresh.release()
    assert not engine._running


def test_a_server_that_is_of_no_use_is_ended(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[str]] = []
    popen = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda *args, **rest: started.append(popen(*args, **rest)) or started[-1])

    def unreadable(file: Path) -> str:
        raise PermissionError(file)

    monkeypatch.setattr(engine.store, "digest", unreadable)
    with pytest.raises(PermissionError):
        engine.acquire(weights)
    assert started[0].returncode is not None
    assert not engine._running


@pytest.fixture
def running(smollm2: Path) -> Iterator[Engine]:
    held = engine.acquire(smollm2)
    yield held
    held.release()


@pytest.mark.model
class TestRunning:
    def test_it_is_shared_and_ends_with_its_last_user(self, running: Engine, smollm2: Path) -> None:
        again = engine.acquire(smollm2)
        assert again is running
        again.release()
        assert is_listening(running)
        running.release()
        assert not is_listening(running)
        fresh = engine.acquire(smollm2)
        assert fresh is not running
        fresh.release()

    def test_it_answers_only_with_its_key(self, running: Engine) -> None:
        with pytest.raises(urllib.error.HTTPError, match="401") as refused:
            post(running, "/chat/completions", {"messages": []}, api_key="guessed")
        refused.value.close()

    def test_it_listens_on_loopback_only(self, running: Engine) -> None:
        assert urllib.parse.urlsplit(running.base_url).hostname == "127.0.0.1"

    def test_logprobs_are_those_before_sampling(self, running: Engine) -> None:
        def alternatives(**sampling: float) -> dict[str, float]:
            body = {"messages": [{"role": "user", "content": "Say yes or no."}], "max_tokens": 1}
            reply = post(running, "/chat/completions", {**body, "logprobs": True, "top_logprobs": 10, **sampling})
            found = reply["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
            return {position["token"]: position["logprob"] for position in found}

        cold, hot = alternatives(temperature=0), alternatives(temperature=1.5, top_p=0.5)
        assert len(cold) == 10
        assert 0.2 < sum(map(math.exp, cold.values())) <= 1.0
        assert hot == pytest.approx(cold, abs=0.3)  # what batching and the prefix cache move

    def test_a_shared_beginning_is_computed_once(self, running: Engine) -> None:
        def cached(text: str) -> int:
            messages = [{"role": "system", "content": "Be strict. " * 60}, {"role": "user", "content": text}]
            reply = post(running, "/chat/completions", {"messages": messages, "max_tokens": 1})
            return int(reply["usage"]["prompt_tokens_details"]["cached_tokens"])

        cached("One text.")
        assert cached("Another one.") > 100

    def test_it_stops_at_once_though_a_request_is_in_flight(self, smollm2: Path) -> None:
        held = engine.acquire(smollm2)
        failures: list[Exception] = []

        def ask() -> None:
            try:
                post(held, "/completions", {"prompt": "Once", "max_tokens": 4000, "ignore_eos": True})
            except OSError as error:
                failures.append(error)

        asking = threading.Thread(target=ask)
        asking.start()
        time.sleep(1.0)
        begin = time.monotonic()
        held.release()
        asking.join(timeout=20)
        assert time.monotonic() - begin < 10
        assert len(failures) == 1

    @pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
    def test_it_ends_with_its_process_however_that_ends(self, smollm2: Path, end: signal.Signals) -> None:
        script = (
            "import pathlib, sys, time; from inkfire.models import engine\n"
            "held = engine.acquire(pathlib.Path(sys.argv[1])); print(held._process.pid, flush=True); time.sleep(60)"
        )
        command = [sys.executable, "-c", script, str(smollm2)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as parent:
            assert parent.stdout is not None
            child = int(parent.stdout.readline())
            parent.send_signal(end)
            parent.communicate()
        for _ in range(100):
            if not is_running(child):
                return
            time.sleep(0.1)
        pytest.fail("the engine outlived its process")


def is_running(pid: int) -> bool:
    """Whether the process runs; one that ended and that nobody waits for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
