"""The embedded engine's own process: one llama.cpp server that lives exactly as long as whoever started it.

Run by ``engine.py`` as a script, never imported; it needs xllamacpp and the standard library only. One JSON line on
stdin says what to serve, one on stdout says where (``{"address": "http://127.0.0.1:41234"}``) or why not
(``{"error": "…"}``). It ends when stdin ends, which the system sees to however its parent dies.

A process of its own, because llama.cpp's server cannot be stopped inside one while a request is in flight (its
destructor waits, with Python's lock held, for a handler that waits for the stopped queue), because its memory then
goes back to the system, and because a crash of it is then an error and not the end of a training run.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which may have replies to wait for
    parent = os.getppid()
    asked = json.loads(sys.stdin.readline())
    try:
        server = _start(asked)
    except (RuntimeError, ValueError) as error:
        print(json.dumps({"error": str(error)}), flush=True)
    else:
        print(json.dumps({"address": server.listening_address}), flush=True)  # type: ignore[attr-defined]
        while os.getppid() == parent and not select.select([sys.stdin], [], [], 5.0)[0]:
            pass
    os._exit(0)  # a server with requests in flight would wait for them for ever


def _start(asked: dict[str, object]) -> object:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = asked["weights"]
    if asked["adapter"] is not None:
        params.lora_adapters = [xllamacpp.CommonAdapterLoraInfo(asked["adapter"], 1.0)]
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [asked["api_key"]]
    params.verbosity = 0
    params.ui = False
    params.endpoint_slots = False
    params.n_parallel = asked["slots"]
    params.n_ctx = asked["slots"] * asked["context"]  # type: ignore[operator]
    params.cache_ram_mib = 0  # prefixes stay in the slots; llama.cpp's second cache would grow to 8 GiB
    params.sampling.top_k = 0  # temperature and top-p mean what they say: no other cut
    params.sampling.min_p = 0.0
    if asked["embedding"]:
        params.embedding = True
        params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
        params.n_ubatch = params.n_batch = asked["context"]  # a text is pooled within one physical batch
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = asked["threads"]
    return xllamacpp.Server(params)


if __name__ == "__main__":
    main()
