"""What a curation will take, from a sample of it: calls, tokens, money, time and pairs, each with its range.

A few queries, drawn at random, go through the real flow. Their calls are real and kept in the ledger, so the run that
follows does not pay for them again; no pairs are written. What they took is projected to all queries (``project``)
with a range that holds 19 times out of 20, and that knows what a small sample may not have seen: queries that need
another round. Not in it: an endpoint that is slower under the whole run than under the sample, requests that fail and
are sent again, a prefix cache that fills.

    result = await estimate(iter_queries("prompts.txt"), sampler, capacity={"gpt-5-mini": Capacity(16)})
    result["estimate_cost"], result["estimate_cost_ci"], result["n"]      # 41.2, [35.0, 47.3], 8
"""

from __future__ import annotations

import heapq
import random
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from inkfire.debate.sampler import RejectionSampler, Sampled
from inkfire.debate.shards import distinct
from inkfire.errors import InputError
from inkfire.llm.client import Client
from inkfire.llm.entry import Entry
from inkfire.llm.progress import Bar
from inkfire.llm.stream import ordered
from inkfire.llm.watch import watch
from inkfire.records import Query
from inkfire.stats.intervals import wilson

_DRAWS = 4000
SAMPLE = 8
"""Queries that are tried: enough that the range says something, few enough to wait for."""


@dataclass(frozen=True, slots=True)
class Capacity:
    """How fast a model may be asked: calls in flight, requests and tokens a minute."""

    at_once: int
    rpm: int | None = None
    tpm: int | None = None

    @classmethod
    def of(cls, client: Client) -> Self:
        return cls(client.concurrency, client.pace.rpm, client.pace.tpm)

    def seconds(self, entries: Collection[Entry]) -> Sequence[float]:
        """What the calls take at full use of each limit: of calls in flight, of requests and of tokens a minute."""
        tokens = sum(entry.prompt_tokens + entry.completion_tokens for entry in entries)
        return (
            sum(entry.latency for entry in entries) / self.at_once,
            60 * len(entries) / self.rpm if self.rpm else 0.0,
            60 * tokens / self.tpm if self.tpm else 0.0,
        )


async def estimate(
    queries: Iterable[Query],
    sampler: RejectionSampler,
    *,
    capacity: Mapping[str, Capacity],
    sample: int = SAMPLE,
    seed: int = 0,
    limit: int = 32,
    progress: Bar | None = None,
) -> dict[str, Any]:
    """Curate ``sample`` of the queries without writing anything, and project what they took to all of them.

    Args:
        queries: all queries of the run; read once, those that repeat count once.
        capacity: of each model, by its name.
        limit: queries in flight at once.

    Returns:
        ``queries``, ``n`` (those tried), and for ``calls``, ``prompt_tokens``, ``completion_tokens``, ``cost`` and
        ``seconds`` the projected total ``estimate_NAME`` with ``estimate_NAME_ci``. A cost is None where a model has no
        price (``unpriced`` names them); an interval is None where a single query was tried of several.
        ``estimate_pair_share`` is the share of queries that make a pair, with Wilson's interval.

    Raises:
        InputError: there are no queries (a shard may have none).
        BudgetExceeded, EndpointDown: the models failed as they would fail the run.
    """
    chosen, total = draw(queries, sample, seed)
    if not chosen:
        raise InputError("there is no query to try: nothing can be estimated")

    async def curated(query: Query) -> tuple[Sampled, list[Entry]]:
        with watch() as seen:
            sampled = await sampler.sample((0, query))
        return sampled, list(seen.values())

    tried: list[tuple[Sampled, list[Entry]]] = []
    async for sampled, entries in ordered(curated, chosen, limit=limit):
        tried.append((sampled, entries))
        if progress is not None:
            progress.advance(1, failed=sum(not t.verdict.scored for t in sampled.transcripts))
    return _projected(tried, total, sampler.rounds, capacity, seed)


