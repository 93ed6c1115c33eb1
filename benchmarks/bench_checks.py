"""How fast checks are, and what a frozen model that reads costs.

    python benchmarks/bench_checks.py [--base local/qwen2.5-coder-0.5b] [--texts 64]

First all text checks together on the texts of the two greetings tasks, many times over: texts a minute. The peer is
difflib's SequenceMatcher, which looks for the longest piece that a text shares with a corpus, against the check
``no-copy``, which asks the same.

With ``--base`` also ``fluent`` (one reading a text) and ``relevance`` (four): texts a second by ``Likelihood``, which
batches by length, against a loop of transformers' own calls, a text at a time, in the same process.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

from inkfire.files.jsonl import write_jsonl
from inkfire.rewards.checks import Checks
from inkfire.tasks.task import load_task

ROUNDS, GOAL = 40, 100_000


def seconds(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def text_checks(name: str) -> None:
    task = load_task(name)
    rows = task.labelled()
    queries, texts = [row.query for row in rows], [row.response for row in rows]
    corpus = [row.response for row in rows if row.label == 1]
    with tempfile.TemporaryDirectory() as folder:
        write_jsonl(Path(folder) / "good.jsonl", [{"query": "q", "response": text} for text in corpus])
        more = ["words:5..60", "forbid:slop,如春风", "regex:.", "no-copy:good.jsonl:0.3"]
        checks = Checks.parse([*task.checks, *more], folder=Path(folder))
        copied = Checks.parse(more[-1:], folder=Path(folder))
    took = seconds(lambda: [checks.failures(queries, texts) for _ in range(ROUNDS)])
    print(f"{name}: {len(checks.names)} checks, {60 * ROUNDS * len(texts) / took:,.0f} texts a minute (goal {GOAL:,})")

    def longest(text: str) -> int:
        return max(SequenceMatcher(None, text, other).find_longest_match().size for other in corpus)

    ours, theirs = (
        seconds(lambda: copied.failures(queries[:20], texts[:20])),
        seconds(lambda: [*map(longest, texts[:20])]),
    )
    print(f"  no-copy against difflib's SequenceMatcher, 20 texts: {theirs / ours:.0f} times as fast")


def readings(base: str, n: int) -> None:
    import torch

    from inkfire.models.likelihood import Likelihood
    from inkfire.rewards.reading import others

    task = load_task("greetings-zh")
    rows = (task.labelled() * (n // 100 + 1))[:n]
    queries, texts = [row.query for row in rows], [row.response for row in rows]
    reader = Likelihood.load(base, task)

    def naive() -> None:
        for query, text in zip(queries[: n // 4], texts[: n // 4], strict=True):
            messages = reader.template.messages(query)
            prompt = reader.tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
            start = len(reader.tokenizer(prompt)["input_ids"])
            ids = reader.tokenizer(prompt + text, return_tensors="pt")["input_ids"].to(reader.model.device)
            with torch.no_grad():
                logits = reader.model(ids).logits[0, start - 1 : -1].float()
            float(logits.log_softmax(-1).gather(-1, ids[0, start:, None]).mean())

    reader.per_token(queries[:4], texts[:4])  # warm
    ours = n / seconds(lambda: reader.per_token(queries, texts))
    loop = (n // 4) / seconds(naive)
    asked = [others(query, text, queries, 0) for query, text in zip(queries, texts, strict=True)]
    both = n / seconds(lambda: reader.relevance(queries, texts, asked))
    print(f"{base}: fluent {ours:.1f} texts a second, relevance with it {both:.1f}; a loop of transformers {loop:.1f}")
    print(f"  Likelihood against the loop: {ours / loop:.2f} times as fast")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--base")
    parser.add_argument("--texts", type=int, default=64)
    given = parser.parse_args()
    for name in ("greetings-zh", "greetings-en"):
        text_checks(name)
    if given.base:
        readings(given.base, given.texts)


if __name__ == "__main__":
    main()
