"""The embedded engine: llama.cpp in this process (xllamacpp), spoken to like any other endpoint.

It listens on a loopback port of its own, random and with a random key, so that there is one client for all models.
Engines are shared: whoever asks for the same weights gets the running one, and it stops when the last of them lets go
of it (or the process ends).

    engine = acquire(Path("qwen2.5-coder-0.5b-instruct-q4_k_m.gguf"))
    engine.base_url, engine.api_key, engine.model_key
    engine.release()

A prompt's beginning that a slot has seen is not computed again (``usage.cached_tokens``), so put what all prompts share
first. Log-probabilities are the model's own, before temperature and top-p (llama.cpp: ``post_sampling_probs`` false).
Replies are not repeatable bit for bit: batching and the prefix cache change the order of sums.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import secrets
import threading
from pathlib import Path
from typing import Any

from inkfire.errors import MissingExtraError, ModelNameError
from inkfire.llm import registry

SLOTS = 4
"""Requests that are computed together; more only wait their turn (measured: more slots are no faster on a CPU)."""

CONTEXT = 4096
"""Tokens of prompt and reply together, for each slot."""

_running: dict[Path, Engine] = {}
_lock = threading.Lock()


class Engine:
    """A running server. Get one from ``acquire``, give it back with ``release``.

    Attributes:
        base_url: up to and including ``/v1``.
        api_key: the random key without which it answers nobody.
        model_key: identifies weights, engine version and settings in the ledger.
    """

    def __init__(self, weights: Path, server: Any, api_key: str, model_key: str):
        self.weights = weights
        self.base_url = f"{server.listening_address}/v1"
        self.api_key = api_key
        self.model_key = model_key
        self._server = server
        self._users = 0

    def release(self) -> None:
        """Let go of the engine; the last one to do so stops it."""
        with _lock:
            self._users -= 1
            if self._users <= 0 and _running.get(self.weights) is self:
                _stop(self)


def acquire(weights: Path) -> Engine:
    """The engine of a .gguf file, started when none is running in this process (about a second).

    Raises:
        MissingExtraError: xllamacpp is not installed.
        ModelNameError: llama.cpp cannot load the file.
    """
    weights = weights.resolve()
    with _lock:
        engine = _running.get(weights)
        if engine is None:
            engine = _running[weights] = _start(weights)
        engine._users += 1
        return engine


def _start(weights: Path) -> Engine:
    # OpenMP threads that spin between two steps take the cores from torch and from other processes.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    try:
        import xllamacpp
    except ImportError:
        raise MissingExtraError("xllamacpp", "local") from None
    params = xllamacpp.CommonParams()
    params.model.path = str(weights)
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [api_key := secrets.token_urlsafe(24)]
    params.verbosity = -1
    params.ui = False
    params.endpoint_slots = False
    params.n_parallel = SLOTS
    params.n_ctx = SLOTS * CONTEXT
    params.cache_ram_mib = 0  # prefixes are kept in the slots; llama.cpp's second cache would grow to 8 GiB
    params.sampling.top_k = 0  # temperature and top-p mean what they say: no other cut
    params.sampling.min_p = 0.0
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = cores()
    try:
        server = xllamacpp.Server(params)
    except (RuntimeError, ValueError) as error:
        raise ModelNameError(f"{weights}: llama.cpp cannot load these weights ({error})") from None
    settings = f"ctx={CONTEXT},top_k=0,min_p=0"
    model_key = f"{registry.digest(weights)}:{xllamacpp.__version__}:{settings}"
    return Engine(weights, server, api_key, model_key)


def _stop(engine: Engine) -> None:
    _running.pop(engine.weights, None)
    engine._server = None  # the server ends with its object


@atexit.register
def stop_all() -> None:
    """Stop every engine of this process, whoever uses it."""
    with _lock:
        for engine in list(_running.values()):
            _stop(engine)


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
