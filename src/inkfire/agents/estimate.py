"""What a curation will take, from a sample of it: calls, tokens, money, time and pairs, each with its range.

A few queries, drawn at random, go through the real flow. Their calls are real and kept in the ledger, so the run that
follows does not pay for them again; no pairs are written. What they took is projected to all queries
(``statistics.projected_total``), and the range is that of the draw: another sample of this size would have said
something within it 19 times out of 20. What the sample cannot know is not in it: an endpoint that is slower under the
whole run than under the sample, requests that fail and are sent again, a prefix cache that fills.

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

from inkfire.agents.curate import Advances, RejectionSampler, Sampled
from inkfire.agents.shards import distinct
from inkfire.llm.client import Client
from inkfire.llm.ledger import Entry
from inkfire.llm.stream import ordered
from inkfire.llm.watch import watch
from inkfire.records import Query
from inkfire.statistics import projected_total, wilson

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
    progress: Advances | None = None,
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
        BudgetExceeded, EndpointDown: the models failed as they would fail the run.
    """
    chosen, total = draw(queries, sample, seed)

    async def curated(query: Query) -> tuple[Sampled, list[Entry]]:
        with watch() as seen:
            sampled = await sampler.sample((0, query))
        return sampled, list(seen.values())

    tried: list[tuple[Sampled, list[Entry]]] = []
    async for sampled, entries in ordered(curated, chosen, limit=limit):
        tried.append((sampled, entries))
        if progress is not None:
            progress.advance(1, failed=sum(not t.verdict.scored for t in sampled.transcripts))
    return _projected(tried, total, capacity)


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
    tried: Sequence[tuple[Sampled, list[Entry]]], total: int, capacity: Mapping[str, Capacity]
) -> dict[str, Any]:
    unpriced = sorted({entry.model for _, entries in tried for entry in entries if entry.cost is None})
    took: dict[str, Sequence[float] | None] = {
        "calls": [len(entries) for _, entries in tried],
        "prompt_tokens": [sum(entry.prompt_tokens for entry in entries) for _, entries in tried],
        "completion_tokens": [sum(entry.completion_tokens for entry in entries) for _, entries in tried],
        "cost": None if unpriced else [sum(entry.cost or 0.0 for entry in entries) for _, entries in tried],
        "seconds": _slowest([entries for _, entries in tried], capacity),
    }
    result: dict[str, Any] = {"queries": total, "n": len(tried), "unpriced": unpriced}
    for name, values in took.items():
        interval = None if values is None else projected_total(values, total)
        result |= {f"estimate_{name}": interval and _round(interval.estimate, name), f"estimate_{name}_ci": None}
        if interval is not None and len(tried) >= min(2, total):
            result[f"estimate_{name}_ci"] = [_round(interval.low, name), _round(interval.high, name)]
    paired = sum(bool(sampled.pairs) for sampled, _ in tried)
    result["estimate_pair_share"] = paired / len(tried) if tried else None
    result["estimate_pair_share_ci"] = list(wilson(paired, len(tried)))
    return result


def _slowest(tried: Sequence[list[Entry]], capacity: Mapping[str, Capacity]) -> Sequence[float]:
    """Seconds that each query keeps the limit busy that the run as a whole will wait for.

    Stages stream, so the run takes as long as its narrowest limit is in use; one chain of calls is short beside that.
    """
    limits = [
        [bound.seconds([entry for entry in entries if entry.model == name]) for entries in tried]
        for name, bound in capacity.items()
    ]
    busy = [[seconds[which] for seconds in by_query] for by_query in limits for which in range(3)]
    return max(busy, key=sum)


def _round(value: float, name: str) -> float:
    return value if name == "cost" else round(value, 1) if name == "seconds" else round(value)


def describe(result: Mapping[str, Any]) -> str:
    """The estimate in words; ``result`` also has what the sample took (the ledger's ``stats``)."""
    n, total = result["n"], result["queries"]
    lines = [f"{n} of {total} queries were tried. The whole run, these included:"]
    for name, unit in (
        ("calls", ""),
        ("prompt_tokens", ""),
        ("completion_tokens", ""),
        ("cost", ""),
        ("seconds", _hours(result["estimate_seconds"])),
    ):
        value, interval = result[f"estimate_{name}"], result[f"estimate_{name}_ci"]
        if value is None:
            unknown = ", ".join(result["unpriced"])
            lines.append(f"  {name:18} unknown: no price of {unknown} (prices.toml beside the ledger)")
            continue
        between = (
            f"  ({_number(interval[0])} to {_number(interval[1])})" if interval else "  (a range needs two queries)"
        )
        lines.append(f"  {name:18} {_number(value)}{between}{unit}")
    share, (low, high) = result["estimate_pair_share"], result["estimate_pair_share_ci"]
    lines.append(f"  {'queries with pair':18} {share:.0%}  ({low:.0%} to {high:.0%})")
    spent = f", {result['cost']:.4f} in money" if result["cost"] else ""
    lines.append(f"The sample took {result['calls'] - result['cached']} new calls, {result['tokens']} tokens{spent}.")
    lines.append(
        f"Ranges: 95 % (Student's t, Wilson for the share) over the {n} queries, which were drawn at random. The time "
        "holds if the endpoint stays as fast as it was. The sample is kept: the run does not ask for it again."
    )
    return "\n".join(lines)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.4g}"


def _hours(seconds: float) -> str:
    return f", that is {seconds / 3600:.1f} hours" if seconds >= 3600 else ""
