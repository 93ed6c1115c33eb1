"""CPU a call: inkfire's client (ledger, structured output, limits) against the bare openai client, same stub, same run.

    python benchmarks/bench_client.py [calls] [in flight]

Prints the milliseconds of CPU a call of both and their ratio, then the same calls answered by the ledger.
"""

from __future__ import annotations

import asyncio
import resource
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import openai

from inkfire.llm.base import Message, Sampling
from inkfire.llm.client import Client
from inkfire.llm.ledger import Ledger
from inkfire.llm.stream import ordered

STUB = Path(__file__).parents[1] / "tests" / "stub_endpoint.py"
SCHEMA = {
    "type": "object",
    "properties": {"judge": {"enum": [0, 1]}, "reason": {"type": "string"}},
    "required": ["judge", "reason"],
    "additionalProperties": False,
}


def messages(i: int) -> list[Message]:
    """About what a debate sends: a long static part, a short one that differs."""
    return [
        {"role": "system", "content": "You weigh both sides and decide. " * 20},
        {"role": "user", "content": f"{i}: " + "A warm note for a neighbour's birthday. " * 10},
    ]


def cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def measure(ask: Callable[[int], Awaitable[Any]], calls: int, in_flight: int) -> float:
    """Milliseconds of this process's CPU a call; the first call, which connects, does not count."""
    await ask(-1)
    before = cpu()
    async for _ in ordered(ask, range(calls), limit=in_flight):
        pass
    return 1000 * (cpu() - before) / calls


@asynccontextmanager
async def bare(url: str) -> AsyncIterator[Callable[[int], Awaitable[Any]]]:
    """The openai client as it comes, without retries."""
    async with openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0) as client:

        async def ask(i: int) -> Any:
            return await client.chat.completions.create(
                model="stub",
                messages=cast(Any, messages(i)),
                max_tokens=100,
                temperature=0,
                response_format=cast(Any, {"type": "json_schema", "json_schema": {"name": "reply", "schema": SCHEMA}}),
            )

        yield ask


@asynccontextmanager
async def ours(url: str, ledger: Ledger, in_flight: int) -> AsyncIterator[Callable[[int], Awaitable[Any]]]:
    async with Client("stub", base_url=url, ledger=ledger, concurrency=in_flight) as client:

        async def ask(i: int) -> Any:
            reply = await client.chat(messages(i), schema=SCHEMA, sampling=Sampling(max_tokens=100))
            if reply.parsed is None:
                raise RuntimeError(reply.unparsed)
            return reply

        yield ask


async def compare(url: str, folder: Path, calls: int, in_flight: int) -> None:
    async with bare(url) as ask:
        peer = await measure(ask, calls, in_flight)
    for what in ("inkfire", "inkfire, from the ledger"):
        with Ledger(folder / "ledger.sqlite") as ledger:
            async with ours(url, ledger, in_flight) as ask:
                mine = await measure(ask, calls, in_flight)
        print(f"{what}: {mine:.2f} ms of CPU a call, {mine / peer:.2f} x the bare openai client's {peer:.2f} ms")


def main() -> None:
    given = [int(value) for value in sys.argv[1:3]]
    calls, in_flight = given + [2000, 64][len(given) :]
    stub = subprocess.Popen(
        [sys.executable, str(STUB), "--latency", "0.1", "--sigma", "0.3"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert stub.stdin is not None
    assert stub.stdout is not None
    try:
        url = stub.stdout.readline().strip()
        with tempfile.TemporaryDirectory() as folder:
            asyncio.run(compare(url, Path(folder), calls, in_flight))
    finally:
        stub.stdin.close()
        stub.wait()


if __name__ == "__main__":
    main()
