"""Killed at random moments and typed again, a run ends with the same bytes and pays for nothing twice."""

from __future__ import annotations

import contextlib
import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

STUB = Path(__file__).parents[1] / "stub_endpoint.py"

# Forty candidates, each a chain of three calls, the first two of them at once: what a debate does.
RUN = """
import asyncio, json, sys
from pathlib import Path
from inkfire.llm.base import Sampling
from inkfire.llm.client import Client
from inkfire.llm.ledger import Ledger
from inkfire.llm.loop import run
from inkfire.llm.retry import Retry
from inkfire.llm.stream import ordered

out, url = Path(sys.argv[1]), sys.argv[2]
SCHEMA = {"type": "object", "properties": {"judge": {"enum": [0, 1]}, "reason": {"type": "string"}},
          "required": ["judge", "reason"], "additionalProperties": False}

async def main():
    with Ledger(out / "ledger.sqlite") as ledger:
        retry = Retry(first=0.01, longest=0.1)
        async with Client("stub", base_url=url, model_key="stub", ledger=ledger, concurrency=8, retry=retry) as llm:
            async def debate(i):
                sides = await asyncio.gather(*(llm.chat([{"role": "user", "content": f"{side} {i}"}])
                                               for side in ("for", "against")))
                asked = [{"role": "user", "content": " ".join(side.text for side in sides)}]
                verdict = await llm.chat(asked, schema=SCHEMA, sampling=Sampling(seed=i))
                return {"i": i, "sides": [side.text for side in sides], "verdict": verdict.parsed}
            with (out / "transcripts.partial").open("w") as file:
                async for transcript in ordered(debate, range(40), limit=12):
                    file.write(json.dumps(transcript) + "\\n")
    (out / "transcripts.partial").rename(out / "transcripts.jsonl")

run(main())
"""


@contextlib.contextmanager
def stub(log: Path, *options: str) -> Iterator[str]:
    command = [sys.executable, str(STUB), "--latency", "0.08", "--sigma", "0.6", "--log", str(log), *options]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()
            process.wait(timeout=10)


def curate(out: Path, url: str) -> subprocess.Popen[bytes]:
    out.mkdir(exist_ok=True)
    return subprocess.Popen([sys.executable, "-c", RUN, str(out), url])


def answered(log: Path) -> list[dict[str, float | str]]:
    return [row for row in map(json.loads, log.read_text().splitlines()) if row["status"] == 200 and not row["fault"]]


@pytest.mark.slow
def test_kills_lose_nothing(tmp_path: Path) -> None:
    rng = random.Random(20)
    kills: list[float] = []
    faults = ("--http-500", "0.1", "--http-429", "0.03", "--reset", "0.03", "--retry-after", "0.05")
    with stub(tmp_path / "a.jsonl", *faults) as url:
        assert curate(tmp_path / "undisturbed", url).wait(timeout=60) == 0
    with stub(tmp_path / "b.jsonl", *faults) as url:
        for _ in range(30):
            before = len((tmp_path / "b.jsonl").read_text().splitlines())
            process = curate(tmp_path / "killed", url)
            enough = before + rng.randint(2, 25)  # requests until the kill
            while process.poll() is None and len((tmp_path / "b.jsonl").read_text().splitlines()) < enough:
                time.sleep(0.005)
            if process.poll() is not None:
                assert process.returncode == 0
                break
            process.send_signal(signal.SIGKILL)
            kills.append(time.time())
            process.wait()
    assert len(kills) >= 5
    killed, undisturbed = (tmp_path / name / "transcripts.jsonl" for name in ("killed", "undisturbed"))
    assert killed.read_bytes() == undisturbed.read_bytes()
    answers: dict[str | float, list[float]] = {}
    for row in answered(tmp_path / "b.jsonl"):
        answers.setdefault(row["key"], []).append(float(row["answered"]))
    assert len(answers) == 120
    for times in answers.values():  # asked again only when the answer came within the second before a kill (or after)
        for earlier in times[:-1]:
            assert any(-0.5 < kill - earlier < 1.0 for kill in kills)


def test_a_finished_run_sends_nothing(tmp_path: Path) -> None:
    with stub(tmp_path / "log.jsonl") as url:
        assert curate(tmp_path / "run", url).wait(timeout=60) == 0
        first = (tmp_path / "run" / "transcripts.jsonl").read_bytes()
    assert curate(tmp_path / "run", "http://127.0.0.1:9/v1").wait(timeout=60) == 0
    assert (tmp_path / "run" / "transcripts.jsonl").read_bytes() == first
