"""The reward server against calling the reward directly, in the same run: throughput, p50, p95, errors.

    python benchmarks/bench_serve.py [--reward runs/rm] [--seconds 60] [--clients 200] [--texts 1]

Without a reward it trains a linear reward model on made pairs first. Each client asks for ``--texts`` texts, waits for
the answer and asks again. Directly, the same texts are scored in blocks of 256, before and after; the mean of both
counts. The clients run in this process: they take from the same cores what the server could use.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from served import served

from inkfire.files.jsonl import write_jsonl
from inkfire.rewards.load import load_reward

BLOCK = 256
WORDS = (
    *("may", "your", "new", "year", "open", "like", "a", "window", "warm", "and", "quiet", "the", "river", "keeps"),
    *("our", "names", "lanterns", "in", "rain", "bread", "apples", "letter", "harbour", "wind", "softly", "remembers"),
    *("salt", "kitchen", "morning", "blue", "coats", "bells", "under", "snow", "grandmother", "laughs", "bicycle"),
)


def made(n: int) -> list[tuple[str, str]]:
    """Queries and texts, of 8 to 40 words."""
    draw = random.Random(0)
    queries = [" ".join(draw.choices(WORDS, k=4)) for _ in range(50)]
    return [(queries[i % 50], " ".join(draw.choices(WORDS, k=draw.randint(8, 40)))) for i in range(n)]


def train(folder: Path) -> str:
    """A linear reward model of made pairs."""
    texts = made(2000)
    twos = [sorted((a, b), key=lambda text: text.count("r")) for (_, a), (_, b) in zip(texts, texts[50:], strict=False)]
    pairs = [
        {"query": query, "chosen": better, "rejected": worse}
        for (query, _), (worse, better) in zip(texts, twos, strict=False)
    ]
    write_jsonl(folder / "pairs.jsonl", pairs)
    command = [sys.executable, "-m", "inkfire", "train", "rm", "--kind", "linear", "--qualify", "0"]
    command += ["--pairs", str(folder / "pairs.jsonl"), "--out", str(folder / "rm")]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return str(folder / "rm")


def directly(spec: str, texts: list[tuple[str, str]], seconds: float) -> float:
    """Texts a second in blocks."""
    reward = load_reward(spec)
    blocks = itertools.cycle(range(0, len(texts) - BLOCK, BLOCK))
    n, began = 0, time.perf_counter()
    while (took := time.perf_counter() - began) < seconds or not n:
        block = texts[(at := next(blocks)) : at + BLOCK]
        reward.score([query for query, _ in block], [text for _, text in block])
        n += BLOCK
    return n / took


async def client(told: dict[str, str], bodies: list[bytes], until: float, took: list[float], wrong: list[str]) -> None:
    """One connection that asks again and again."""
    host, _, port = told["url"].removeprefix("http://").rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = f"POST /score HTTP/1.1\r\nHost: {host}:{port}\r\nAuthorization: Bearer {told['token']}\r\n".encode()
    for body in itertools.cycle(bodies):
        began = time.perf_counter()
        if began > until:
            break
        writer.write(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        try:
            lines = (await reader.readuntil(b"\r\n\r\n")).decode().lower().split("\r\n")
            size = next(int(line.partition(":")[2]) for line in lines if line.startswith("content-length:"))
            answer = await reader.readexactly(size)
        except (OSError, EOFError) as error:
            wrong.append(repr(error))
            break
        took.append(time.perf_counter() - began)
        if " 200 " not in lines[0] or None in json.loads(answer)["scores"]:
            wrong.append(f"{lines[0]} {answer[:200].decode()}")
    writer.close()


async def clients(
    told: dict[str, str], texts: list[tuple[str, str]], options: argparse.Namespace
) -> tuple[list[float], list[str]]:
    """Seconds of every request, and the answers that were none."""
    rows = [texts[i : i + options.texts] for i in range(0, len(texts) - options.texts, options.texts)]
    bodies = [json.dumps({"queries": [q for q, _ in row], "responses": [t for _, t in row]}).encode() for row in rows]
    took: list[float] = []
    wrong: list[str] = []
    until = time.perf_counter() + options.seconds
    shares = [bodies[i :: options.clients] or bodies for i in range(options.clients)]
    await asyncio.gather(*(client(told, share, until, took, wrong) for share in shares))
    return took, wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--reward")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--texts", type=int, default=1, help="a request")
    options = parser.parse_args()
    texts = made(20_000)
    with tempfile.TemporaryDirectory() as folder:
        spec = options.reward or train(Path(folder))
        before = directly(spec, texts, options.seconds / 12)
        with served(spec) as told:
            began = time.perf_counter()
            took, wrong = asyncio.run(clients(told, texts, options))
            rate = len(took) * options.texts / (time.perf_counter() - began)
        direct = (before + directly(spec, texts, options.seconds / 12)) / 2
    p50, p95 = (statistics.quantiles(took, n=20)[i] * 1000 for i in (9, 18))
    print(f"{options.clients} clients, {options.seconds:g} s, {options.texts} texts a request")
    print(f"{len(took)} requests, {len(wrong)} errors")
    print(f"p50 {p50:.0f} ms, p95 {p95:.0f} ms, longest {max(took) * 1000:.0f} ms")
    print(f"{rate:.0f} texts a second against {direct:.0f} directly in blocks of {BLOCK}: {rate / direct:.2f} times")
    for line in sorted(set(wrong))[:5]:
        print(line)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