def draw(queries: Iterable[Query], n: int, seed: int) -> tuple[list[Query], int]:
    """``n`` distinct queries, each as likely as any other, and how many there are. Memory stays flat."""
    count: Counter[str] = Counter()
    rng = random.Random(seed)

    def ranked() -> Iterable[tuple[float, int, Query]]:
        for place, query in enumerate(distinct(queries)):
            count["queries"] += 1
            yield rng.random(), place, query

    least = heapq.nsmallest(n, ranked())
    return [query for _, _, query in sorted(least, key=lambda row: row[1])], count["queries"]


def _projected(
    tried: Sequence[tuple[Sampled, list[Entry]]], total: int, rounds: int, capacity: Mapping[str, Capacity], seed: int
) -> dict[str, Any]:
    unpriced = sorted({entry.model for _, entries in tried for entry in entries if entry.cost is None})
    took: dict[str, Sequence[float] | None] = {
        "calls": [len(entries) for _, entries in tried],
        "prompt_tokens": [sum(entry.prompt_tokens for entry in entries) for _, entries in tried],
        "completion_tokens": [sum(entry.completion_tokens for entry in entries) for _, entries in tried],
        "cost": None if unpriced else [sum(entry.cost or 0.0 for entry in entries) for _, entries in tried],
        "seconds": _slowest([entries for _, entries in tried], capacity),
    }
    paired = [bool(sampled.pairs) for sampled, _ in tried]
    needed = [sampled.rounds for sampled, _ in tried]
    result: dict[str, Any] = {"queries": total, "n": len(tried), "unpriced": unpriced}
    for name, values in took.items():
        ends = None
        if values is not None:
            ends = project(values, needed, paired, total=total, most=rounds, seed=seed)
        result[f"estimate_{name}"] = None if values is None else _round(total * sum(values) / len(tried), name)
        result[f"estimate_{name}_ci"] = ends and [_round(end, name) for end in ends]
    result["estimate_pair_share"] = sum(paired) / len(tried)
    result["estimate_pair_share_ci"] = list(wilson(sum(paired), len(tried)))
    return result


def project(
    took: Sequence[float], rounds: Sequence[int], paired: Sequence[bool], *, total: int, most: int, seed: int = 0
) -> tuple[float, float] | None:
    """The 95 % range of what ``total`` queries take, from a sample of them: a posterior predictive interval.

    A round leaves a query without a pair with the same chance each time, of which the sample says Beta(½ + rounds that
    did, ½ + rounds that did not) (Jeffreys' prior): none among eight does not mean never. What a round takes is
    Student's t about the sample's mean. Both are drawn, the queries that were not tried are played through up to
    ``most`` rounds, and what the sample took is added.

    Args:
        took: of each query that was tried.
        rounds: that it needed.
        paired: whether it made a pair.

    Returns:
        None where one query of several was tried: it does not say how queries differ.
    """
    n, known, left = len(took), sum(took), total - len(took)
    if left == 0:
        return known, known
    if n < 2:
        return None
    rng = np.random.default_rng(seed)
    failed = sum(rounds) - sum(paired)
    chance = rng.beta(failed + 0.5, sum(paired) + 0.5, _DRAWS)
    going = np.full(_DRAWS, left)
    played = going.copy()
    for _ in range(most - 1):
        going = rng.binomial(going, chance)
        played += going
    a_round = np.asarray(took, float) / rounds
    spread = a_round.std(ddof=1) * np.sqrt(1 / n + 1 / left)
    mean = np.maximum(0.0, a_round.mean() + spread * rng.standard_t(n - 1, _DRAWS))
    low, high = np.quantile(known + mean * played, [0.025, 0.975])
    return float(low), float(high)


def _slowest(tried: Sequence[list[Entry]], capacity: Mapping[str, Capacity]) -> Sequence[float]:
    """Seconds that each query keeps the limit busy that the run as a whole will wait for.

    Stages stream, so the run takes as long as its narrowest limit is in use; one chain of calls is short beside that.
    """
    limits = [
        [bound.seconds([entry for entry in entries if entry.model == name]) for entries in tried]
        for name, bound in capacity.items()
    ]
    busy = [of_limit for by_query in limits for of_limit in zip(*by_query, strict=True)]
    return max(busy, key=sum)


def _round(value: float, name: str) -> float:
    return value if name == "cost" else round(value, 1) if name == "seconds" else round(value)
