"""The embedded engine: llama.cpp (xllamacpp) on this machine, spoken to like any other endpoint.

It listens on a loopback port of its own, random and with a random key, so that there is one client for all models.
Engines are shared: whoever asks for the same weights gets the running one, and it stops when the last of them lets go
of it, or when this process ends, however it ends (``engine_server.py``).

    engine = acquire(Path("qwen2.5-coder-0.5b-instruct-q4_k_m.gguf"))
    engine.base_url, engine.api_key, engine.model_key
    engine.release()

A policy trained on a .gguf is served as that file and its adapter (``gguf_lora.py``).

A prompt's beginning that a slot has seen is not computed again (``usage.cached_tokens``), so put what all prompts share
first. Log-probabilities are the model's own, before temperature and top-p (llama.cpp: ``post_sampling_probs`` false).
Replies are not repeatable bit for bit: batching and the prefix cache change the order of sums.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib.metadata
import importlib.util
import json
import os
import secrets
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from inkfire.errors import MissingExtraError, ModelNameError
from inkfire.models import store

CONTEXT = 4096
"""Tokens of prompt and reply together, for each slot."""

_Served = tuple[Path, Path | None, bool]
"""Weights, the adapter on top of them, and whether for embeddings."""
_running: dict[_Served, Engine] = {}
_lock = threading.Lock()


class Engine:
    """A running server. Get one from ``acquire``, give it back with ``release``.

    Attributes:
        base_url: up to and including ``/v1``.
        api_key: the random key without which it answers nobody.
        model_key: identifies weights (an adapter's too), engine version and settings in the ledger.
    """

    def __init__(self, served: _Served, process: subprocess.Popen[str], address: str, api_key: str):
        weights, adapter, embedding = self.served = served
        self.base_url = f"{address}/v1"
        self.api_key = api_key
        version = importlib.metadata.version("xllamacpp")
        digest = store.digest(weights) + ("" if adapter is None else f"+{store.digest(adapter)}")
        self.model_key = f"{digest}:{version}:ctx={CONTEXT},top_k=0,min_p=0" + ",mean" * embedding
        self._process = process
        self._users = 0

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def release(self) -> None:
        """Let go of the engine; the last one to do so stops it."""
        with _lock:
            self._users -= 1
            if self._users <= 0:
                _stop(self)


def acquire(weights: Path, adapter: Path | None = None, *, embedding: bool = False) -> Engine:
    """The engine of a .gguf file, started when none is running for this process (one or two seconds).

    Args:
        adapter: a GGUF LoRA that is added to the weights.
        embedding: serve /v1/embeddings (the mean of the last layer over a text's tokens) instead of chat.

    Raises:
        MissingExtraError: xllamacpp is not installed.
        ModelNameError: llama.cpp cannot load the file.
    """
    served = weights.resolve(), adapter and adapter.resolve(), embedding
    with _lock:
        engine = _running.get(served)
        if engine is None or not engine.is_alive:
            engine = _running[served] = _start(served)
        engine._users += 1
        return engine


def _start(served: _Served) -> Engine:
    weights, adapter, embedding = served
    if importlib.util.find_spec("xllamacpp") is None:
        raise MissingExtraError("xllamacpp", "local")
    api_key = secrets.token_urlsafe(24)
    asked = {
        "weights": str(weights),
        "adapter": adapter and str(adapter),
        "api_key": api_key,
        "slots": slots(),
        "context": CONTEXT,
        "threads": cores(),
        "embedding": embedding,
    }
    # OpenMP threads that spin between two steps would take the cores from torch and from every other process.
    environment = {"OMP_WAIT_POLICY": "passive", **os.environ}
    with tempfile.TemporaryFile("w+", errors="replace") as complaints:
        process = subprocess.Popen(
            [sys.executable, "-P", str(Path(__file__).with_name("engine_server.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=complaints,
            env=environment,
            text=True,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps(asked) + "\n")
            process.stdin.flush()
            told = json.loads(process.stdout.readline() or "{}")
            if "address" not in told:
                complaints.seek(0)
                why = told.get("error") or complaints.read()[-500:].strip() or "it ended without a word"
                raise ModelNameError(f"{adapter or weights}: llama.cpp cannot load these weights: {why}")
            return Engine(served, process, told["address"], api_key)
        except BaseException:
            _end(process)
            raise


def _stop(engine: Engine) -> None:
    if _running.get(engine.served) is engine:
        del _running[engine.served]
    _end(engine._process)


def _end(process: subprocess.Popen[str]) -> None:
    """At once: what is in flight is of no use to anybody any more."""
    process.kill()
    with process:  # closes the pipes and waits
        pass


@atexit.register
def stop_all() -> None:
    """Stop every engine of this process, whoever uses it."""
    with _lock:
        for engine in list(_running.values()):
            _stop(engine)


def slots() -> int:
    """Requests that are computed together; more only wait their turn. Two cores write no faster with four slots than
    with two (measured), and every slot computes the beginning that prompts share for itself."""
    return max(2, min(4, cores()))


def cores() -> int:
    """Physical cores that this process may use: CPU affinity, hyper-threads and a container's quota considered."""
    usable = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    siblings = set()
    for cpu in usable:
        topology = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
        try:
            siblings.add(topology.read_text())
        except OSError:
            siblings.add(str(cpu))
    count = len(siblings)
    with contextlib.suppress(OSError, ValueError):
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        count = min(count, max(1, int(quota) // int(period)))
    return count
