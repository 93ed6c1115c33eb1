"""The peer of bench_curate.py: the same debates pass by pass, all of one agent's calls before the next agent's.

This is how the paper's release works: one script an agent, a pool of workers, a file in between. The client is the
bare openai one; requests are the very bodies that inkfire sends, so the stub serves both with the same latencies.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import openai

from inkfire.debate.debate import SHORT, TOP_LOGPROBS, critique_schema, verdict_schema
from inkfire.llm import wire
from inkfire.llm.base import Sampling
from inkfire.records import Candidate
from inkfire.tasks.task import Task


@dataclass
class Item:
    """One candidate on its way; ``keys`` are those of its requests in the stub's log, agent by agent."""

    candidate: Candidate
    said: dict[str, Any] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)


async def debate_in_passes(
    task: Task, candidates: Sequence[Candidate], url: str, pool: int
) -> tuple[list[Item], float]:
    """The debated items and the seconds it took."""
    items = [Item(candidate) for candidate in candidates]
    places = asyncio.Semaphore(pool)
    started = time.perf_counter()
    async with openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0, timeout=600) as client:
        for agent in ("positive", "negative", "judge", "reflect"):
            await asyncio.gather(*(_ask(client, places, task, agent, item) for item in items))
    return items, time.perf_counter() - started


async def _ask(client: openai.AsyncOpenAI, places: asyncio.Semaphore, task: Task, agent: str, item: Item) -> None:
    async with places:
        body = _body(task, agent, item)
        item.keys[agent] = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:16]
        own = {"chat_template_kwargs": body.pop("chat_template_kwargs")}
        reply = await client.chat.completions.create(**body, extra_body=own)
        said = json.loads(reply.choices[0].message.content or "")
        if agent in ("positive", "negative"):
            said = {point["point"]: point["reason"] for point in said["points"]}
        item.said[agent] = said


def _body(task: Task, agent: str, item: Item) -> dict[str, Any]:
    values = {"query": item.candidate.query, "response": item.candidate.response, "examples": []}
    limits = SHORT.limits(task)
    schema, top_logprobs = critique_schema(limits), 0
    if agent in ("judge", "reflect"):
        values |= {"positive": item.said["positive"], "negative": item.said["negative"]}
        schema, top_logprobs = verdict_schema(limits), TOP_LOGPROBS
    if agent == "reflect":
        values["verdict"] = item.said["judge"]
    sampling = Sampling(max_tokens=limits.tokens, seed=0, top_logprobs=top_logprobs)
    question = wire.Question(task.render(agent, **values), schema, sampling)
    body: dict[str, Any] = json.loads(wire.request_body("stub", question, wire.features(question)))
    return body
