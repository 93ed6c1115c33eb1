"""Nothing lost: a command is killed in each part of its work, typed twice at once, its disk filled, its folder made
read-only, its ledger locked, its endpoint made faulty. Then the same command is typed again and must end with the bytes
of an undisturbed run: every file of its folder, weights too, but for seconds, calls and places (disturbed.APART).

    python benchmarks/bench_kill.py                              # everything: about twenty minutes on two busy cores
    python benchmarks/bench_kill.py --commands run --only kills  # a recipe, killed in each of its stages: three
    python benchmarks/bench_kill.py --commands curate            # as much as before train, evaluate and run came: four

The commands are in disturbed.py; a lock is waited for 30 s, a request that hangs 120 s, and these two scenes are
curate's alone. The peer is the undisturbed run: scenes end with the requests sent again over those that were needed.
Exits 1 when a byte differs or a reply was paid for twice that was answered more than a second before a kill.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from disturbed import (
    COMMANDS,
    REQUESTS,
    SECONDS,
    STUB,
    Bench,
    Lost,
    environment,
    files,
    make_inputs,
    make_models,
)
from endpoint import Endpoint, endpoint

MILD = {"http_500": 0.04, "http_429": 0.01, "reset": 0.01, "retry_after": 0.05}
FAULTY = {"http_500": 0.10, "http_429": 0.05, "reset": 0.02, "hang": 0.01, "malformed": 0.05, "retry_after": 0.2}
KINDS = {"http_500": "500", "http_429": "429", "reset": "connection", "hang": "timeout", "malformed": "malformed"}


def kills(bench: Bench, n: int) -> str:
    """Killed at the command's marks, ``n`` of them at most: the same command goes on to the next."""
    rng = random.Random(20)
    out = bench.folder / "killed" / "run"
    marks = spread(bench.command.marks, n)
    moments: list[float] = []
    at: list[str] = []
    with endpoint(bench.folder / "killed.jsonl", **STUB, **MILD) as served:
        for mark in marks:
            before = size(mark, out, served)
            enough = before + (rng.randint(1, max(2, bench.needed // (len(marks) + 2))) if mark == REQUESTS else 1)
            process = bench.start(out, served)
            if mark == SECONDS:
                time.sleep(rng.uniform(0.0, 2.0))
            else:
                while process.poll() is None and size(mark, out, served) < enough:
                    time.sleep(0.002)
                time.sleep(rng.uniform(0.0, 0.02))
            if process.poll() is not None:
                break
            process.send_signal(signal.SIGKILL)
            moments.append(time.time())
            at.append(mark)
            process.wait()
        bench.run(out, served)
        again = bench.twice(served, moments)
    bench.compare(out)
    done = ", ".join(f"{mark} {n}" if n > 1 else mark for mark, n in Counter(at).items())
    return (
        f"{len(moments)} kills of {len(marks)}, same bytes; {again} replies of {bench.needed} were in flight and asked "
        f"again\n    killed at {done}"
    )


def spread(marks: Sequence[str], n: int) -> list[str]:
    """``n`` marks from all over the work."""
    return [marks[(2 * i + 1) * len(marks) // (2 * n)] for i in range(n)] if n < len(marks) else list(marks)


def size(mark: str, out: Path, served: Endpoint) -> int:
    """How far the command has come by a mark: requests answered, or the size of a file."""
    if mark == REQUESTS:
        return len(served.requests())
    path = out / mark
    return path.stat().st_size if path.exists() else 0


def two(bench: Bench) -> str:
    """A second process while the first is at work; then the first is killed, and nothing is in the way."""
    out = bench.folder / "two" / "run"
    with endpoint(bench.folder / "two.jsonl", **STUB) as served:
        first = bench.start(out, served)
        while first.poll() is None and not size(bench.command.busy, out, served):
            time.sleep(0.002)
        first.send_signal(signal.SIGSTOP)  # so that what changes is the second one's doing
        stopped = time.time()
        time.sleep(1.0)  # what is in flight arrives
        before, asked = files(out.parent), len(served.requests())
        second = bench.start(out, served)
        said = second.communicate()[1].strip().splitlines()[-1]
        if second.returncode != 2 or f"in use by process {first.pid}:" not in said:
            raise Lost(f"two: exit {second.returncode}: {said}, where process {first.pid} is at work")
        if files(out.parent) != before or len(served.requests()) != asked:
            raise Lost("two: the second process changed the folder, or asked")
        first.send_signal(signal.SIGKILL)
        first.wait()
        bench.run(out, served)
        again = bench.twice(served, [stopped])
    bench.compare(out)
    return f"exit 2, nothing changed, then same bytes; {again} replies asked again\n    {bench.shown(said)}"


def in_small_disk(bench: Bench, name: str, size: str, spoil: str, mend: str) -> str:
    """On a file system of its own: the run, spoilt; then mended and run again."""
    place = bench.folder / name
    place.mkdir()
    kept = bench.folder / f"{name}-kept"
    with endpoint(bench.folder / f"{name}.jsonl", **STUB) as served:
        command = " ".join(f"'{part}'" for part in bench.typed(place / "run"))
        script = f"""set -u
            mount -t tmpfs -o size={size} tmpfs '{place}' || exit 77
            ({spoil}) & spoiler=$!
            {command} > '{bench.folder}/{name}.out' 2> '{bench.folder}/{name}.err'; code=$?
            wait $spoiler; cp LOG LOG.spoilt
            {mend} && {command} > '{bench.folder}/{name}.out2' 2>&1 || exit 1
            cp -r '{place}' '{kept}'; exit $code"""
        script = script.replace("LOG", str(served.log))
        small = ["unshare", "--map-root-user", "--mount", "sh", "-c", script]
        done = subprocess.run(small, capture_output=True, env=environment(served))
        if done.returncode == 77 or b"unshare failed" in done.stderr:
            return "skipped: this system does not let us mount a small disk"
        complaint = (bench.folder / f"{name}.err").read_text().strip()
        said = complaint.splitlines()[-1:]
        if done.returncode != 2 or not said or not said[0].startswith("Error: ") or "Traceback" in complaint:
            raise Lost(f"{name}: exit {done.returncode}, said {complaint[-3000:]}, {done.stderr.decode()[-300:]}")
        before = Endpoint(served.url, served.log.with_name(served.log.name + ".spoilt")).requests()
        again = bench.twice(served, [max(row["arrived"] for row in before)] if before else [])
    bench.compare(kept / "run")
    return f"exit 2, then same bytes; {again} replies of {bench.needed} asked again\n    {bench.shown(said[0])}"


def full(bench: Bench) -> str:
    place = bench.folder / "full"
    return in_small_disk(bench, "full", bench.command.disk, "true", f"mount -o remount,size=64m '{place}'")


def readonly(bench: Bench) -> str:
    """A read-only mount is laid over the folder: what is open stays writable, nothing new can be made."""
    place = bench.folder / "readonly"
    wait = f"until [ -s '{place}/run/{bench.command.busy}' ]; do sleep 0.02; done"
    spoil = f"{wait}; mount --bind '{place}' '{place}' && mount -o remount,bind,ro '{place}'"
    return in_small_disk(bench, "readonly", "64m", spoil, f"umount '{place}'")


def locked(bench: Bench) -> str:
    """Another process holds the ledger for longer than is waited for."""
    out = bench.folder / "locked" / "run"
    with endpoint(bench.folder / "locked.jsonl", **STUB) as served:
        process = bench.start(out, served)
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
    return f"exit 2, then same bytes; {again} replies asked again\n    {bench.shown(said)}"


def faults(bench: Bench) -> str:
    """A faulty endpoint: the run ends complete and the ledger counted what the stub did, fault by fault."""
    out = bench.folder / "faulty" / "run"
    with endpoint(bench.folder / "faulty.jsonl", **STUB, **FAULTY) as served:
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


SCENES: dict[str, Callable[[Bench], str]] = {
    "two": two,
    "full": full,
    "readonly": readonly,
    "locked": locked,
    "faults": faults,
}
OF_CURATE = ("locked", "faults")  # they try the ledger and the client, which are the same in every command


def main() -> int:
    parser = argparse.ArgumentParser(description="What a disturbed run loses: nothing.")
    parser.add_argument("--commands", default=",".join(COMMANDS))
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--queries", type=int, default=20)
    parser.add_argument("--only", default=",".join(["kills", *SCENES]))
    parser.add_argument("--keep", type=Path, help="a folder to leave everything in")
    options = parser.parse_args()
    scenes = {"kills": lambda bench: kills(bench, options.kills), **SCENES}
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        make_inputs(folder / "inputs", options.queries)
        names = options.commands.split(",")
        if not {"curate", "train rm"}.issuperset(names):
            make_models(folder / "inputs")
        lost = [run_all(name, options.only.split(","), scenes, folder) for name in names]
        return int(any(lost))


def run_all(name: str, chosen: list[str], scenes: dict[str, Callable[[Bench], str]], folder: Path) -> bool:
    lost = False
    started = time.perf_counter()
    bench = Bench(folder, name)
    print(f"{name}: {bench.needed} requests, {time.perf_counter() - started:.0f} s undisturbed", flush=True)
    for scene in chosen:
        if scene in OF_CURATE and name != "curate":
            continue
        started = time.perf_counter()
        try:
            said = scenes[scene](bench)
        except Lost as error:
            lost, said = True, f"LOST: {error}"
        print(f"  {scene}: {said} ({time.perf_counter() - started:.0f} s)", flush=True)
    return lost


if __name__ == "__main__":
    sys.exit(main())
