"""Strategy A against a paid endpoint: how near `inkfire curate` comes to the least time that is possible.

    python benchmarks/bench_curate.py            # 2,000 candidates, 4 calls each, about 8 minutes
    python benchmarks/bench_curate.py --small    # the same in seconds

The endpoint is a stub that serves 64 requests at once and queues the others; latencies are log-normal (median 0.4 s),
drawn from the request, so that everybody meets the same ones. The least time is max(total service time / 64, the
longest chain of one candidate's calls). Beside it stands a pipeline with a barrier between its passes (barrier.py) and
a pool of the same size. The finished run is then repeated, in its folder and in a new one that shares the ledger.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from barrier import Item, debate_in_passes
from endpoint import Endpoint, endpoint

from inkfire.files.jsonl import write_jsonl
from inkfire.records import Candidate
from inkfire.tasks.task import load_task

TASK = "greetings-en"
CAPACITY = 64
CALLS = 4
CANDIDATES_PER_QUERY = 4
SMALL = {"candidates": 120, "latency": 0.1}
FULL = {"candidates": 2000, "latency": 0.4}
SIGMAS = (0.6, 1.25)
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def make_candidates(n: int) -> list[Candidate]:
    """Candidates that are no near-duplicates of each other, four writers to a query."""
    rng = random.Random(7)
    texts = []
    for i in range(n):
        words = " ".join("".join(rng.choices(LETTERS, k=6)) for _ in range(18))
        query = f"a wish for neighbour number {i // CANDIDATES_PER_QUERY} on a new home"
        texts.append(Candidate(query, f"{words}, {i}.", f"writer-{i % CANDIDATES_PER_QUERY}"))
    return texts


def curate(texts: Path, url: str, out: Path) -> tuple[dict[str, Any], float]:
    """The command's result, and the seconds that the whole process took."""
    command = [sys.executable, "-m", "inkfire", "curate", "--task", TASK, "--candidates-from", str(texts)]
    command += ["--depth", "short", "--model", "stub", "--base-url", url, "--concurrency", str(CAPACITY)]
    command += ["--out", str(out), "--json"]
    started = time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout), time.perf_counter() - started


def least_seconds(requests: Sequence[Mapping[str, Any]], items: Sequence[Item]) -> tuple[float, float]:
    """(total service time / places, the longest chain): no order of the calls is faster than the larger of them."""
    service = {request["key"]: request["service"] for request in requests}
    chains = []
    for item in items:
        seconds = {agent: service[key] for agent, key in item.keys.items()}
        chains.append(max(seconds["positive"], seconds["negative"]) + seconds["judge"] + seconds["reflect"])
    return sum(request["service"] for request in requests) / CAPACITY, max(chains)


def repeat(texts: Path, served: Endpoint, folder: Path) -> None:
    for what, out in (("in its folder", folder / "run"), ("in a new folder, from the ledger", folder / "again")):
        before = len(served.requests())
        result, seconds = curate(texts, served.url, out)
        asked = len(served.requests()) - before
        print(
            f"  repeated {what}: {seconds:.1f} s, {asked} requests, calls {result['calls']}, cached {result['cached']}"
        )


def measure(folder: Path, candidates: Sequence[Candidate], latency: float, sigma: float) -> None:
    folder.mkdir()
    texts = folder / "candidates.jsonl"
    rows = ({"query": c.query, "response": c.response, "source": c.source} for c in candidates)
    write_jsonl(texts, rows)
    shape = {"latency": latency, "sigma": sigma, "capacity": CAPACITY}
    with endpoint(folder / "barrier.jsonl", **shape) as served:
        items, passes = asyncio.run(debate_in_passes(load_task(TASK), candidates, served.url, CAPACITY))
        theirs = served.requests()
    with endpoint(folder / "ours.jsonl", **shape) as served:
        result, wall = curate(texts, served.url, folder / "run")
        ours = served.requests()
        share, chain = least_seconds(ours, items)
        least = max(share, chain)
        if sorted(r["key"] for r in ours) != sorted(r["key"] for r in theirs):
            raise SystemExit("the two pipelines did not send the same requests: the ratio would mean nothing")
        calling = max(row["answered"] for row in ours) - min(row["arrived"] for row in ours)
        print(f"sigma {sigma}: {len(candidates)} candidates, {result['calls']} calls, {result['unscored']} unscored")
        print(f"  least possible: {least:.1f} s (total/{CAPACITY} {share:.1f} s, longest chain {chain:.1f} s)")
        print(f"  inkfire curate, first request to last answer: {calling:.1f} s, {calling / least:.3f} x the least")
        print(
            f"  inkfire curate, the whole process: {wall:.1f} s, {wall / least:.3f} x (start-up, audit, dataset card)"
        )
        print(f"  pass by pass with barriers: {passes:.1f} s, {passes / least:.3f} x the least")
        print(f"  barriers over inkfire: {passes / calling:.3f}", flush=True)
        if sigma == SIGMAS[0]:
            repeat(texts, served, folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="A few calls, to see that it works.")
    size = SMALL if parser.parse_args().small else FULL
    candidates = make_candidates(int(size["candidates"]))
    with tempfile.TemporaryDirectory() as folder:
        for sigma in SIGMAS:
            measure(Path(folder) / f"sigma-{sigma}", candidates, size["latency"], sigma)


if __name__ == "__main__":
    main()
