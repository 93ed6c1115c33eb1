"""Nothing lost: `inkfire curate` is killed, its disk filled, its folder made read-only, its ledger locked, its endpoint
made faulty. After each the same command is typed again and must end with the bytes of an undisturbed run.

    python benchmarks/bench_kill.py                    # everything, about four minutes (a lock is waited for 30 s,
                                                       # a request that hangs 120 s)
    python benchmarks/bench_kill.py --kills 3 --only kills,full,readonly       # what the tests run

The peer is the undisturbed run: each line ends with the requests sent over the requests that were needed.
Exits 1 when a byte differs or a reply was paid for twice that was answered more than a second before a kill.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from endpoint import Endpoint, endpoint

OUTPUTS = ("pairs.jsonl", "transcripts.jsonl", "outcomes.jsonl", "README.md", "stages/curate.json")
OCCASIONS = ("Easter", "a wedding", "an exam", "a new job", "a birthday", "a move", "Diwali", "a farewell")
LATENCY = {"latency": 0.08, "sigma": 0.6}
MILD = {"http_500": 0.04, "http_429": 0.01, "reset": 0.01, "retry_after": 0.05}
FAULTY = {"http_500": 0.10, "http_429": 0.05, "reset": 0.02, "hang": 0.01, "malformed": 0.05, "retry_after": 0.2}
KINDS = {"http_500": "500", "http_429": "429", "reset": "connection", "hang": "timeout", "malformed": "malformed"}


class Lost(Exception):
    """Something was lost, or paid for twice."""


class Bench:
    """The run that is disturbed: one command line, and what it makes when nothing happens."""

    def __init__(self, folder: Path, queries: int) -> None:
        self.folder = folder
        self.prompts = folder / "prompts.txt"
        lines = [f"a wish for {OCCASIONS[i % len(OCCASIONS)]}, to friend number {i}" for i in range(queries)]
        self.prompts.write_text("\n".join(lines) + "\n", encoding="utf-8")
        with endpoint(folder / "undisturbed.jsonl", **LATENCY) as served:
            self.run(folder / "undisturbed" / "run", served)
        self.needed = len(answers(served))

    def command(self, out: Path, served: Endpoint) -> list[str]:
        given = ["--task", "greetings-en", "--prompts", str(self.prompts), "--model", "stub", "--pairs", "all"]
        given += ["--base-url", served.url, "--concurrency", "8", "--out", str(out), "--json"]
        return [sys.executable, "-m", "inkfire", "curate", *given]

    def start(self, out: Path, served: Endpoint) -> subprocess.Popen[bytes]:
        return subprocess.Popen(self.command(out, served), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def run(self, out: Path, served: Endpoint) -> dict[str, Any]:
        done = subprocess.run(self.command(out, served), capture_output=True, text=True)
        if done.returncode:
            raise Lost(f"exit {done.returncode}: {done.stderr[-500:]}")
        result: dict[str, Any] = json.loads(done.stdout)
        return result

    def compare(self, out: Path) -> None:
        for name in OUTPUTS:
            if (out / name).read_bytes() != (self.folder / "undisturbed" / "run" / name).read_bytes():
                raise Lost(f"{name} differs from the undisturbed run's")

    def twice(self, served: Endpoint, stops: Sequence[float]) -> int:
        """How often a reply was asked again, none of which was answered more than a second before a stop."""
        times: dict[str, list[float]] = {}
        for row in answers(served):
            times.setdefault(row["key"], []).append(row["answered"])
        again = [earlier for answered in times.values() for earlier in sorted(answered)[:-1]]
        for earlier in again:
            if not any(-1.0 < stop - earlier < 1.0 for stop in stops):
                nearest = min((stop - earlier for stop in stops), key=abs)
                raise Lost(f"a reply was asked again that was answered {nearest:.1f} s before")
        return len(again)


def answers(served: Endpoint) -> list[dict[str, Any]]:
    return [row for row in served.requests() if row["status"] == 200 and not row["fault"]]


def kills(bench: Bench, n: int) -> str:
    """Killed ``n`` times: after some requests, or at any moment of the start."""
    rng = random.Random(20)
    out = bench.folder / "killed" / "run"
    moments: list[float] = []
    share = max(2, bench.needed // (n + 2))
    with endpoint(bench.folder / "killed.jsonl", **LATENCY, **MILD) as served:
        while len(moments) < n:
            before = len(served.requests())
            process = bench.start(out, served)
            if rng.random() < 0.2:
                time.sleep(rng.uniform(0.0, 2.0))
            else:
                enough = before + rng.randint(1, share)
                while process.poll() is None and len(served.requests()) < enough:
                    time.sleep(0.002)
                time.sleep(rng.uniform(0.0, 0.02))
            if process.poll() is not None:
                break
            process.send_signal(signal.SIGKILL)
            moments.append(time.time())
            process.wait()
        bench.run(out, served)
        again = bench.twice(served, moments)
    bench.compare(out)
    return f"{len(moments)} kills of {n}, same bytes; {again} replies of {bench.needed} were in flight and asked again"


def in_small_disk(bench: Bench, name: str, size: str, spoil: str, mend: str) -> str:
    """On a file system of its own: the run, spoilt; then mended and run again."""
    place = bench.folder / name
    place.mkdir()
    kept = bench.folder / f"{name}-kept"
    with endpoint(bench.folder / f"{name}.jsonl", **LATENCY) as served:
        command = " ".join(f"'{part}'" for part in bench.command(place / "run", served))
        script = f"""set -u
            mount -t tmpfs -o size={size} tmpfs '{place}' || exit 77
            ({spoil}) & spoiler=$!
            {command} > '{bench.folder}/{name}.out' 2> '{bench.folder}/{name}.err'; code=$?
            wait $spoiler; cp LOG LOG.spoilt
            {mend} && {command} > '{bench.folder}/{name}.out2' 2>&1 || exit 1
            cp -r '{place}' '{kept}'; exit $code"""
        script = script.replace("LOG", str(served.log))
        done = subprocess.run(["unshare", "--map-root-user", "--mount", "sh", "-c", script], capture_output=True)
        if done.returncode == 77 or b"unshare failed" in done.stderr:
            return "skipped: this system does not let us mount a small disk"
        complaint = (bench.folder / f"{name}.err").read_text().strip().splitlines()[-1:]
        if done.returncode != 2 or not complaint or not complaint[0].startswith("Error: "):
            raise Lost(f"{name}: exit {done.returncode}, said {complaint}, {done.stderr.decode()[-300:]}")
        before = Endpoint(served.url, served.log.with_name(served.log.name + ".spoilt")).requests()
        again = bench.twice(served, [max(row["arrived"] for row in before)])  # the last request before it gave up
    bench.compare(kept / "run")
    said = complaint[0].replace(str(bench.folder), "…")
    return f"exit 2, then same bytes; {again} replies of {bench.needed} asked again\n    {said}"


def full(bench: Bench) -> str:
    return in_small_disk(bench, "full", "400k", spoil="true", mend=f"mount -o remount,size=64m {bench.folder}/full")


def readonly(bench: Bench) -> str:
    """A read-only mount is laid over the folder: what is open stays writable, nothing new can be made."""
    place = bench.folder / "readonly"
    wait = "until [ $(wc -l < LOG) -gt 40 ]; do sleep 0.02; done"
    spoil = f"{wait}; mount --bind {place} {place} && mount -o remount,bind,ro {place}"
    return in_small_disk(bench, "readonly", "64m", spoil, f"umount {place}")


def locked(bench: Bench) -> str:
    """Another process holds the ledger for longer than is waited for."""
    out = bench.folder / "locked" / "run"
    with endpoint(bench.folder / "locked.jsonl", **LATENCY) as served:
        process = subprocess.Popen(
            bench.command(out, served), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        while len(served.requests()) < 40:
            time.sleep(0.01)
        lock = sqlite3.connect(out.parent / ".inkfire" / "ledger.sqlite", isolation_level=None, timeout=30)
        lock.execute("BEGIN IMMEDIATE")
        since = time.time()
        complaint = process.communicate()[1].strip()
        said = complaint.splitlines()[-1]
        lock.execute("ROLLBACK")
        lock.close()
        if process.returncode != 2 or "locked" not in said or "Traceback" in complaint:
            raise Lost(f"exit {process.returncode}: {complaint[-2000:]}")
        bench.run(out, served)
        again = bench.twice(served, [since, time.time()])
    bench.compare(out)
    return f"exit 2, then same bytes; {again} replies asked again\n    {said.replace(str(bench.folder), '…')}"


def faults(bench: Bench) -> str:
    """A faulty endpoint: the run ends complete and the ledger counted what the stub did, fault by fault."""
    out = bench.folder / "faulty" / "run"
    with endpoint(bench.folder / "faulty.jsonl", **LATENCY, **FAULTY) as served:
        started = time.perf_counter()
        result = bench.run(out, served)
        seconds = time.perf_counter() - started
        done = Counter(KINDS[row["fault"]] for row in served.requests() if row["fault"])
    ledger = out.parent / ".inkfire" / "ledger.sqlite"
    with contextlib.closing(sqlite3.connect(ledger)) as db:
        counted = Counter(dict(db.execute("SELECT kind, SUM(n) FROM faults GROUP BY kind")))
    bench.compare(out)
    if counted != done:
        raise Lost(f"the stub failed {dict(done)} and the ledger counted {dict(counted)}")
    return f"same bytes, {result['unscored']} unscored, {seconds:.0f} s; counted {dict(sorted(counted.items()))}"


def main() -> int:
    every: dict[str, Callable[[Bench], str]] = {"full": full, "readonly": readonly, "locked": locked, "faults": faults}
    parser = argparse.ArgumentParser(description="What a disturbed run loses: nothing.")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--queries", type=int, default=20)
    parser.add_argument("--only", default=",".join(["kills", *every]))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), options.queries)
        return run_all(options.only.split(","), {"kills": lambda b: kills(b, options.kills), **every}, bench)


def run_all(names: Iterable[str], scenes: dict[str, Callable[[Bench], str]], bench: Bench) -> int:
    failed = 0
    for name in names:
        try:
            print(f"{name}: {scenes[name](bench)}", flush=True)
        except Lost as lost:
            failed = 1
            print(f"{name}: LOST: {lost}", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main())
