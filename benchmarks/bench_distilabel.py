"""`inkfire curate` beside a distilabel 1.5 pipeline of its four steps (distilabel_pipeline.py), same stub endpoint.

    python benchmarks/bench_distilabel.py            # 2,000 candidates, about 6 minutes
    python benchmarks/bench_distilabel.py --small

distilabel is installed into an environment in the user's cache folder, the first time. Both send four calls a
candidate whose latencies come from one distribution (log-normal, median 0.4 s, sigma 0.6); the prompts differ, and
with them the draws, so each is set against its own least time, total service time / 64. Start-up is shown apart: what
is compared is the time from the first request's arrival to the last answer.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from bench_curate import CAPACITY, FULL, SMALL, curate, make_candidates
from endpoint import Endpoint, endpoint

from inkfire.files.jsonl import write_jsonl

PACKAGES = ("distilabel[openai]==1.5.3", "requests")  # requests: imported by distilabel, required by nothing of it
PIPELINE = Path(__file__).with_name("distilabel_pipeline.py")


def environment() -> Path:
    """The Python of an environment with distilabel; made when it is not there."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "inkfire" / "bench-distilabel-1.5.3"
    python = cache / "bin" / "python"
    done = cache / "installed"
    if not done.exists():
        print(f"installing {' '.join(PACKAGES)} into {cache}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(cache)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", *PACKAGES], check=True)
        done.touch()
    return python


def calling(served: Endpoint) -> tuple[float, float, int]:
    """(seconds from the first request to the last answer, the least that could be, requests)."""
    requests = served.requests()
    first, last = min(row["arrived"] for row in requests), max(row["answered"] for row in requests)
    return last - first, sum(row["service"] for row in requests) / CAPACITY, len(requests)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="A few calls, to see that it works.")
    size = SMALL if parser.parse_args().small else FULL
    python = environment()
    candidates = make_candidates(int(size["candidates"]))
    shape = {"latency": size["latency"], "sigma": 0.6, "capacity": CAPACITY}
    seconds: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = [{"query": c.query, "response": c.response, "source": c.source} for c in candidates]
        write_jsonl(folder / "candidates.jsonl", rows)
        (folder / "rows.json").write_text(json.dumps(rows), encoding="utf-8")
        for who in ("distilabel", "inkfire"):
            with endpoint(folder / f"{who}.jsonl", **shape) as served:
                if who == "inkfire":
                    whole = curate(folder / "candidates.jsonl", served.url, folder / "run")[1]
                else:
                    command = [str(python), str(PIPELINE), served.url, str(folder / "rows.json"), str(CAPACITY)]
                    done = subprocess.run(
                        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True
                    )
                    whole = json.loads(done.stdout.splitlines()[-1])["seconds"]
                seconds[who], least, requests = calling(served)
            print(
                f"{who}: {requests} requests in {seconds[who]:.1f} s, {seconds[who] / least:.3f} x the least "
                f"({least:.1f} s); with start-up and end {whole:.1f} s",
                flush=True,
            )
    print(f"distilabel over inkfire: {seconds['distilabel'] / seconds['inkfire']:.3f}")


if __name__ == "__main__":
    main()
