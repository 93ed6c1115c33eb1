"""What a judgement costs: one token against a written reason, and our judge against a bare loop on the engine.

    python benchmarks/bench_judge_modes.py --model local/qwen2.5-coder-1.5b --out runs/bench-judge-modes

First the two modes judge the same ``--texts`` texts: seconds a text, their ratio, and AUC of ``logprob`` minus AUC of
``verdict`` with a paired interval, clustered by query. The reason is capped at about 60 tokens (the mean is printed).
The replies are in a ledger and each block of texts is a stage of the run: a run that was stopped goes on.

Then throughput: blocks of ``--block`` further texts go through ``judge_many``, then through a loop of plain HTTP
requests with the same bodies and as many in flight, nothing stored. The engine's own timings say how much of a prompt
came from its prefix cache.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
from bench_judge import endpoint
from release_texts import release_pairs, texts_of

from inkfire.errors import ModelCallError
from inkfire.files.run import Run
from inkfire.judge.answers import VERDICT_SCHEMA
from inkfire.judge.base import Judge, at_once, judge_many
from inkfire.judge.logprob import TOP_LOGPROBS, LogprobJudge
from inkfire.judge.principles import Principles
from inkfire.llm import stream, wire
from inkfire.llm.base import LLM, Sampling
from inkfire.llm.ledger import Ledger
from inkfire.models.open import open_model
from inkfire.records import Labelled, Verdict
from inkfire.stats.intervals import auc, auc_difference
from inkfire.tasks.task import Task, load_task

REASON = {"zh": 90, "en": 240}
"""Characters that are about 60 tokens of the embedded models."""


@dataclass(frozen=True)
class ShortVerdictJudge:
    """``VerdictJudge`` with a short reason; ``reason`` of its verdicts is the number of tokens it wrote."""

    task: Task
    llm: LLM
    name: str = "verdict"

    async def judge(self, query: str, response: str) -> Verdict:
        rules = Principles.of(self.task.principles)
        messages = self.task.render("verdict", query=query, response=response, principles=rules.texts, examples=[])
        longest = {"type": "string", "maxLength": REASON.get(self.task.language, 240)}
        schema = {**VERDICT_SCHEMA, "properties": {**VERDICT_SCHEMA["properties"], "reason": longest}}
        try:
            reply = await self.llm.chat(messages, schema=schema, sampling=Sampling(max_tokens=100, seed=0))
        except ModelCallError as error:
            return Verdict(None, unscored=str(error))
        if reply.parsed is None:
            return Verdict(None, unscored=reply.unparsed or "not parsed")
        return Verdict(reply.parsed["judge"], reason=str(reply.usage.completion_tokens))

    async def close(self) -> None:
        await self.llm.close()


async def modes(
    options: argparse.Namespace, task: Task, texts: Sequence[Labelled], warm: Sequence[Labelled]
) -> dict[str, Any]:
    """``warm`` are texts that are judged before the clock runs: imports, connections and the prompts' fixed part."""
    run = Run.open(
        options.out,
        command="bench judge modes",
        settings={"model": options.model, "task": task.name, "texts": options.texts, "block": options.block},
        seed=options.seed,
    )
    scores: dict[str, list[float | None]] = {}
    out: dict[str, Any] = {"n": len(texts)}
    with Ledger(run.path("ledger.sqlite"), run="modes") as ledger:
        async with open_model(options.model, ledger=ledger, base_url=options.base_url) as llm:
            judges: dict[str, Judge] = {"logprob": LogprobJudge(task, llm), "verdict": ShortVerdictJudge(task, llm)}
            for name, judge in judges.items():
                rows: list[dict[str, Any]] = []
                concurrency = at_once(options.model, name)
                await judge_many(judge, warm, concurrency=concurrency)
                for start in range(0, len(texts), options.block):
                    block, stage = texts[start : start + options.block], f"{name}-{start}"
                    done = run.done(stage)
                    if done is None:
                        started = time.monotonic()
                        verdicts = await judge_many(judge, block, concurrency=concurrency)
                        done = {"rows": [_row(verdict) for verdict in verdicts]}
                        run.complete(stage, done, seconds=time.monotonic() - started)
                    rows += done["rows"]
                seconds = sum(value for stage, value in run.seconds().items() if stage.startswith(name))
                scores[name] = [row["score"] for row in rows]
                out[f"{name}_seconds_a_text"] = seconds / len(texts)
                out[f"{name}_unscored"] = sum(row["score"] is None for row in rows)
                out[f"{name}_tokens"] = float(np.mean([row["tokens"] for row in rows]))
    out["cost_ratio"] = out["logprob_seconds_a_text"] / out["verdict_seconds_a_text"]
    return out | _paired(texts, scores["verdict"], scores["logprob"], options.seed)


def _row(verdict: Verdict) -> dict[str, Any]:
    score = verdict.probability if verdict.probability is not None else verdict.label
    return {"score": score, "tokens": int(verdict.reason) if verdict.reason.isdigit() else 1}


