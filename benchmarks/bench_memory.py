"""Memory of a curation: peak resident size at one number of queries against five times as many, same process otherwise.

    python benchmarks/bench_memory.py            # 4,000 and 20,000 queries, about a minute
    python benchmarks/bench_memory.py 20000      # 20,000 and 100,000

The model answers at once, in the process, so that nothing but the flow is measured: queries streamed from a file, two
writers, Judge alone, pairs, transcripts and outcomes written.
"""

from __future__ import annotations

import asyncio
import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from inkfire.debate.debate import Debate
from inkfire.debate.sampler import RejectionSampler
from inkfire.debate.writers import ModelWriter
from inkfire.files.formats import iter_queries
from inkfire.llm.base import JsonSchema, Message, Reply, Sampling
from inkfire.runs.curate import write_pairs
from inkfire.tasks.task import load_task


class Instant:
    """Writes a text that depends on the request, and judges by its length."""

    name = "instant"

    async def chat(
        self, messages: Sequence[Message], *, schema: JsonSchema | None = None, sampling: Sampling = Sampling()
    ) -> Reply:
        await asyncio.sleep(0)
        said = str(abs(hash((messages[-1]["content"], messages[0]["content"], sampling.sample))))
        if schema is None:
            return Reply(said)
        parsed = {"judge": int(said[-1]) % 2, "reason": "because"}
        return Reply(json.dumps(parsed), parsed)

    async def close(self) -> None:
        pass


async def run(folder: Path) -> None:
    task, llm = load_task("greetings-en"), Instant()
    writers = [ModelWriter(task, llm), ModelWriter(task, llm, variant="writer_alt")]
    sampler = RejectionSampler(writers, Debate(task, llm, agents=["judge"]), candidates=2)
    await write_pairs(iter_queries(folder / "queries.txt"), sampler, folder, limit=64)


def measure(queries: int) -> float:
    """Megabytes at the peak, in a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, "--one", str(queries)], stdout=subprocess.PIPE, text=True, check=True
    )
    return float(done.stdout)


def one(queries: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with (folder / "queries.txt").open("w", encoding="utf-8") as file:
            file.writelines(f"a wish for friend number {i} on a day in spring\n" for i in range(queries))
        asyncio.run(run(folder))
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def main() -> None:
    few = int(sys.argv[1]) if len(sys.argv) > 1 else 4000
    small, large = measure(few), measure(5 * few)
    growth = 1024 * (large - small) / (4 * few)
    print(f"{few} queries: {small:.1f} MB at the peak; {5 * few} queries: {large:.1f} MB, {large / small:.3f} x")
    print(f"growth: {growth:.3f} kB a query, {growth * 1e6 / 1024:.0f} MB more for a million")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        one(int(sys.argv[2]))
    else:
        main()
