"""Does the engine write what the policy writes? A policy's adapter as a GGUF LoRA on the engine, against the process.

    python benchmarks/bench_gguf_lora.py POLICY      (a policy trained on a .gguf; two minutes on two cores)

Ten queries of the policy's task at temperature 0: on how many the first 8 tokens are the policy's own, served by the
engine with the exported adapter, and served without it (the base, which must differ). The process has the base's
weights unpacked to bf16, the engine as they are in the .gguf: near each other, not equal. Then the seconds from a
cold start to a first text of 40 tokens, both ways (the adapter.gguf is made before: ``seconds_made``, once a policy).
Prints one JSON line.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path

from inkfire.llm.base import Sampling
from inkfire.models.card import Card
from inkfire.models.open import open_model
from inkfire.runs.export import export
from inkfire.tasks.task import load_task

QUERIES, TOKENS, TEXT = 10, 8, 40


async def ask(model: str, card: Card, queries: list[str], tokens: int) -> list[str]:
    async with open_model(model, ledger=None) as llm:
        sampling = Sampling(temperature=0.0, max_tokens=tokens)
        return [(await llm.chat(card.template.messages(query), sampling=sampling)).text for query in queries]


def main() -> None:
    folder = Path(sys.argv[1])
    card = Card.read(folder)
    queries = [query.query for query in load_task(card.task).queries()[:QUERIES]]
    (folder / "adapter.gguf").unlink(missing_ok=True)
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as place:
        export(str(folder), "gguf-lora", Path(place) / "exported")
        made = time.perf_counter() - started
        assert (Path(place) / "exported" / "adapter.gguf").read_bytes() == (folder / "adapter.gguf").read_bytes()
    started = time.perf_counter()
    asyncio.run(ask(str(folder), card, queries[:1], TEXT))
    engine = time.perf_counter() - started
    adapted = asyncio.run(ask(str(folder), card, queries, TOKENS))
    base = asyncio.run(ask(card.base, card, queries, TOKENS))

    started = time.perf_counter()
    from inkfire.models.policy import Policy

    policy = Policy.load(folder)
    policy.generate(queries[:1], temperature=0.0, max_new_tokens=TEXT)
    process = time.perf_counter() - started
    own = [texts[0] for texts in policy.generate(queries, temperature=0.0, max_new_tokens=TOKENS, batch_size=1)]

    def same(texts: list[str]) -> int:
        # The engine leaves out a last letter that is cut in two, the tokenizer marks it.
        return sum(text.strip() == mine.rstrip("�").strip() for text, mine in zip(texts, own, strict=True))

    for row in zip(queries, own, adapted, base, strict=True):
        print(*row, sep=" | ", file=sys.stderr)
    found = {"queries": len(queries), "tokens": TOKENS, "same_with_adapter": same(adapted), "same_without": same(base)}
    seconds = {"made": made, "first_text_engine": engine, "first_text_process": process}
    print(json.dumps(found | {f"seconds_{name}": round(value, 1) for name, value in seconds.items()}))


if __name__ == "__main__":
    main()