def _paired(
    texts: Sequence[Labelled], old: Sequence[float | None], new: Sequence[float | None], seed: int
) -> dict[str, Any]:
    rows = [
        (text.label, a, b, text.query)
        for text, a, b in zip(texts, old, new, strict=True)
        if a is not None and b is not None
    ]
    labels, verdict, logprob, queries = (list(column) for column in zip(*rows, strict=True))
    return {
        "paired_n": len(rows),
        "verdict_auc": auc(labels, verdict),
        "logprob_auc": auc(labels, logprob),
    } | auc_difference(labels, verdict, logprob, queries, seed=seed).named("auc_difference")


async def throughput(options: argparse.Namespace, task: Task, texts: Sequence[Labelled]) -> dict[str, Any]:
    """Texts a second of ``judge_many`` and of the bare loop, in turns, each text asked once by either of them."""
    url, key, done = endpoint(options)
    ours: list[float] = []
    bare: list[float] = []
    timings: list[dict[str, Any]] = []
    concurrency = at_once(options.model, "logprob")
    try:
        async with (
            open_model(options.model, ledger=None, base_url=options.base_url, concurrency=concurrency) as llm,
            httpx2.AsyncClient(headers={"Authorization": f"Bearer {key or 'none'}"}, timeout=600) as http,
        ):
            judge = LogprobJudge(task, llm)

            async def post(text: Labelled) -> dict[str, Any]:
                question = wire.Question(
                    tuple(await judge.render(text.query, text.response)),
                    None,
                    Sampling(max_tokens=1, top_logprobs=TOP_LOGPROBS, seed=0),
                )
                body = wire.request_body(options.model, question, wire.features(question))
                reply = await http.post(
                    f"{url}/chat/completions", content=body, headers={"Content-Type": "application/json"}
                )
                found: dict[str, Any] = json.loads(reply.content)
                return found

            await judge_many(judge, texts[:2], concurrency=concurrency)  # fills the prefix
            rest = texts[2:]
            for number, start in enumerate(range(0, len(rest) - options.block + 1, options.block)):
                block = rest[start : start + options.block]
                started = time.monotonic()
                if number % 4 in (0, 3):
                    await judge_many(judge, block, concurrency=concurrency)
                    ours.append(time.monotonic() - started)
                else:
                    replies = [one async for one in stream.ordered(post, block, limit=concurrency)]
                    bare.append(time.monotonic() - started)
                    timings += [one.get("timings") or {} for one in replies]
    finally:
        done()
    rate, limit = (options.block * len(times) / sum(times) for times in (ours, bare))
    out: dict[str, Any] = {"blocks": len(ours) + len(bare), "texts_a_second": rate, "bare_texts_a_second": limit}
    out["throughput_ratio"] = rate / limit
    return out | _prefix(timings)


def _prefix(timings: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """llama.cpp: ``cache_n`` tokens of a prompt were in the slot, ``prompt_n`` were computed in ``prompt_ms``."""
    if not all("prompt_n" in one for one in timings):
        return {"prefix_reuse": None}
    cached, computed = (float(np.mean([one.get(name, 0) for one in timings])) for name in ("cache_n", "prompt_n"))
    return {
        "prefix_reuse": cached / (cached + computed),
        "prompt_tokens_cached": cached,
        "prompt_tokens_computed": computed,
        "prompt_ms": float(np.mean([one["prompt_ms"] for one in timings])),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default="local/qwen2.5-coder-1.5b")
    parser.add_argument("--base-url")
    parser.add_argument("--task", default="greetings-zh")
    parser.add_argument("--out", type=Path, default=Path("runs/bench-judge-modes"))
    parser.add_argument("--texts", type=int, default=100, help="texts that both modes judge")
    parser.add_argument("--blocks", type=int, default=8, help="blocks of the throughput comparison")
    parser.add_argument("--block", type=int, default=16, help="texts of a block")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    pairs, task = release_pairs(options.seed), load_task(options.task)
    cut = options.texts // 2
    more = (options.blocks * options.block + 3) // 2
    texts, further = texts_of(pairs[:cut]), texts_of(pairs[cut : cut + more])
    result = asyncio.run(modes(options, task, texts, texts_of(pairs[-2:])))
    result |= asyncio.run(throughput(options, task, further))
    low, high = result["auc_difference_ci"]
    print(
        f"logprob {result['logprob_seconds_a_text']:.2f} s a text, verdict {result['verdict_seconds_a_text']:.2f} s "
        f"({result['verdict_tokens']:.0f} tokens): {result['cost_ratio']:.2f} x"
    )
    print(
        f"AUC logprob {result['logprob_auc']:.3f}, verdict {result['verdict_auc']:.3f}, difference "
        f"{result['auc_difference']:+.3f} [{low:+.3f}, {high:+.3f}] on {result['paired_n']} texts"
    )
    print(
        f"judge_many {result['texts_a_second']:.2f} texts a second, {result['throughput_ratio']:.2f} x the bare loop's "
        f"{result['bare_texts_a_second']:.2f}; prefix reuse: {_said(result)}"
    )
    print(json.dumps(result))


def _said(result: dict[str, Any]) -> str:
    if result["prefix_reuse"] is None:
        return "the endpoint reports no timings"
    return (
        f"{result['prefix_reuse']:.0%} of a prompt from the cache, {result['prompt_tokens_computed']:.0f} tokens "
        f"computed in {result['prompt_ms']:.0f} ms"
    )


if __name__ == "__main__":
    main()
